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
	name := "n_" + b.Network
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
