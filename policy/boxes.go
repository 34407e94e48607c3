package policy

import (
	"cmp"
	"net/netip"
	"slices"
	"sort"
)

// Box is a set of destinations as one element of a concatenated interval set: addresses × protocol ×
// ports.
type Box struct {
	Literal
	Proto Proto     // ProtoTCP or ProtoUDP
	Ports PortRange // every port is 0-65535, spelled out
}

// MaxBoxes is how many boxes [Boxes] returns at most. Each token needs at most two as long as
// addresses do not overlap, so that MaxTokens such tokens always fit.
const MaxBoxes = 2 * MaxTokens

// maxVisits bounds the work of Boxes: how often it looks at one of the port ranges that hold at one
// address. Only thousands of different port ranges on nested address ranges reach it.
const maxVisits = 1 << 22

// Boxes returns what the literal tokens with ports, /tcp or /udp stand for as disjoint boxes, sorted:
// a concatenated set of the kernel refuses elements that cross or lie in one another (pipapo,
// EEXIST). Other tokens are passed over, denial or allow makes no difference, order and repetition
// neither. It returns false, and no boxes, when there would be more than MaxBoxes or the work would
// grow out of bounds; tokens from [Parse] never do, provided that denials are asked for apart from
// allows, and single addresses apart from wider literals.
func Boxes(tokens []Token) ([]Box, bool) {
	var boxes []Box
	visits := 0
	for _, proto := range []Proto{ProtoTCP, ProtoUDP} {
		s := sweep{proto: proto, boxes: boxes, visits: visits}
		if !s.run(edges(tokens, proto)) {
			return nil, false
		}
		boxes, visits = s.boxes, s.visits
	}
	sort.Slice(boxes, func(i, j int) bool {
		a, b := boxes[i], boxes[j]
		return cmp.Or(a.Literal.compare(b.Literal), cmp.Compare(a.Proto, b.Proto), a.Ports.compare(b.Ports)) < 0
	})
	return boxes, true
}

// boxed says whether literals with this clause become boxes.
func boxed(c Clause) bool { return c != Clause{} && c.Proto != ProtoICMP }

// edge is where a port range begins to hold, or holds no more. After the last address of a family
// stands an address that is not valid.
type edge struct {
	v6    bool
	at    netip.Addr
	ends  bool
	ports PortRange
}

// edges are those of all tokens that concern a protocol, in the order of addresses. Per port range
// the literals are merged first, so that no port range holds twice at one address.
func edges(tokens []Token, proto Proto) []edge {
	byPorts := map[PortRange][]Literal{}
	for _, t := range tokens {
		l, ok := t.Dest.(Literal)
		if !ok || !boxed(t.Clause) || t.Clause.Proto != ProtoAny && t.Clause.Proto != proto {
			continue
		}
		ports := t.Clause.Ports
		if ports == (PortRange{}) {
			ports = PortRange{0, 65535}
		}
		byPorts[ports] = append(byPorts[ports], l)
	}
	var out []edge
	for ports, literals := range byPorts {
		for _, l := range Merge(literals) {
			v6 := l.First.Is6()
			out = append(out, edge{v6, l.First, false, ports}, edge{v6, l.Last.Next(), true, ports})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].compare(out[j]) < 0 })
	return out
}

// compare orders edges by address, IPv4 before IPv6; what is not valid stands last in its family.
func (e edge) compare(f edge) int {
	return cmp.Or(compareBool(e.v6, f.v6), compareBool(f.at.IsValid(), e.at.IsValid()), e.at.Compare(f.at))
}

// sweep walks along the addresses. A box is open from the address where its port range appears in
// the union of all that hold there until the one where the union has it no more.
type sweep struct {
	proto   Proto
	boxes   []Box
	visits  int
	holding []PortRange // sorted; may overlap
	union   []PortRange // what step merged holding into
	open    []openPorts // disjoint, sorted
	spare   []openPorts // what was open one step earlier, for its room
}

// openPorts is a port range of the union and the first address that has it.
type openPorts struct {
	PortRange
	since netip.Addr
}

// run returns false when a bound was reached.
func (s *sweep) run(edges []edge) bool {
	for i := 0; i < len(edges); {
		here := edges[i]
		for ; i < len(edges) && edges[i].compare(here) == 0; i++ {
			s.toggle(edges[i])
		}
		s.visits += len(s.holding) + len(s.open)
		if s.visits > maxVisits {
			return false
		}
		s.step(here.at)
		if len(s.boxes)+len(s.open) > MaxBoxes {
			return false
		}
	}
	return true
}

func (s *sweep) toggle(e edge) {
	i, _ := slices.BinarySearchFunc(s.holding, e.ports, PortRange.compare)
	if e.ends {
		s.holding = slices.Delete(s.holding, i, i+1)
		return
	}
	s.holding = slices.Insert(s.holding, i, e.ports)
}

// step closes the boxes whose port range is gone at an address and opens those that are new there.
func (s *sweep) step(at netip.Addr) {
	s.union = mergePorts(s.union[:0], s.holding)
	open, old := s.spare[:0], s.open
	for _, p := range s.union {
		for len(old) > 0 && old[0].compare(p) < 0 {
			s.close(old[0], at)
			old = old[1:]
		}
		if len(old) > 0 && old[0].PortRange == p {
			open = append(open, old[0])
			old = old[1:]
			continue
		}
		open = append(open, openPorts{p, at})
	}
	for _, o := range old {
		s.close(o, at)
	}
	s.open, s.spare = open, s.open
}

func (s *sweep) close(o openPorts, at netip.Addr) {
	last := at.Prev()
	if !at.IsValid() {
		last = highest(o.since)
	}
	s.boxes = append(s.boxes, Box{Literal: Literal{o.since, last}, Proto: s.proto, Ports: o.PortRange})
}
