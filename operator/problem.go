package operator

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dockerwall/dockerwall/plain"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/sortby"
)

// The rules that a file can break, besides those of package policy. They are names for programs, and do not change.
const (
	RuleDenyAction = "bad-deny-action"
	RuleFile       = "policy-file"    // it cannot be read, or must not be
	RuleGlob       = "bad-glob"       // nothing that it could match
	RuleGroupTwice = "group-twice"    // two files define it
	RuleKey        = "unknown-key"    // or one that stands twice
	RuleMatch      = "empty-match"    // nobody said for which containers
	RuleNothing    = "says-nothing"   // without any effect
	RulePlace      = "wrong-list"     // a denial among allows, a group in a group
	RuleSyntax     = "not-yaml"       // or more of YAML than is read
	RuleType       = "wrong-type"     // such as a list in place of a word
	RuleCopy       = "last-good-copy" // the daemon's own, of the last good version
)

// Problem is something to correct in a file. Texts from outside are cleaned and shortened in every field.
type Problem struct {
	File         string // its base name, "" when it is about the directory
	Line, Column int    // from 1, Column in characters; 0 when it is about all of the file, or the line
	policy.Problem
}

// Place is where the problem is, such as "shop.yaml:3:12".
func (p Problem) Place() string {
	file := plain.Text(p.File, 255)
	switch {
	case p.Line == 0:
		return file
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", file, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", file, p.Line, p.Column)
}

// String is the problem as one line, such as `shop.yaml:3:12: error, "x.y:99999": "99999" is not a port; ports are …`.
func (p Problem) String() string { return strings.TrimPrefix(p.Place()+": "+p.Problem.String(), ": ") }

// Bad says whether one of the problems is an error, so that a file with it does not count.
func Bad(problems []Problem) bool {
	return slices.ContainsFunc(problems, func(p Problem) bool { return p.Severity == policy.Error })
}

// maxProblems bounds the problems told of one file; one more stands for the rest.
const maxProblems = 20

// bounded puts the problems of one file in the order of its lines, errors kept in preference to warnings.
func bounded(file string, problems []Problem) []Problem {
	problems = slices.Clone(problems)
	sortby.Stable(problems, func(a, b Problem) int { return cmp.Compare(a.Severity, b.Severity) })
	var more []Problem
	if rest := len(problems) - maxProblems; rest > 0 {
		more = []Problem{{File: file, Problem: policy.Problem{
			Severity: problems[maxProblems].Severity, Rule: policy.RuleMore, Message: fmt.Sprintf("… and %d more", rest), Remedy: "correct these first",
		}}}
		problems = problems[:maxProblems]
	}
	sortby.Stable(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return append(problems, more...)
}

// maxShown is how many characters of a foreign text are shown.
const maxShown = 64

// quote shortens foreign text, escapes what is not printable, and puts it in quotation marks.
func quote(s string) string {
	n := 0
	for i := range s {
		if n++; n > maxShown {
			return strconv.Quote(s[:i] + "…")
		}
	}
	return strconv.Quote(s)
}
