package nft

import (
	"slices"
)

func (g generator) clause() Clause {
	switch g.Intn(5) {
	case 0:
		return Clause{Proto: pick(g, []uint8{TCP, UDP}), Ports: pick(g, worldPorts())}
	case 1:
		return Clause{Ports: pick(g, worldPorts())}
	case 2:
		return Clause{Proto: pick(g, []uint8{TCP, UDP, ICMP})}
	}
	return Clause{}
}

func (g generator) clauses(percent int) []Clause {
	if !g.chance(percent) {
		return nil
	}
	out := []Clause{g.clause()}
	if second := g.clause(); second != out[0] && g.chance(30) {
		out = append(out, second)
	}
	return out
}

func (g generator) addrs(n int) []Range {
	var out []Range
	for _, a := range some(g, worldAddrs(), n) {
		out = append(out, Range{a, a})
	}
	return out
}

// ranges cuts the address space at random places, so that some ranges are adjacent.
func (g generator) ranges(n int) []Range {
	cuts := some(g, worldAddrs(), n)
	var out []Range
	for i := 1; i < len(cuts); i++ {
		if cuts[i].Is4() != cuts[i-1].Is4() || g.chance(40) {
			continue
		}
		r := Range{cuts[i-1], cuts[i].Prev()}
		if g.chance(20) {
			r = Range{cuts[i-1], cuts[i-1]}
		}
		out = append(out, r)
	}
	if more := append(out, nets("198.18.0.0/15", "2001:db8:8000::/33")...); g.chance(30) && disjoint(more) == nil {
		return more
	}
	return out
}

func (g generator) boxes(over []Range) []Box {
	var out []Box
	for _, r := range over {
		for _, p := range some(g, []uint8{TCP, UDP}, 2) {
			for _, ports := range some(g, []Ports{{0, 79}, {80, 80}, {443, 443}, {444, 1023}, {8000, 8080}, {60000, 65535}}, 2) {
				out = append(out, Box{r, p, ports})
			}
		}
	}
	return out
}

func (g generator) named(n int) []NamedAddr {
	var out []NamedAddr
	for _, a := range some(g, worldAddrs(), n) {
		out = append(out, NamedAddr{a, pick(g, []string{"www.example.org", "api.example.com", "bücher.example", ""})})
	}
	return out
}

func (g generator) matches() Matches {
	m := Matches{
		All:      g.clauses(8),
		Host:     g.clauses(20),
		Internet: g.clauses(20),
		Addrs:    Literals{Any: g.addrs(3), ICMP: g.addrs(2), Boxes: g.boxes(g.addrs(2))},
		Nets:     Literals{Any: g.ranges(5), ICMP: g.ranges(3), Boxes: g.boxes(g.ranges(4))},
	}
	if g.chance(30) {
		m.Resolvers = some(g, worldAddrs(), 3)
	}
	for range g.Intn(3) {
		n := NameSet{Clause: g.clause(), Addrs: g.named(6)}
		if !slices.ContainsFunc(m.Names, func(o NameSet) bool { return o.Clause == n.Clause }) {
			m.Names = append(m.Names, n)
		}
	}
	return m
}

// source is an origin of policy; denials are few, or nothing would be allowed.
func (g generator) source(name string) Source {
	s := Source{Name: name, Allow: g.matches()}
	if g.chance(40) {
		s.Deny = g.matches()
		s.Deny.All = nil
		s.Deny.Nets.Any = g.ranges(2)
	}
	return s
}
