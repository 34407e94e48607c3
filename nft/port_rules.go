package nft

// portRules judge each frame that a port of any bridge receives. A port of another kind than veth is no container's.
// What a port may speak for is asked before its source is found good; all else of a known IPv4 source is one lookup.
func portRules() []Rule {
	bound := func(f family) Rule {
		return rule(carrying(f, in(boundSet(f), iifname(), etherSaddr(), frameSaddr(f))), accept())
	}
	return []Rule{
		bound(v4),
		rule(isICMPv6(neighbourAdvert), vmap(mapAdverts, iifname())),
		rule(fromNobody(), isICMPv6(neighbourSolicit), vmap(mapAdverts, iifname())),
		rule(in(setKnown, iifname()), proto(ICMPv6), in(setRouters, icmpv6Type()), goTo(chainSpoof)),
		bound(v6),
		// The stack takes a tag of VLAN 0 off, and the next one, but here is seen only what the outer one covers.
		rule(in(setKnown, iifname()), in(setStacked, metaProtocol()), goTo(chainSpoof)),
		rule(fromVeth(), in(setMACs, etherSaddr()), notIn(setOwn, iifname(), etherSaddr()), goTo(chainClaimed)),
		rule(fromVeth(), carrying(v4, in(takenSet(v4), frameSaddr(v4))), goTo(chainClaimed)),
		rule(fromVeth(), carrying(v6, in(takenSet(v6), frameSaddr(v6))), goTo(chainClaimed)),
		rule(fromVeth(), isARP(), in(takenSet(v4), arpSaddrIP()), notIn(boundSet(v4), iifname(), arpSaddrMAC(), arpSaddrIP()), goTo(chainClaimed)),
	}
}

// claimedRules deny what is bound to another port. A port that nobody knows may be the new one of a container that has
// just started again with what it had: while the daemon lives that is bound in a moment, and while it does not, the
// container goes on as before.
func claimedRules() []Rule {
	return []Rule{
		rule(in(setKnown, iifname()), goTo(chainSpoof)),
		rule(in(setAwake, metaProtocol()), goTo(chainSpoof)),
	}
}

// awakeSet has the EtherTypes of what can claim an address, for three seconds after each [Kernel.Awake].
func awakeSet() Set {
	return Set{Name: setAwake, Types: []keyType{typeFrame}, Dynamic: true, Timeout: aliveFor, Size: 8}
}

// spoofRules end what is not the sender's to send.
func (r Ruleset) spoofRules() []Rule {
	return []Rule{
		rule(count(dropCounter(Spoof))),
		rule(logLimit(), log(logPrefix("-", Spoof, r.DryRun), r.LogGroup)),
		rule(r.end()),
	}
}
