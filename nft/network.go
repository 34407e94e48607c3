package nft

import (
	"net/netip"
	"slices"
)

// What stays on its bridge. Only br_netfilter shows it to the hooks of inet when the bridge forwards it; without, it has
// been sent to the host to be routed back.

// fragment is the chain that lets a network's containers reach one another whatever the host's
// bridge-nf-call-iptables says. The source has to be of the network, too: with another one, a container could begin a
// connection in somebody else's name to itself or to a neighbour, and what is sent back would pass as a reply, anywhere.
func (b Bridge) fragment() *Fragment {
	name := networkPrefix + b.Network
	var rules []Rule
	for _, a := range b.Addrs {
		rules = append(rules, rule(inRange(Range{a, a}, saddr(familyOf(a))), goTo("unknown")))
	}
	for _, way := range b.ways() {
		f := familyOf(way.to.Addr())
		rules = append(rules, rule(inRange(rangeOf(way.from), saddr(f)), inRange(rangeOf(way.to), daddr(f)), accept()))
	}
	return &Fragment{Owner: name, Title: "network on " + comment(b.Name), Chains: []Chain{{Name: name, Rules: rules}}}
}

// homes is the chain that a fenced bridge's packets go through before it counts that they are part of a connection:
// conntrack does not ask who sends them. They have to come from the network there, which is where its containers and those
// that Docker does not list as such (ingress-sbox) are, or from an address that a container there has on another network:
// replies go where its routes lead. Nobody there is the host.
func (b Bridge) homes() *Fragment {
	name := homePrefix + b.Network
	var rules []Rule
	for _, a := range b.Addrs {
		rules = append(rules, rule(inRange(Range{a, a}, saddr(familyOf(a))), goTo("unknown")))
	}
	for _, p := range b.local() {
		rules = append(rules, rule(inRange(rangeOf(p), saddr(familyOf(p.Addr()))), goBack()))
	}
	for _, f := range families() {
		rules = append(rules, rule(in(alsoSet(f), iifname(), saddr(f)), goBack()))
	}
	rules = append(rules, rule(goTo("unknown")))
	return &Fragment{Owner: name, Title: homesTitle(b.Name), Chains: []Chain{{Name: name, Rules: rules}}}
}

func homesTitle(bridge string) string { return "sources on " + comment(bridge) }

// local are the network's own addresses, the link-local ones of IPv6 among them.
func (b Bridge) local() []netip.Prefix {
	return append(slices.Clone(b.Subnets), netip.MustParsePrefix("fe80::/10"))
}

// networkMaps lead packets that stay on their bridge, and all that come from it, to the chains of its network.
func (r Ruleset) networkMaps() []Set {
	same := Set{Name: mapSame, Types: []keyType{typeIfname, typeIfname}, Verdicts: true}
	homes := Set{Name: mapHomes, Types: []keyType{typeIfname}, Verdicts: true}
	for _, b := range r.Bridges {
		if b.Network != "" {
			same.Elements = append(same.Elements, Element{Key: keyOf(ifname(b.Name), ifname(b.Name)), Verdict: Verdict{Jump: networkPrefix + b.Network}})
			homes.Elements = append(homes.Elements, Element{Key: ifname(b.Name), Verdict: Verdict{Jump: homePrefix + b.Network}})
		}
	}
	sortElements(same.Elements)
	sortElements(homes.Elements)
	return []Set{same, homes}
}

// alsoSets are who else may send replies on a bridge: containers there, from addresses that are not of its network.
func (r Ruleset) alsoSets() []Set {
	bridges := make(map[string]Bridge, len(r.Bridges))
	for _, b := range r.Bridges {
		bridges[b.Name] = b
	}
	out := []Set{{Name: alsoSet(v4), Types: []keyType{typeIfname, typeIPv4}}, {Name: alsoSet(v6), Types: []keyType{typeIfname, typeIPv6}}}
	for i := range r.Containers {
		for _, at := range r.Containers[i].Endpoints {
			for _, has := range r.Containers[i].Endpoints {
				if b := bridges[at.Bridge]; at == has && b.holds(has.Addr) || at.Bridge == has.Bridge && at != has {
					continue
				}
				set := &out[0]
				if isFamily(has.Addr, v6) {
					set = &out[1]
				}
				set.Elements = append(set.Elements, Element{Key: keyOf(ifname(at.Bridge), addrBytes(has.Addr))})
			}
		}
	}
	for i := range out {
		sortElements(out[i].Elements)
		out[i].Elements = slices.Compact(out[i].Elements)
	}
	return out
}

// holds says whether an address is of the bridge's network.
func (b Bridge) holds(a netip.Addr) bool {
	return slices.ContainsFunc(b.local(), func(p netip.Prefix) bool { return p.Contains(a) })
}

// atHome says whether a packet's source may answer from the bridge it comes from; of a bridge that no more is known of
// than its name, all may.
func (r Ruleset) atHome(p Packet) bool {
	i := slices.IndexFunc(r.Bridges, func(b Bridge) bool { return b.Name == p.In && b.Network != "" })
	if i < 0 {
		return true
	}
	b := r.Bridges[i]
	switch {
	case slices.Contains(b.Addrs, p.Src):
		return false
	case b.holds(p.Src):
		return true
	}
	return slices.ContainsFunc(r.Containers, func(c Container) bool {
		here := slices.ContainsFunc(c.Endpoints, func(e Endpoint) bool { return e.Bridge == p.In })
		return here && slices.ContainsFunc(c.Endpoints, func(e Endpoint) bool { return e.Addr == p.Src })
	})
}

// way is from where to where packets may stay on a bridge.
type way struct{ from, to netip.Prefix }

// ways of a network: between its own addresses, the link-local ones of IPv6 among them, and from these, or from who has
// none yet, to all or to a group.
func (b Bridge) ways() []way {
	locals := map[family][]netip.Prefix{v6: {netip.MustParsePrefix("fe80::/10")}}
	for _, p := range b.Subnets {
		locals[familyOf(p.Addr())] = append(locals[familyOf(p.Addr())], p)
	}
	groups := map[family][]netip.Prefix{
		v4: {netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("255.255.255.255/32")},
		v6: {netip.MustParsePrefix("ff00::/8")},
	}
	nobody := map[family]netip.Prefix{v4: netip.MustParsePrefix("0.0.0.0/32"), v6: netip.MustParsePrefix("::/128")}
	var out []way
	for _, f := range families() {
		for _, from := range locals[f] {
			for _, to := range slices.Concat(locals[f], groups[f]) {
				out = append(out, way{from, to})
			}
		}
		for _, to := range groups[f] {
			out = append(out, way{nobody[f], to})
		}
	}
	return out
}

// staying is the bridge that a packet stays on, nil if it does not, or nothing is known of the network there.
func (r Ruleset) staying(p Packet) *Bridge {
	if p.Hook != Forward || p.In != p.Out {
		return nil
	}
	for i, b := range r.Bridges {
		if b.Name == p.In && b.Network != "" {
			return &r.Bridges[i]
		}
	}
	return nil
}

// asHost says whether a packet that stays on its bridge claims to be the host's.
func (r Ruleset) asHost(p Packet) bool {
	b := r.staying(p)
	return b != nil && slices.Contains(b.Addrs, p.Src)
}

func (r Ruleset) sameNetwork(p Packet) bool {
	b := r.staying(p)
	return b != nil && slices.ContainsFunc(b.ways(), func(w way) bool { return w.from.Contains(p.Src) && w.to.Contains(p.Dst) })
}
