package policy

import "strings"

// maxGroup is how many characters the name of a group has at most.
const maxGroup = 64

// Group is a named list of destinations that policy files or dockerwall itself define, written "@name".
type Group string

func (Group) isDestination() {}

// Grammar reads texts where some groups are known. The zero value knows none.
type Grammar struct {
	Known func(Group) bool // which groups there are; nil is none
}

// AnyGroup is the grammar for texts whose groups somebody else looks up: it takes every group for known.
func AnyGroup() Grammar { return Grammar{Known: func(Group) bool { return true }} }

func (g Grammar) knows(name Group) bool { return g.Known != nil && g.Known(name) }

// group reads what follows the "@": letters, which are folded, digits, "-" and "_", a letter first. It takes no clause.
func (g Grammar) group(name string) (Group, *mistake) {
	plain, _, clause := strings.Cut(name, ":")
	if cut, _, ok := strings.Cut(plain, "/"); ok {
		plain, clause = cut, true
	}
	lower := strings.ToLower(plain)
	switch {
	case !IsGroup(lower):
		return "", &mistake{rule: RuleGroup, what: quote("@"+plain) + " cannot be the name of a group", remedy: `write "@" and letters, digits, "-" or "_", as in "@pypi"; "dockerwall groups" lists those there are`}
	case clause:
		return "", &mistake{rule: RuleGroup, what: "a group takes no ports or protocol, its entries have their own", remedy: "write " + quote("@"+lower) + " alone, or a group of your own with these ports"}
	case !g.knows(Group(lower)):
		return "", &mistake{rule: RuleGroup, what: "there is no group " + quote("@"+lower), remedy: `"dockerwall groups" lists those there are; define it under "groups" in a policy file, or write its names themselves`}
	}
	return Group(lower), nil
}

// IsGroup says whether a group can have this name, which stands without "@".
func IsGroup(name string) bool {
	if name == "" || len(name) > maxGroup || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	return !strings.ContainsFunc(name, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_'
	})
}

// Groups are the groups that p names, sorted: those it allows, and those it denies.
func (p Policy) Groups() (allow, deny []Group) {
	for _, t := range p.Tokens {
		switch g, ok := t.Dest.(Group); {
		case !ok:
		case t.Deny:
			deny = append(deny, g)
		default:
			allow = append(allow, g)
		}
	}
	return allow, deny
}
