package nft

import (
	"net/netip"
	"slices"
)

// matchKind is how a set is looked up in a container's chain.
type matchKind uint8

const (
	addrAny matchKind = iota
	addrICMP
	addrBox
	resolvers
	netAny
	netICMP
	netBox
	names
)

func (k matchKind) String() string {
	return [...]string{addrAny: "addr", addrICMP: "addricmp", addrBox: "addrsvc", resolvers: "resolver",
		netAny: "net", netICMP: "neticmp", netBox: "svc", names: "dns"}[k]
}

// opensHost says whether a match of this kind counts for packets to the host itself: DESIGN.md
// section 3 lets single addresses and resolvers do that, and nothing else.
func (k matchKind) opensHost() bool { return k <= resolvers }

// matchSet is a set of a source together with the way it is looked up.
type matchSet struct {
	Set
	kind   matchKind
	family family
	clause Clause
	boxes  []Box // of addrBox and netBox, for what a set lookup cannot say
}

// setName is e.g. c_3f2a91b0c4d5_net4, default_no_dns6_tcp_443.
func setName(owner string, deny bool, kind matchKind, f family, c Clause) string {
	name := owner
	if deny {
		name += "_no"
	}
	name += "_" + kind.String() + f.String()
	if part := clauseName(c); part != "" {
		name += "_" + part
	}
	return name
}

// matchSets are the sets that hold a source's addresses of one family. Empty ones do not exist, but
// for those of names: they fill and empty while the rules that look them up stay.
func matchSets(owner string, deny bool, m Matches, f family) []matchSet {
	var out []matchSet
	add := func(kind matchKind, c Clause, set Set, boxes []Box) {
		if len(set.Elements) > 0 || kind == names {
			set.Name = setName(owner, deny, kind, f, c)
			out = append(out, matchSet{set, kind, f, c, boxes})
		}
	}
	add(addrAny, Clause{}, hashSet(f, firsts(m.Addrs.Any)), nil)
	add(addrICMP, Clause{}, hashSet(f, firsts(m.Addrs.ICMP)), nil)
	add(addrBox, Clause{}, boxSet(f, m.Addrs.Boxes), m.Addrs.Boxes)
	add(resolvers, Clause{}, hashSet(f, unnamed(m.Resolvers)), nil)
	add(netAny, Clause{}, rangeSet(f, m.Nets.Any), nil)
	add(netICMP, Clause{}, rangeSet(f, m.Nets.ICMP), nil)
	add(netBox, Clause{}, boxSet(f, m.Nets.Boxes), m.Nets.Boxes)
	for _, n := range m.Names {
		add(names, n.Clause, hashSet(f, n.Addrs), nil)
	}
	return out
}

func firsts(ranges []Range) []NamedAddr {
	out := make([]NamedAddr, 0, len(ranges))
	for _, r := range ranges {
		out = append(out, NamedAddr{Addr: r.First})
	}
	return out
}

func unnamed(addrs []netip.Addr) []NamedAddr {
	out := make([]NamedAddr, 0, len(addrs))
	for _, a := range addrs {
		out = append(out, NamedAddr{Addr: a})
	}
	return out
}

func hashSet(f family, addrs []NamedAddr) Set {
	s := Set{Types: []keyType{addrType(f)}}
	for _, a := range addrs {
		if isFamily(a.Addr, f) {
			s.Elements = append(s.Elements, Element{Key: addrBytes(a.Addr), Comment: comment(a.Name)})
		}
	}
	sortElements(s.Elements)
	return s
}

func rangeSet(f family, ranges []Range) Set {
	s := Set{Types: []keyType{addrType(f)}, Interval: true}
	for _, r := range ranges {
		if isFamily(r.First, f) {
			s.Elements = append(s.Elements, interval(addrBytes(r.First), addrBytes(r.Last)))
		}
	}
	sortElements(s.Elements)
	return s
}

