package nft

import (
	"net/netip"
	"slices"
)

// Tightens says whether r may deny something that old allows, or fences somebody whom old does not know. When it is
// false, r surely allows all that old allows; when it is true, it may do so all the same.
func (r Ruleset) Tightens(old Ruleset) bool {
	newBridge := func(b Bridge) bool {
		return !slices.ContainsFunc(old.Bridges, func(o Bridge) bool { return o.Name == b.Name && slices.Equal(o.Subnets, b.Subnets) })
	}
	switch {
	case old.DryRun && !r.DryRun, slices.ContainsFunc(r.Bridges, newBridge):
		return true
	case r.asksInternet() && !slices.Equal(r.NotPublic, old.NotPublic):
		return true
	}
	for _, s := range r.Sources {
		i := slices.IndexFunc(old.Sources, func(o Source) bool { return o.Name == s.Name })
		if i < 0 || s.tightens(old.Sources[i]) { // a new one may deny
			return true
		}
	}
	tighter := false
	mergeFunc(old.Containers, r.Containers, compareContainers, func(a, b *Container) {
		tighter = tighter || b != nil && (a == nil || b.tightens(a))
	})
	return tighter
}

func (c *Container) tightens(old *Container) bool {
	newEndpoint := func(e Endpoint) bool { return !slices.Contains(old.Endpoints, e) }
	return c.Mode < old.Mode || c.Own.tightens(old.Own) || !slices.Equal(c.Shared, old.Shared) || slices.ContainsFunc(c.Endpoints, newEndpoint)
}

func (s Source) tightens(old Source) bool {
	return !s.Allow.include(old.Allow) || !old.Deny.include(s.Deny)
}

// include says whether m spells out all that n does.
func (m Matches) include(n Matches) bool {
	return subset(n.All, m.All) && subset(n.Host, m.Host) && subset(n.Internet, m.Internet) && subset(n.Resolvers, m.Resolvers) &&
		m.Addrs.include(n.Addrs) && m.Nets.include(n.Nets) && !slices.ContainsFunc(n.Names, func(s NameSet) bool { return !m.includeNames(s) })
}

func (l Literals) include(m Literals) bool {
	return subset(m.Any, l.Any) && subset(m.ICMP, l.ICMP) && subset(m.Boxes, l.Boxes)
}

// includeNames passes over which name an address is of.
func (m Matches) includeNames(s NameSet) bool {
	i := slices.IndexFunc(m.Names, func(o NameSet) bool { return o.Clause == s.Clause })
	if i < 0 {
		return len(s.Addrs) == 0
	}
	missing := false
	mergeFunc(s.Addrs, m.Names[i].Addrs, func(a, b NamedAddr) int { return a.Addr.Compare(b.Addr) }, func(a, b *NamedAddr) {
		missing = missing || b == nil
	})
	return !missing
}

// subset says whether all of a are in b: at the same place, as a rule.
func subset[T comparable](a, b []T) bool {
	for i, x := range a {
		if (i >= len(b) || b[i] != x) && !slices.Contains(b, x) {
			return false
		}
	}
	return true
}

// Gone are the addresses that containers of old have and have no longer in r, sorted, each once. Where another container
// has one now, it is gone all the same.
func (r Ruleset) Gone(old Ruleset) []netip.Addr {
	var out []netip.Addr
	mergeFunc(old.Containers, r.Containers, compareContainers, func(a, b *Container) {
		switch {
		case a == nil:
		case b == nil:
			out = append(out, a.without(nil)...)
		case !slices.Equal(a.Endpoints, b.Endpoints):
			out = append(out, a.without(b.Endpoints)...)
		}
	})
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// without are the addresses of c's endpoints that are not among others.
func (c *Container) without(others []Endpoint) []netip.Addr {
	var out []netip.Addr
	for _, e := range c.Endpoints {
		if !slices.Contains(others, e) {
			out = append(out, e.Addr)
		}
	}
	return out
}
