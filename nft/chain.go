package nft

import (
	"cmp"
	"slices"
)

// sourceRules are the rules that one source adds to the chain of every container that follows it,
// without their verdicts.
type sourceRules struct {
	deny    []match // any hook
	open    []Rule  // allows in any hook
	literal []Rule  // allows when forwarded, also after DNAT
	name    []Rule  // allows when forwarded and not redirected
}

// and joins two lists of rules.
func (r sourceRules) and(s sourceRules) sourceRules {
	return sourceRules{slices.Concat(r.deny, s.deny), slices.Concat(r.open, s.open), slices.Concat(r.literal, s.literal), slices.Concat(r.name, s.name)}
}

// match is a rule without its verdict, and what asks for it.
type match struct {
	clauses []clause
	why     *origin
}

// then is the match with its verdict.
func (m match) then(verdict clause) Rule {
	out := rule(append(slices.Clone(m.clauses), verdict)...)
	out.why = m.why
	return out
}

// rulesOf compiles a source for containers with endpoints of the given families.
func rulesOf(owner string, s Source, fams []family) (sourceRules, []Set) {
	var out sourceRules
	var sets []Set
	for _, f := range fams {
		rules, more := familyRules(owner, s, f)
		out, sets = out.and(rules), append(sets, more...)
	}
	return out.and(wideRules(s)), sets
}

// familyRules are the rules for packets of one family, with the sets that they look up.
func familyRules(owner string, s Source, f family) (out sourceRules, sets []Set) {
	for _, m := range matchSets(owner, true, s.Deny, f) {
		sets = append(sets, m.Set)
		out.deny = append(out.deny, match{m.clauses(), m.origin(true)})
		for _, original := range m.original() {
			out.deny = append(out.deny, match{append([]clause{dnatted()}, original...), m.origin(true)})
		}
	}
	for _, m := range matchSets(owner, false, s.Allow, f) {
		sets = append(sets, m.Set)
		out.allow(m)
	}
	out.deny = append(out.deny, internet(s.Deny.Internet, f, true)...)
	for _, m := range internet(s.Allow.Internet, f, false) {
		out.name = append(out.name, m.then(accept()))
	}
	return out, sets
}

// wideRules are those for packets of either family.
func wideRules(s Source) sourceRules {
	out := sourceRules{deny: wide(s.Deny, true)}
	for _, m := range wide(s.Allow, false) {
		out.open = append(out.open, m.then(accept()))
	}
	return out
}

func (r *sourceRules) allow(m matchSet) {
	why := m.origin(false)
	one := match{m.clauses(), why}.then(accept())
	switch {
	case m.kind == resolvers: // also one that is a published port, which Docker 29 redirects
		r.open = append(r.open, one)
		for _, original := range m.original() {
			r.open = append(r.open, match{append([]clause{dnatted()}, original...), why}.then(accept()))
		}
	case m.kind.opensHost():
		r.open = append(r.open, one)
	case m.kind == names:
		r.name = append(r.name, one)
	default:
		r.literal = append(r.literal, one)
	}
}

// internet is "oif != 0 ip daddr != @not_public4", narrowed.
func internet(clauses []Clause, f family, deny bool) []match {
	var out []match
	for _, c := range clauses {
		clauses := append([]clause{toHost(false), notIn(notPublicSet(f), daddr(f))}, f.narrow(c)...)
		out = append(out, match{clauses, &origin{deny: deny, word: "_internet_", clause: c}})
	}
	return out
}

// wide is what "*" and "_host_" say, in both hooks and after DNAT.
func wide(m Matches, deny bool) []match {
	var out []match
	for _, c := range m.All {
		out = append(out, match{family(0).narrow(c), &origin{deny: deny, word: "*", clause: c}})
	}
	for _, c := range m.Host {
		why := &origin{deny: deny, word: "_host_", clause: c}
		out = append(out, match{append([]clause{toHost(true)}, family(0).narrow(c)...), why})
		for _, original := range narrowOriginal(c) {
			out = append(out, match{append([]clause{dnatted()}, original...), why})
		}
	}
	return out
}

