package operator

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dockerwall/dockerwall/plain"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/sortby"
)

// Combine is what files say together, beside the groups that are shipped and those of other files. The problems are those
// that only the combination has: a group that two files define, of which the one of the earlier name counts, and a group
// that none does, which denies nothing and allows nothing.
func Combine(files []File, others map[policy.Group]Group) (Policies, []Problem) {
	files = inOrder(files)
	out := together(files, others, Shipped())
	var problems []Problem
	for _, c := range clashes(files, out.Groups) {
		problems = append(problems, c.Problem)
	}
	for _, f := range files {
		for _, g := range f.Groups {
			if other := others[g.Name]; other.File != "" {
				problems = append(problems, double(g, other))
			}
		}
	}
	return out, problems
}

func inOrder(files []File) []File {
	files = slices.Clone(files)
	sortby.Stable(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return files
}

// together joins files. Of groups the first definition counts, else that of a file that is gone, else the shipped one.
func together(files []File, gone, shipped map[policy.Group]Group) Policies {
	out := Policies{Groups: map[policy.Group]Group{}}
	for _, f := range files {
		for _, g := range f.Groups {
			if _, ok := out.Groups[g.Name]; !ok {
				out.Groups[g.Name] = g
			}
		}
	}
	for _, from := range []map[policy.Group]Group{gone, shipped} {
		for name, g := range from {
			if _, ok := out.Groups[name]; !ok {
				out.Groups[name] = g
			}
		}
	}
	for _, f := range files {
		for _, r := range f.Rules {
			out.Rules = append(out.Rules, narrowed(r, out.Groups))
		}
	}
	return out
}

// narrowed leaves out what a rule allows by groups that are not there, and all it allows if it denies such a group.
func narrowed(r Rule, groups map[policy.Group]Group) Rule {
	missing := func(t policy.Token) bool {
		g, ok := t.Dest.(policy.Group)
		return ok && groups[g].Name == ""
	}
	lost := slices.ContainsFunc(r.Policy.Tokens, func(t policy.Token) bool { return t.Deny && missing(t) })
	if lost || slices.ContainsFunc(r.Policy.Tokens, missing) {
		r.Policy.Tokens = slices.DeleteFunc(slices.Clone(r.Policy.Tokens), func(t policy.Token) bool {
			return missing(t) || lost && !t.Deny
		})
	}
	return r
}

// clash is an error of a combination, in the file that it names.
type clash struct {
	Problem
	group  policy.Group
	double []Group // both definitions, the first one first; nil when there is none
}

// clashes are the errors of files that stand together where these groups are known.
func clashes(files []File, known map[policy.Group]Group) (out []clash) {
	first := map[policy.Group]Group{}
	for _, f := range files {
		for _, g := range f.Groups {
			if one, twice := first[g.Name]; twice {
				out = append(out, clash{double(g, one), g.Name, []Group{one, g}})
				continue
			}
			first[g.Name] = g
		}
	}
	for _, f := range files {
		for _, w := range f.wants {
			if _, ok := known[w.group]; !ok {
				out = append(out, clash{Problem: unknown(f.Name, w, known), group: w.group})
			}
		}
	}
	return out
}

// double is the problem of a group that another file defines, too.
func double(g, other Group) Problem {
	return Problem{File: g.File, Line: g.Line, Problem: policy.Problem{
		Severity: policy.Error, Rule: RuleGroupTwice, Token: "@" + string(g.Name),
		Message: fmt.Sprintf("%s, line %d, defines this group, too", plain.Text(other.File, maxShown), other.Line),
		Remedy:  "leave one of them out, or give it another name",
	}}
}

// unknown is the problem of a rule that names a group which is not there.
func unknown(file string, w want, known map[policy.Group]Group) Problem {
	var names []string
	for name := range known {
		names = append(names, string(name))
	}
	slices.Sort(names)
	return Problem{file, w.line, w.column, policy.Problem{
		Severity: policy.Error, Rule: policy.RuleGroup, Token: "@" + string(w.group), Message: "there is no such group",
		Remedy: `define it under "groups" in a file of the directory, or write its destinations themselves; "dockerwall groups" lists those there are` + meant(string(w.group), names...),
	}}
}
