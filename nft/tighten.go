package nft

import (
	"net/netip"
	"slices"
	"sync"
)

// Tightens says whether r may deny something that old allows. When it is false, r surely allows all that old allows; when it
// is true, it may do so all the same. Who has come to a bridge that old fences was nobody's there, and denied; see Admits.
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
	between, tighter := newTightening(old, r), false
	mergeFunc(old.Containers, r.Containers, compareContainers, func(a, b *Container) {
		tighter = tighter || b != nil && (a != nil && between.tightens(a, b) || slices.ContainsFunc(b.without(a), between.wasAnothers))
	})
	return tighter
}

// Admits says whether r has a container, or an endpoint of one, that old has not.
func (r Ruleset) Admits(old Ruleset) bool {
	admits := false
	mergeFunc(old.Containers, r.Containers, compareContainers, func(a, b *Container) {
		admits = admits || b != nil && (a == nil || len(b.without(a)) > 0)
	})
	return admits
}

// tightening compares what containers may do by two rulesets.
type tightening struct {
	old, now map[string]*Source // shared
	tighter  map[string]bool    // those of now by which somebody may do less than by the old one of that name, if there is one

	wasAnothers func(Endpoint) bool // of an endpoint that its container has not had
}

func newTightening(old, r Ruleset) tightening {
	t := tightening{byNames(old.Sources), byNames(r.Sources), map[string]bool{}, nil}
	endpoints := sync.OnceValue(old.endpoints)
	t.wasAnothers = func(e Endpoint) bool { return endpoints()[e] }
	for name, s := range t.now {
		if before := t.old[name]; before == nil || s.tightens(*before) {
			t.tighter[name] = true
		}
	}
	return t
}

func (r Ruleset) endpoints() map[Endpoint]bool {
	out := make(map[Endpoint]bool, len(r.Containers))
	for i := range r.Containers {
		for _, e := range r.Containers[i].Endpoints {
			out[e] = true
		}
	}
	return out
}

func byNames(sources []Source) map[string]*Source {
	out := make(map[string]*Source, len(sources))
	for i := range sources {
		out[sources[i].Name] = &sources[i]
	}
	return out
}

func (t tightening) tightens(old, c *Container) bool {
	tighter := func(name string) bool { return t.tighter[name] }
	switch {
	case c.Mode < old.Mode:
		return true
	case c.Mode != Enforce: // whatever the policy
		return false
	case slices.Equal(c.Shared, old.Shared) && !c.Own.tightens(old.Own) && !slices.ContainsFunc(c.Shared, tighter):
		return false
	}
	return t.policyTightens(old, c)
}

// policyTightens looks at all sources of a container together: what one of them allows no more, another may, and what one
// denies now, another may have denied.
func (t tightening) policyTightens(old, c *Container) bool {
	before, after := t.of(t.old, old), t.of(t.now, c)
	stays := func(list []string, name string) bool { return slices.Contains(list, name) && !t.tighter[name] }
	allows, denies := union(after, Source.allows), union(before, Source.denies)
	for _, s := range before {
		if !stays(c.Shared, s.Name) && !allows.include(s.Allow) {
			return true
		}
	}
	for _, s := range after {
		if !stays(old.Shared, s.Name) && (s.Deny.crowds() || !denies.include(s.Deny)) {
			return true
		}
	}
	return false
}

// of are all sources of a container.
func (t tightening) of(shared map[string]*Source, c *Container) []Source {
	out := []Source{c.Own}
	for _, name := range c.Shared {
		if s := shared[name]; s != nil {
			out = append(out, *s)
		}
	}
	return out
}

func (s Source) allows() Matches { return s.Allow }
func (s Source) denies() Matches { return s.Deny }

// union is all that some sources allow, or deny, spelled out for include.
func union(sources []Source, pick func(Source) Matches) Matches {
	var out Matches
	for _, s := range sources {
		m := pick(s)
		out.All, out.Host, out.Internet = append(out.All, m.All...), append(out.Host, m.Host...), append(out.Internet, m.Internet...)
		out.Resolvers = append(out.Resolvers, m.Resolvers...)
		out.Addrs, out.Nets = out.Addrs.and(m.Addrs), out.Nets.and(m.Nets)
		for _, n := range m.Names {
			out.addNames(n)
		}
	}
	for i := range out.Names {
		slices.SortFunc(out.Names[i].Addrs, func(a, b NamedAddr) int { return a.Addr.Compare(b.Addr) })
		out.Names[i].Addrs = slices.CompactFunc(out.Names[i].Addrs, func(a, b NamedAddr) bool { return a.Addr == b.Addr })
	}
	return out
}

func (l Literals) and(m Literals) Literals {
	return Literals{slices.Concat(l.Any, m.Any), slices.Concat(l.ICMP, m.ICMP), slices.Concat(l.Boxes, m.Boxes)}
}

func (m *Matches) addNames(n NameSet) {
	i := slices.IndexFunc(m.Names, func(o NameSet) bool { return o.Clause == n.Clause })
	if i < 0 {
		m.Names = append(m.Names, NameSet{n.Clause, slices.Clone(n.Addrs)})
		return
	}
	m.Names[i].Addrs = append(m.Names[i].Addrs, n.Addrs...)
}

// crowds says whether there are so many denied boxes that all that is redirected may be denied, which the same boxes are not
// in several sources.
func (m Matches) crowds() bool {
	return len(m.Addrs.Boxes) > maxOriginal || len(m.Nets.Boxes) > maxOriginal
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
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	if a = a[i:]; len(a) <= few {
		return !slices.ContainsFunc(a, func(x T) bool { return !slices.Contains(b, x) })
	}
	have := make(map[T]bool, len(b))
	for _, x := range b {
		have[x] = true
	}
	return !slices.ContainsFunc(a, func(x T) bool { return !have[x] })
}

// Gone are the addresses that containers of old have and have no longer in r, sorted, each once. Where another container
// has one now, it is gone all the same.
func (r Ruleset) Gone(old Ruleset) []netip.Addr {
	var out []netip.Addr
	mergeFunc(old.Containers, r.Containers, compareContainers, func(a, b *Container) {
		switch {
		case a == nil:
		case b == nil:
			out = append(out, endpointAddrs(a.without(nil))...)
		case !slices.Equal(a.Endpoints, b.Endpoints):
			out = append(out, endpointAddrs(a.without(b))...)
		}
	})
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// without are c's endpoints that another container, if there is one, has not.
func (c *Container) without(other *Container) []Endpoint {
	if other == nil {
		return c.Endpoints
	}
	var out []Endpoint
	for _, e := range c.Endpoints {
		if !slices.Contains(other.Endpoints, e) {
			out = append(out, e)
		}
	}
	return out
}

func endpointAddrs(endpoints []Endpoint) []netip.Addr {
	out := make([]netip.Addr, 0, len(endpoints))
	for _, e := range endpoints {
		out = append(out, e.Addr)
	}
	return out
}
