package check

import (
	"github.com/dockerwall/dockerwall/operator"
)

// Policies makes findings of what is wrong with policy files. A finding that has no line is about line 1: formats for
// programs want one.
func Policies(problems []operator.Problem) []Finding {
	var c checker
	for _, p := range problems {
		c.add(found(p.Problem).at(Place{p.File, max(p.Line, 1), max(p.Column, 1)}))
	}
	return ordered(c.findings)
}

func fileRules() []Rule {
	return []Rule{
		{ID: operator.RuleCopy, Severity: Warning, Title: "a last good version that is not kept", Help: "After a restart nothing counts of a file that is bad then. Only the daemon sees it."},
		{ID: operator.RuleDenyAction, Severity: Error, Title: "not a value of deny-action", Help: "It is drop or reject."},
		{ID: operator.RuleFile, Severity: Error, Title: "a policy file that is not read", Help: "It must be a regular file that dockerwall can read and not everybody can write."},
		{ID: operator.RuleGlob, Severity: Error, Title: "a glob that matches nothing", Help: "`*` stands for any characters, `?` for one; several stand in a list."},
		{ID: operator.RuleGroupTwice, Severity: Error, Title: "a group that is defined twice", Help: "Which one was meant is not to be told."},
		{ID: operator.RuleKey, Severity: Error, Title: "a key that is not known, or stands twice", Help: "What a mistyped key says would be passed over."},
		{ID: operator.RuleMatch, Severity: Error, Title: "a rule for nobody knows whom", Help: "A rule for every container says so: `container: \"*\"`."},
		{ID: operator.RuleNothing, Severity: Error, Title: "a file, rule or group that says nothing", Help: "It may be half written."},
		{ID: operator.RulePlace, Severity: Error, Title: "a token in the wrong list", Help: "Denials stand under `deny`, without the `!`; a group holds destinations alone."},
		{ID: operator.RuleSyntax, Severity: Error, Title: "not the YAML that is read", Help: "One document in UTF-8, without tags, anchors and aliases; what begins with `*`, `@`, `!` or `&` needs quotes."},
		{ID: operator.RuleType, Severity: Error, Title: "a value of another type", Help: "Names and destinations are texts; what YAML takes for a number or a truth value needs quotes."},
	}
}
