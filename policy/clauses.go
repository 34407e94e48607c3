package policy

import "fmt"

// limitClauses makes sure that tokens which become a rule for each clause have few of them. Where they
// do not, allows are left out, and denials deny all ports and make the text void: both regardless of
// order, and both without opening anything.
func (p *parser) limitClauses() {
	kinds := map[string]func(Destination) bool{
		"of names": func(d Destination) bool {
			_, ok := d.(Pattern)
			return ok
		},
		"of _host_, _internet_ and *": func(d Destination) bool {
			_, ok := d.(Special)
			return ok
		},
	}
	for _, what := range []string{"of names", "of _host_, _internet_ and *"} {
		for _, deny := range []bool{false, true} {
			belongs := func(t Token) bool { return t.Deny == deny && t.Clause != Clause{} && kinds[what](t.Dest) }
			if p.clauses(belongs) > MaxClauses {
				p.refuseClauses(what, deny, belongs)
			}
		}
	}
}

// clauses counts the different clauses of tokens.
func (p *parser) clauses(belongs func(Token) bool) int {
	seen := map[Clause]bool{}
	for _, e := range p.entries {
		if belongs(e.Token) {
			seen[e.Clause] = true
		}
	}
	return len(seen)
}

func (p *parser) refuseClauses(kind string, deny bool, belongs func(Token) bool) {
	what := fmt.Sprintf("more than %d different ports and protocols %s: allows of them with ports are left out", MaxClauses, kind)
	if deny {
		p.void = true
		what = fmt.Sprintf("more than %d different denied ports and protocols %s: all their ports are denied%s", MaxClauses, kind, voids)
	}
	p.refuseAll(deny, belongs, mistake{rule: RuleLimit, what: what, remedy: "write ranges of ports in place of single ones, or addresses"})
}

// refuseAll leaves out the allows that belong, or takes the clauses off the denials that do.
func (p *parser) refuseAll(deny bool, belongs func(Token) bool, m mistake) {
	p.reports.add(Problem{Severity: Error, Rule: m.rule, Label: p.label, Message: m.what, Remedy: m.remedy})
	kept := p.entries[:0]
	for _, e := range p.entries {
		switch {
		case !belongs(e.Token):
			kept = append(kept, e)
		case deny:
			e.Clause = Clause{}
			kept = append(kept, e)
		}
	}
	p.entries = kept
}
