package nft

import (
	"fmt"
	"net/netip"
	"slices"
)

func (m Matches) validate() error {
	for _, list := range [][]Clause{m.All, m.Host, m.Internet} {
		for _, c := range list {
			if err := c.validate(); err != nil {
				return err
			}
		}
	}
	if err := m.Addrs.validate(); err != nil {
		return err
	}
	if err := m.Addrs.single(); err != nil {
		return err
	}
	if err := m.Nets.validate(); err != nil {
		return err
	}
	if err := disjoint(singles(m.Resolvers)); err != nil {
		return fmt.Errorf("resolvers: %w", err)
	}
	for i, n := range m.Names {
		if slices.ContainsFunc(m.Names[:i], func(o NameSet) bool { return o.Clause == n.Clause }) {
			return fmt.Errorf("names with clause %v stand twice", n.Clause)
		}
		if err := n.validate(); err != nil {
			return err
		}
	}
	return nil
}

func singles(addrs []netip.Addr) []Range {
	out := make([]Range, 0, len(addrs))
	for _, a := range addrs {
		out = append(out, Range{a, a})
	}
	return out
}

// validate refuses clauses that say nothing a rule could.
func (c Clause) validate() error {
	ports := c.Ports != Ports{}
	switch {
	case c.Ports.First > c.Ports.Last:
	case c.Proto == TCP || c.Proto == UDP:
		return nil
	case c.Proto == 0: // every protocol, or tcp and udp
		return nil
	case c.Proto == ICMP && !ports:
		return nil
	}
	return fmt.Errorf("clause of protocol %d and ports %s is not one", c.Proto, c.Ports)
}

func (n NameSet) validate() error {
	if err := n.Clause.validate(); err != nil {
		return err
	}
	for i, a := range n.Addrs {
		if err := validAddr(a.Addr); err != nil {
			return fmt.Errorf("name %q: %w", a.Name, err)
		}
		if i > 0 && n.Addrs[i-1].Addr.Compare(a.Addr) >= 0 {
			return fmt.Errorf("address %s of %q: not sorted or twice", a.Addr, a.Name)
		}
	}
	return nil
}

func (l Literals) validate() error {
	for _, ranges := range [][]Range{l.Any, l.ICMP} {
		if err := disjoint(ranges); err != nil {
			return err
		}
	}
	for _, b := range l.Boxes {
		if err := b.validate(); err != nil {
			return err
		}
		if b.Proto != TCP && b.Proto != UDP || b.Ports.First > b.Ports.Last {
			return fmt.Errorf("box %s: protocol %d, ports %s", b.Range, b.Proto, b.Ports)
		}
	}
	return disjointBoxes(l.Boxes)
}

// single holds for the literals that open the host too: a range must never.
func (l Literals) single() error {
	for _, ranges := range [][]Range{l.Any, l.ICMP} {
		for _, r := range ranges {
			if r.First != r.Last {
				return fmt.Errorf("%s stands for a single address", r)
			}
		}
	}
	for _, b := range l.Boxes {
		if b.First != b.Last {
			return fmt.Errorf("%s stands for a single address", b.Range)
		}
	}
	return nil
}

// disjoint holds because an overlap voids the batch (EEXIST), or worse is taken by some kernels and
// not by others.
func disjoint(ranges []Range) error {
	byStart := func(a, b Range) int { return a.First.Compare(b.First) }
	if !slices.IsSortedFunc(ranges, byStart) {
		ranges = slices.SortedFunc(slices.Values(ranges), byStart)
	}
	for i, r := range ranges {
		if err := r.validate(); err != nil {
			return err
		}
		if i > 0 && ranges[i-1].overlaps(r) {
			return fmt.Errorf("ranges %s and %s overlap", ranges[i-1], r)
		}
	}
	return nil
}

// disjointBoxes compares each box with those before it that reach as far: in lists as people write
// them, few.
func disjointBoxes(boxes []Box) error {
	sorted := slices.SortedFunc(slices.Values(boxes), func(a, b Box) int { return a.First.Compare(b.First) })
	var open []Box
	for _, b := range sorted {
		open = slices.DeleteFunc(open, func(o Box) bool { return !o.Range.overlaps(b.Range) })
		for _, o := range open {
			if o.Proto == b.Proto && o.Ports.First <= b.Ports.Last && b.Ports.First <= o.Ports.Last {
				return fmt.Errorf("boxes %s:%s and %s:%s overlap", o.Range, o.Ports, b.Range, b.Ports)
			}
		}
		open = append(open, b)
	}
	return nil
}

// overlaps says whether next, which starts no earlier, starts within r.
func (r Range) overlaps(next Range) bool { return r.Contains(next.First) }

func (r Range) validate() error {
	for _, a := range []netip.Addr{r.First, r.Last} {
		if err := validAddr(a); err != nil {
			return err
		}
	}
	if r.First.Is4() != r.Last.Is4() || r.First.Compare(r.Last) > 0 {
		return fmt.Errorf("range %s-%s goes backwards or mixes families", r.First, r.Last)
	}
	return nil
}

func validAddr(a netip.Addr) error {
	if !a.IsValid() || a.Is4In6() || a.Zone() != "" {
		return fmt.Errorf("address %q is not a plain IPv4 or IPv6 address", a)
	}
	return nil
}
