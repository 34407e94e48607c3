package check

import (
	"net/netip"

	"github.com/dockerwall/dockerwall/policy"
)

// maxCompared is how many tokens of a text are compared with each other.
const maxCompared = 1024

// notes are about tokens that are understood and count.
func (c *checker) notes(l label) {
	entries := c.options.Grammar.Entries(l.value)
	names := map[policy.Token]bool{}
	for _, e := range entries {
		names[e.Token] = true
	}
	for _, e := range entries {
		note := func(rule string, severity Severity, message, remedy string) {
			c.add(Finding{
				Rule: rule, Severity: severity, Label: l.key, Position: e.Pos, Token: e.Text, Message: message, Remedy: remedy,
			})
		}
		switch d := e.Dest.(type) {
		case policy.Pattern:
			if mixed := mixedScripts(d.Name()); mixed != "" {
				note(RuleMixedScript, Warning, mixed, "type the name anew, or write the label as DNS has it if it is meant")
			}
			if apex, ok := apexOf(e.Token); ok && !names[apex] {
				does := "allowed"
				if e.Deny {
					does = "denied"
				}
				note(RuleApex, Note, d.Name()+" itself is not "+does+" by it", `add "`+apex.String()+`" if it is meant too`)
			}
		case policy.Literal:
			c.literal(d, e.Deny, note)
		}
	}
	c.covered(l, entries)
}

// apexOf is the token for the name that a wildcard's names are below; of a top-level domain there is none.
func apexOf(t policy.Token) (policy.Token, bool) {
	p, ok := t.Dest.(policy.Pattern)
	if !ok || !p.Wild() {
		return t, false
	}
	apex, err := policy.ParsePattern(p.Name())
	t.Dest = apex
	return t, err == nil
}

// literal looks at allowed addresses that open less than they seem to.
func (c *checker) literal(l policy.Literal, deny bool, note func(rule string, s Severity, message, remedy string)) {
	if deny {
		return
	}
	const remedy = "write _host_:PORT if a service of this host is meant"
	if l.First.IsLoopback() && l.Last.IsLoopback() {
		note(RuleLoopback, Warning, "loopback is the container's own, and what it sends there never leaves it", remedy+", else remove it")
		return
	}
	if l.Single() {
		return
	}
	for _, a := range c.options.host() {
		if holds(l, a) {
			note(RuleHostInRange, Note, "the range holds "+a.String()+" of this host, which no prefix or range opens", remedy)
			return
		}
	}
}

func holds(l policy.Literal, a netip.Addr) bool {
	a = a.Unmap()
	return a.BitLen() == l.First.BitLen() && l.First.Compare(a) <= 0 && a.Compare(l.Last) <= 0
}

// covered notes tokens that another one of the text makes needless, or all but needless.
func (c *checker) covered(l label, entries []policy.Entry) {
	if len(entries) > maxCompared {
		entries = entries[:maxCompared]
	}
	for i, e := range entries {
		for j, by := range entries {
			same := e.Token == by.Token
			if i == j || e.Deny != by.Deny || same && i < j || !by.Covers(e.Token) {
				continue
			}
			message, remedy := why(e.Token, by.Token)
			c.add(Finding{
				Rule: RuleCovered, Severity: Note, Label: l.key, Position: e.Pos, Token: e.Text, Message: message, Remedy: remedy,
			})
			break
		}
	}
}

// why says what is left of a token that another covers.
func why(t, by policy.Token) (message, remedy string) {
	covers := "\"" + by.String() + `" covers it`
	p, _ := t.Dest.(policy.Pattern)
	wide, _ := by.Dest.(policy.Pattern)
	l, _ := t.Dest.(policy.Literal)
	wider, _ := by.Dest.(policy.Literal)
	switch {
	case t == by:
		return "it stands twice", "remove one of the two"
	case wide.Wild() && p != policy.Pattern{} && !p.Wild():
		return covers + ", except that a name in full is also asked for ahead and may mean a private address", "remove it if neither matters"
	case !t.Deny && wider != policy.Literal{} && l.Single() && !wider.Single():
		return covers + ", except that a single address also opens the host where it is the host's own", "remove it if it is not"
	}
	return covers, "remove it"
}
