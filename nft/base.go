package nft

import "slices"

// The rules of the hooks, in the order of DESIGN.md section 3: each step is a place where another
// order would leak or break.

// forwardRules judge what containers send through the host, and what comes back to them; first are the knownRules.
func (r Ruleset) forwardRules(first []Rule) []Rule {
	rules := append(slices.Clone(first),
		rule(toBridge(), vmap(mapSame, iifname(), oifname())),
		rule(ctInvalid(), in(setBridges, iifname()), goTo("invalid")),
	)
	rules = append(rules, r.keepCut(notIn(setBridges, iifname()))...)
	return append(rules, r.dispatch()...)
}

// preroutingRules keep conntrack from what a bridge shows to many: it would know of such a packet for good before anybody
// judges it, where bridged packets are filtered (br_nf_local_in confirms it, kernel 6.8, 62e7151ae3eb), and a container
// could send itself the answer. Neither is part of any connection.
func (r Ruleset) preroutingRules() []Rule {
	rules := []Rule{rule(notToHost(), in(setBridges, iifname()), notrack())}
	if !r.FenceUnknown {
		return rules
	}
	if len(r.Free) == 0 {
		return append(rules, rule(notToHost(), unknownBridge(), notrack()))
	}
	return append(rules, rule(notToHost(), unknownBridge(), notIn(setFree, iifname()), notrack()))
}

// outputRules deny only what would bring back a container's flow to the host that was cut.
func (r Ruleset) outputRules() []Rule { return r.keepCut() }

// inputRules judge what containers send to the host itself; first are the knownRules.
func (r Ruleset) inputRules(first []Rule) []Rule {
	neighbours := rule(proto(ICMPv6), in(setNeighbour, icmpv6Type()), accept())
	rules := append([]Rule{rule(fromVeth(), toReserved(), goTo("unknown")), neighbours}, first...)
	rules = append(rules, rule(ctInvalid(), in(setBridges, iifname()), goTo("invalid")))
	return append(rules, r.dispatch()...)
}

// knownRules count what each source sends, in the elements. What is part of a connection passes here already where it comes
// from a source that is counted, or not from a fenced bridge: no rule below denies any of it, and most packets are such.
// They stand first because it is names that cost: to look one up takes longer than all else that a rule does.
func (r Ruleset) knownRules() []Rule {
	var rules []Rule
	home := !r.hostIsSource()
	for _, f := range families() {
		counted := []clause{fromBridge(), in(sentSet(f), iifname(), saddr(f))}
		if home {
			counted = append(counted, ctEstablished(), accept())
		}
		rules = append(rules, rule(counted...))
	}
	return append(rules, rule(ctEstablished(), notIn(setBridges, iifname()), accept()))
}

// hostIsSource says whether a container is said to have an address that is the host's on that bridge. It is at home
// nowhere then, see [Bridge.homes]; all others that are counted are.
func (r Ruleset) hostIsSource() bool {
	own := map[Endpoint]bool{}
	for _, b := range r.Bridges {
		for _, a := range b.Addrs {
			own[Endpoint{b.Name, a}] = true
		}
	}
	return slices.ContainsFunc(r.Containers, func(c Container) bool {
		return slices.ContainsFunc(c.Endpoints, func(e Endpoint) bool { return own[e] })
	})
}

// dispatch is the common end of both hooks: known flows pass, known sources go to their chain, and
// what else comes from a fenced bridge is nobody we know.
func (r Ruleset) dispatch() []Rule {
	rules := []Rule{rule(vmap(mapHomes, iifname())), rule(ctEstablished(), accept())}
	rules = append(rules, related()...)
	for _, f := range families() {
		rules = append(rules, rule(vmap(sourceMap(f), iifname(), saddr(f))))
	}
	rules = append(rules, rule(in(setBridges, iifname()), goTo("unknown")))
	if !r.FenceUnknown {
		return rules
	}
	if len(r.Free) == 0 {
		return append(rules, rule(unknownBridge(), goTo("unknown")))
	}
	return append(rules, rule(unknownBridge(), notIn(setFree, iifname()), goTo("unknown")))
}

// related accepts errors about flows. A container's have to be about a flow of its own: conntrack asks only that an error
// goes to an end of the flow that it is about, and it can carry anything.
func related() []Rule {
	rules := []Rule{rule(ctRelated(), in(setICMP, l4proto()), notIn(setBridges, iifname()), accept())}
	for _, f := range families() {
		for _, reply := range []bool{false, true} {
			rules = append(rules, rule(ctRelated(), in(setICMP, l4proto()), in(selfSet(f), iifname(), saddr(f), flowSource(f, reply)), accept()))
		}
	}
	return rules
}

// invalidRules end what conntrack cannot place, counted by source; sources in audit pass.
func (r Ruleset) invalidRules() []Rule {
	rules := []Rule{
		rule(count(dropCounter(Invalid))),
		rule(logLimit(), log(logPrefix("-", Invalid, r.DryRun), r.LogGroup)),
	}
	for _, f := range families() {
		rules = append(rules, rule(in(invalidSet(f), iifname(), saddr(f))), rule(in(lenientSet(f), iifname(), saddr(f)), accept()))
	}
	return append(rules, rule(r.end()))
}

// unknownRules end what comes from an address no container has.
func (r Ruleset) unknownRules() []Rule {
	return []Rule{
		rule(count(dropCounter(Unknown))),
		rule(logLimit(), log(logPrefix("-", Unknown, r.DryRun), r.LogGroup)),
		rule(r.end()),
	}
}

func (r Ruleset) end() clause {
	if r.DryRun {
		return accept()
	}
	return drop()
}

// noiseChains end denied packets that no one meant as a connection: stray TCP, multicast, broadcast.
// They have reasons of their own and are never listed as destinations.
func noiseChains(pass bool) []Chain {
	end := drop()
	if pass {
		end = accept()
	}
	stray, multicast := audited("stray", pass), audited("multicast", pass)
	return []Chain{
		{Name: stray, Rules: []Rule{rule(count(dropCounter(Stray))), rule(end)}},
		{Name: multicast, Rules: []Rule{rule(count(dropCounter(Multicast))), rule(end)}},
		{Name: audited("noise", pass), Rules: []Rule{
			rule(straySegment(), ctNew(), goTo(stray)),
			rule(pktBroadcast(), goTo(multicast)),
			rule(inRange(multicast4(), daddr(v4)), goTo(multicast)),
			rule(inRange(multicast6(), daddr(v6)), goTo(multicast)),
		}},
	}
}
