package policy

import "strings"

// Pattern is a DNS name, or all names below one. The zero value matches nothing.
type Pattern struct {
	name string // canonical: lower case, A-labels, no trailing dot
	wild bool
}

// ParsePattern reads "www.example.com" or "*.example.com". Case is folded, one trailing dot
// stripped, labels beyond ASCII become A-labels (IDNA2008, RFC 5891). A name has at least two labels
// of 1 to 63 letters, digits, "-" or "_", 253 characters in all (RFC 1035, section 2.3.4), and does
// not end in a number. The error says what is wrong and what to write.
func ParsePattern(s string) (Pattern, error) {
	p, bad := parsePattern(s)
	if bad != nil {
		return Pattern{}, bad
	}
	return p, nil
}

func parsePattern(s string) (Pattern, *mistake) {
	rest, wild := strings.CutPrefix(s, "*.")
	if strings.Contains(rest, "*") {
		return Pattern{}, &mistake{
			rule:   RuleWildcard,
			what:   `"*" stands only for whole labels in front, once`,
			remedy: `write "*.example.com" for every name below example.com`,
		}
	}
	name, bad := canonicalName(rest)
	if bad != nil {
		return Pattern{}, bad
	}
	if !wild && !strings.Contains(name, ".") {
		return Pattern{}, singleLabel(name)
	}
	return Pattern{name: name, wild: wild}, nil
}

func singleLabel(name string) *mistake {
	if strings.HasPrefix(name, "_") {
		return &mistake{rule: RuleWord, what: quote(name) + " is not a word of the grammar", remedy: "the words are _dns_, _host_, _internet_ and *"}
	}
	return &mistake{
		rule:   RuleSingleLabel,
		what:   quote(name) + " is a name of one label, which only Docker resolves",
		remedy: "write the full name, unless it is on the same network, which is always reachable",
	}
}

// Match says whether name is what p stands for: the name itself, or for a wildcard a name one or
// more labels below it. The name may be in any case and end in a dot; a name with an escaped
// character (RFC 1035, section 5.1) matches no wildcard, since its dots need not separate labels.
func (p Pattern) Match(name string) bool {
	name = strings.TrimSuffix(name, ".")
	if p.name == "" {
		return false
	}
	if !p.wild {
		return equalFold(name, p.name)
	}
	cut := len(name) - len(p.name) - 1
	if cut < 1 || name[cut] != '.' || !equalFold(name[cut+1:], p.name) {
		return false
	}
	return isBelow(name[:cut])
}

// isBelow says whether s can stand in front of a wildcard's name: labels, none of them empty.
func isBelow(s string) bool {
	return s[0] != '.' && s[len(s)-1] != '.' && !strings.Contains(s, "..") && !strings.Contains(s, `\`)
}

// equalFold compares as DNS does (RFC 4343), where only ASCII letters fold. For strings.EqualFold the
// Kelvin sign is a k too, but it is longer, and lower is ASCII.
func equalFold(s, lower string) bool { return len(s) == len(lower) && strings.EqualFold(s, lower) }

// Name is the canonical name, without the "*." of a wildcard; empty for the zero value.
func (p Pattern) Name() string { return p.name }

// Wild says whether p stands for the names below Name, and not for Name itself.
func (p Pattern) Wild() bool { return p.wild }

// String is the pattern as one would write it.
func (p Pattern) String() string {
	if p.wild {
		return "*." + p.name
	}
	return p.name
}
