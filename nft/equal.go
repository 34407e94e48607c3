package nft

import "slices"

// equal says whether two containers compile to the same fragment.
func (c *Container) equal(d *Container) bool {
	return c.ID == d.ID && c.Name == d.Name && c.Mode == d.Mode && c.Reject == d.Reject &&
		slices.Equal(c.Endpoints, d.Endpoints) && slices.Equal(c.Shared, d.Shared) && c.Own.equal(d.Own)
}

// equal passes over titles.
func (s Source) equal(t Source) bool {
	return s.Name == t.Name && s.Allow.equal(t.Allow) && s.Deny.equal(t.Deny)
}

func (m Matches) equal(n Matches) bool {
	return slices.Equal(m.All, n.All) && slices.Equal(m.Host, n.Host) && slices.Equal(m.Internet, n.Internet) &&
		slices.Equal(m.Resolvers, n.Resolvers) && m.Addrs.equal(n.Addrs) && m.Nets.equal(n.Nets) &&
		slices.EqualFunc(m.Names, n.Names, NameSet.equal)
}

func (l Literals) equal(m Literals) bool {
	return slices.Equal(l.Any, m.Any) && slices.Equal(l.ICMP, m.ICMP) && slices.Equal(l.Boxes, m.Boxes)
}

func (n NameSet) equal(o NameSet) bool { return n.Clause == o.Clause && slices.Equal(n.Addrs, o.Addrs) }

// equal says whether two sets are the same in definition and elements.
func (s Set) equal(t Set) bool {
	return s.sameDefinition(t) && slices.Equal(s.Elements, t.Elements)
}

func (s Set) sameDefinition(t Set) bool {
	return s.Name == t.Name && slices.Equal(s.Types, t.Types) && s.Verdicts == t.Verdicts && s.Interval == t.Interval &&
		s.Dynamic == t.Dynamic && s.Counter == t.Counter && s.Timeout == t.Timeout && s.Size == t.Size
}

// equal says whether two chains hold the same rules.
func (c Chain) equal(d Chain) bool {
	return c.Name == d.Name && c.Hook == d.Hook && c.Priority == d.Priority &&
		slices.EqualFunc(c.Rules, d.Rules, Rule.same)
}