func boxSet(f family, boxes []Box) Set {
	s := Set{Types: []keyType{addrType(f), typeProto, typeService}, Interval: true}
	for _, b := range boxes {
		if isFamily(b.First, f) {
			s.Elements = append(s.Elements, interval(
				keyOf(addrBytes(b.First), protoBytes(b.Proto), portBytes(b.Ports.First)),
				keyOf(addrBytes(b.Last), protoBytes(b.Proto), portBytes(b.Ports.Last))))
		}
	}
	sortElements(s.Elements)
	return s
}

func interval(first, last string) Element {
	if first == last {
		return Element{Key: first}
	}
	return Element{Key: first, End: last}
}

func sortElements(e []Element) {
	slices.SortFunc(e, compareElements)
}

// clauses is the lookup as part of a rule.
func (m matchSet) clauses() []clause {
	set := in(m.Name, daddr(m.family))
	switch m.kind {
	case addrICMP, netICMP:
		return append(m.family.narrow(Clause{Proto: ICMP}), set)
	case addrBox, netBox:
		return []clause{in(m.Name, daddr(m.family), l4proto(), thDport())}
	case resolvers:
		return []clause{set, in(setTransport, l4proto()), dport(0, Ports{53, 53})}
	default:
		return append([]clause{set}, m.family.narrow(m.clause)...)
	}
}

// narrow is a Clause of the policy as clauses of a rule. Family 0 stands for both.
func (f family) narrow(c Clause) []clause {
	switch {
	case c.Proto == ICMP && f == v4:
		return []clause{proto(ICMP)}
	case c.Proto == ICMP && f == v6:
		return []clause{proto(ICMPv6)}
	case c.Proto == ICMP:
		return []clause{in(setICMP, l4proto())}
	case c == Clause{}:
		return nil
	case c.Ports == Ports{}:
		return []clause{proto(c.Proto)}
	case c.Proto == 0:
		return []clause{in(setTransport, l4proto()), dport(0, c.Ports)}
	}
	return []clause{dport(c.Proto, c.Ports)}
}

// narrowOriginal is narrow for the port before DNAT: one list of clauses for each protocol. ICMP has no
// port that could be published.
func narrowOriginal(c Clause) [][]clause {
	switch {
	case c.Proto == ICMP:
		return nil
	case c == Clause{}:
		return [][]clause{nil}
	case c.Ports == Ports{}:
		return [][]clause{{proto(c.Proto)}}
	case c.Proto == 0:
		return [][]clause{{originalDport(TCP, c.Ports)}, {originalDport(UDP, c.Ports)}}
	}
	return [][]clause{{originalDport(c.Proto, c.Ports)}}
}

// original is the lookup of the destination before DNAT, one list of clauses for each rule.
func (m matchSet) original() [][]clause {
	switch m.kind {
	case addrAny, netAny:
		return [][]clause{{in(m.Name, originalDaddr(m.family))}}
	case addrICMP, netICMP:
		return [][]clause{append(m.family.narrow(Clause{Proto: ICMP}), in(m.Name, originalDaddr(m.family)))}
	case names:
		if m.clause.Proto == ICMP {
			return [][]clause{append(m.family.narrow(m.clause), in(m.Name, originalDaddr(m.family)))}
		}
		var out [][]clause
		for _, c := range narrowOriginal(m.clause) {
			out = append(out, append([]clause{in(m.Name, originalDaddr(m.family))}, c...))
		}
		return out
	case resolvers:
		set := in(m.Name, originalDaddr(m.family))
		return [][]clause{{set, originalDport(TCP, Ports{53, 53})}, {set, originalDport(UDP, Ports{53, 53})}}
	default:
		return m.originalBoxes()
	}
}

// maxOriginal is how many boxes are spelled out for packets after DNAT, a rule each.
const maxOriginal = 256

// originalBoxes spells boxes out: nft cannot put "ct original proto-dst" into a concatenation. Of more
// than maxOriginal none is: what is redirected is denied altogether then.
func (m matchSet) originalBoxes() [][]clause {
	if len(m.boxes) > maxOriginal {
		return [][]clause{nil}
	}
	var out [][]clause
	for _, b := range m.boxes {
		if isFamily(b.First, m.family) {
			out = append(out, []clause{inRange(b.Range, originalDaddr(m.family)), originalDport(b.Proto, b.Ports)})
		}
	}
	return out
}