// containerFragment is all that belongs to one container; shared are the sources that it follows, others may be among them.
func (r Ruleset) containerFragment(c *Container, shared map[string]*compiledSource) *Fragment {
	name := chainOf(c.ID)
	f := &Fragment{Owner: name, Title: c.title(), Who: cmp.Or(comment(c.Name), c.ID)}
	if c.Mode == Off {
		f.Chains = []Chain{{Name: name, Rules: []Rule{rule(accept())}}}
		return f
	}
	fams := c.families()
	own, sets := rulesOf(name, c.Own, fams)
	all := []sourceRules{own}
	for _, name := range c.Shared {
		if s := shared[name]; s != nil {
			all = append(all, s.of(fams))
		}
	}
	for _, fam := range fams {
		sets = append(sets, deniedSet(name, fam))
	}
	slices.SortFunc(sets, func(a, b Set) int { return compareStrings(a.Name, b.Name) })
	f.Counters = []string{name + "_drop"}
	f.Sets = sets
	f.Chains = []Chain{
		{Name: name, Rules: policyRules(all, name+"_deny")},
		{Name: name + "_deny", Rules: r.denyRules(c, fams)},
	}
	return f
}

func (c *Container) title() string {
	title := "container " + comment(c.Name)
	switch {
	case c.Mode == Audit:
		return title + ", audit"
	case c.Mode == Off:
		return title + ", off"
	case c.Reject:
		return title + ", reject"
	}
	return title
}

// families are those the container has an address of; packets of others never reach its chain.
func (c *Container) families() []family {
	var out []family
	for _, f := range families() {
		if slices.ContainsFunc(c.Endpoints, func(e Endpoint) bool { return isFamily(e.Addr, f) }) {
			out = append(out, f)
		}
	}
	return out
}

// policyRules put the rules of all sources in the order of DESIGN.md sections 2 and 3: denials, what
// opens the host too, then what counts for forwarded packets only.
func policyRules(sources []sourceRules, deny string) []Rule {
	var rules []Rule
	each := func(pick func(sourceRules) []Rule) {
		for _, s := range sources {
			rules = append(rules, pick(s)...)
		}
	}
	for _, s := range sources {
		for _, m := range s.deny {
			rules = append(rules, m.then(goTo(deny)))
		}
	}
	each(func(s sourceRules) []Rule { return s.open })
	forwarded := slices.ContainsFunc(sources, func(s sourceRules) bool { return len(s.literal)+len(s.name) > 0 })
	if forwarded {
		rules = append(rules, rule(toHost(true), goTo(deny)))
	}
	each(func(s sourceRules) []Rule { return s.literal })
	if slices.ContainsFunc(sources, func(s sourceRules) bool { return len(s.name) > 0 }) {
		rules = append(rules, rule(dnatted(), goTo(deny)))
	}
	each(func(s sourceRules) []Rule { return s.name })
	return append(rules, rule(goTo(deny)))
}

// denyRules count, record, log and end a denied packet. The counter stands first and the verdict is
// a rule of its own: a full set ends the rule it stands in.
func (r Ruleset) denyRules(c *Container, fams []family) []Rule {
	name, pass := chainOf(c.ID), r.passes(c)
	rules := []Rule{
		rule(count(name + "_drop")),
		rule(jump(audited("noise", pass))),
	}
	for _, f := range fams {
		rules = append(rules, r.recordRules(name, f, pass)...)
	}
	switch {
	case pass:
		rules = append(rules, rule(accept()))
	case c.Reject:
		rules = append(rules, rule(rejectReset()), rule(rejectAdmin()))
	default:
		rules = append(rules, rule(drop()))
	}
	return rules
}

// passes says whether what the container's policy denies goes through all the same.
func (r Ruleset) passes(c *Container) bool { return r.DryRun || c.Mode == Audit }

// audited is the name of a shared chain, or of its twin that accepts in the end.
func audited(chain string, pass bool) string {
	if pass {
		return chain + "_audit"
	}
	return chain
}

// deniedSet records denied destinations: bounded, forgotten after an hour of silence.
func deniedSet(owner string, f family) Set {
	return Set{
		Name: owner + "_denied" + f.String(), Types: []keyType{addrType(f), typeProto, typeService},
		Dynamic: true, Timeout: deniedTimeout, Size: deniedSize,
	}
}

func (r Ruleset) recordRules(name string, f family, pass bool) []Rule {
	set, end := name+"_denied"+f.String(), log(logPrefix(name, Denied, pass), r.LogGroup)
	return []Rule{
		rule(in(setPorted, l4proto()), record(set, !r.NoElementLimit, daddr(f), l4proto(), thDport()), logLimit(), end),
		rule(notIn(setPorted, l4proto()), record(set, !r.NoElementLimit, daddr(f), l4proto(), zeroPort()), logLimit(), end),
	}
}
