package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Parse reads the tokens of a text, see the package documentation for the grammar. It never fails:
// what cannot be understood is left out, never widens, and is among the problems, which come in the
// order of the text, 20 at most and one for the rest. It knows no group.
func Parse(text string) (Policy, []Problem) { return Grammar{}.Parse(text) }

// Parse is the function [Parse] where some groups are known.
func (g Grammar) Parse(text string) (Policy, []Problem) {
	var r reports
	p := g.parse(text, "", &r)
	return p, r.list()
}

func (g Grammar) parse(text, label string, r *reports) Policy {
	p := parser{grammar: g, reports: r, label: label}
	p.text(text)
	return p.policy()
}

// parser gathers what one text says.
type parser struct {
	grammar Grammar
	reports *reports
	label   string
	entries []entry
	void    bool
}

// entry is a token and where it was read.
type entry struct {
	Token
	text string
	pos  int
}

func (p *parser) text(text string) {
	s := scanner{text: text}
	for n := 0; ; n++ {
		token, pos := s.next()
		if token == "" {
			return
		}
		// The separator after the token is counted with it.
		if n == MaxTokens || s.off-1 > MaxText {
			p.refuse(token, pos, text[min(s.off, len(text)):])
			return
		}
		p.token(token, pos)
	}
}

// refuse leaves out a token and everything after it.
func (p *parser) refuse(token string, pos int, rest string) {
	what := fmt.Sprintf("the text has more than %d tokens or %d bytes and is left out from here on", MaxTokens, MaxText)
	if mayDeny(token) || mayDeny(rest) {
		p.void = true
		what += voids
	}
	p.report(Error, entry{text: token, pos: pos}, mistake{rule: RuleLimit, what: what, remedy: "write prefixes or wildcards for many destinations"})
}

// voids is what a lost denial adds to the message about it.
const voids = ", and a denial is lost with it: no allow beside it counts until that is corrected"

func (p *parser) token(text string, pos int) {
	r := reader{Grammar: p.grammar}
	t, bad := r.token(text)
	e := entry{Token: t, text: text, pos: pos}
	if bad != nil {
		if mayDeny(text) {
			p.void = true
			bad.what += voids
		}
		p.report(Error, e, *bad)
		return
	}
	for _, w := range r.warnings {
		p.report(Warning, e, w)
	}
	p.entries = append(p.entries, e)
}

// mayDeny says whether a text that was not understood could be meant to deny: it has an exclamation
// mark anywhere, in any of the widths that keyboards produce (U+FF01, U+FE57).
func mayDeny(text string) bool { return strings.ContainsAny(text, "!\uff01\ufe57") }

func (p *parser) report(s Severity, e entry, m mistake) {
	p.reports.add(Problem{
		Severity: s, Rule: m.rule, Label: p.label, Pos: position(e.pos, e.text, m.at),
		Token: clean(e.text), Message: m.what, Remedy: m.remedy,
	})
}

// policy makes the canonical value of the entries.
func (p *parser) policy() Policy {
	p.limitBoxes()
	p.limitClauses()
	if p.void {
		p.entries = slices.DeleteFunc(p.entries, func(e entry) bool { return !e.Deny })
	}
	out := Policy{Void: p.void}
	for _, e := range p.entries {
		out.Tokens = append(out.Tokens, e.Token)
	}
	slices.SortFunc(out.Tokens, Token.Compare)
	out.Tokens = slices.Compact(out.Tokens)
	p.warnDenied(out.Tokens)
	return out
}

// limitBoxes makes sure that the address tokens with ports fit [Boxes]. Where they do not, allows are
// left out, and denials deny their addresses altogether and make the text void: both regardless of
// order, and both without opening anything. Single addresses count apart from wider ones, because
// only they can open the host and callers therefore keep them apart.
func (p *parser) limitBoxes() {
	for _, deny := range []bool{false, true} {
		for _, single := range []bool{false, true} {
			belongs := func(t Token) bool {
				l, ok := t.Dest.(Literal)
				return ok && boxed(t.Clause) && t.Deny == deny && l.Single() == single
			}
			var tokens []Token
			for _, e := range p.entries {
				if belongs(e.Token) {
					tokens = append(tokens, e.Token)
				}
			}
			if _, ok := Boxes(tokens); !ok {
				p.refuseBoxes(deny, belongs)
			}
		}
	}
}

func (p *parser) refuseBoxes(deny bool, belongs func(Token) bool) {
	what := "too many ports on overlapping addresses: allows of addresses with ports are left out"
	if deny {
		p.void = true
		what = "too many denied ports on overlapping addresses: all their ports are denied" + voids
	}
	p.refuseAll(deny, belongs, mistake{rule: RuleLimit, what: what, remedy: "write fewer overlapping prefixes, or ranges of ports in place of single ones"})
}
