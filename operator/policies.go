package operator

import (
	"slices"

	"github.com/dockerwall/dockerwall/policy"
)

// Policies is what all files of a directory say. The zero value says nothing.
type Policies struct {
	Rules  []Rule                 // in the order of file names, then of lines
	Groups map[policy.Group]Group // the shipped ones and those of files, which go before shipped ones of the same name
}

// Rule is one entry under "policies".
type Rule struct {
	File  string // its base name
	Line  int    // where it begins
	Match Match
	// Policy has what it allows and what it denies. A rule of a file that counts is never void.
	Policy policy.Policy
	Lines  map[policy.Token]int // where each token stands
	Mode   *policy.Mode         // nil says nothing
	Reject *bool                // "deny-action": true answers denied packets, false drops them; nil says nothing
}

// Group is a named list of destinations.
type Group struct {
	Name policy.Group
	File string // its base name, "" for a shipped one
	Line int
	// Policy only allows, and names no groups; who writes !@name denies what it lists.
	Policy policy.Policy
	Lines  map[policy.Token]int
	// Of shipped ones: what it is for, where its names are documented, and the day of the list.
	About, Source, Version string
}

// Grammar reads texts where these groups are known.
func (p Policies) Grammar() policy.Grammar {
	return policy.Grammar{Known: func(name policy.Group) bool {
		_, ok := p.Groups[name]
		return ok
	}}
}

// For returns the rules that match a container, in order.
func (p Policies) For(s Subject) []Rule {
	return slices.DeleteFunc(slices.Clone(p.Rules), func(r Rule) bool { return !r.Match.Matches(s) })
}
