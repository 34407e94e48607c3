package reconcile

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
)

// compiled is a policy of which only what names and _dns_ mean now is missing. It depends on nothing
// but the text, so it is made once in the life of a container.
type compiled struct {
	allow, deny             nft.Matches
	allowNames, denyNames   []named // by clause
	allowGroups, denyGroups []policy.Group
	deniesDNS               bool
}

// named is a token that names a pattern.
type named struct {
	pattern policy.Pattern
	clause  nft.Clause
}

func compile(tokens []policy.Token) compiled {
	isDenial := func(t policy.Token) bool { return t.Deny }
	allow := slices.DeleteFunc(slices.Clone(tokens), isDenial)
	deny := slices.DeleteFunc(slices.Clone(tokens), func(t policy.Token) bool { return !t.Deny })
	out := compiled{deniesDNS: slices.ContainsFunc(deny, func(t policy.Token) bool { return t.Dest == policy.Destination(policy.DNS) })}
	out.allow, out.allowNames = matches(allow)
	out.deny, out.denyNames = matches(deny)
	out.allowGroups, out.denyGroups = policy.Policy{Tokens: tokens}.Groups()
	return out
}

// matches compiles tokens that all allow, or all deny. For _dns_ see source: it is implied.
func matches(tokens []policy.Token) (nft.Matches, []named) {
	var out nft.Matches
	var names []named
	var single, wide []policy.Token
	for _, t := range tokens {
		clause := clauseOf(t.Clause)
		switch d := t.Dest.(type) {
		case policy.Literal:
			if d.Single() {
				single = append(single, t)
			} else {
				wide = append(wide, t)
			}
		case policy.Pattern:
			names = append(names, named{d, clause})
		case policy.Special:
			addSpecial(&out, d, clause)
		case policy.Group: // a source of its own
		}
	}
	out.Addrs, out.Nets = singles(single), literals(wide)
	slices.SortStableFunc(names, func(x, y named) int { return compareClauses(x.clause, y.clause) })
	return out, names
}

func clauseOf(c policy.Clause) nft.Clause {
	out := nft.Clause{Ports: nft.Ports{First: c.Ports.First, Last: c.Ports.Last}}
	switch c.Proto {
	case policy.ProtoTCP:
		out.Proto = nft.TCP
	case policy.ProtoUDP:
		out.Proto = nft.UDP
	case policy.ProtoICMP:
		out.Proto = nft.ICMP
	case policy.ProtoAny:
	}
	return out
}

// made is the source of a text, what is wrong with it, and whether its allows were left out.
type made struct {
	source   nft.Source
	lost     bool
	problems []policy.Problem
}

// make completes a text; against are the groups it denies. resolvers are what _dns_ means for it.
func (b *builder) make(t *text, against []*text, resolvers []netip.Addr) *made {
	var m made
	c := &t.compiled
	m.source = nft.Source{Name: t.source, Title: t.title, Deny: c.deny}
	m.source.Deny.Names = b.resolve(c.denyNames, true, &m)
	if !t.against { // who names a group says what is not known of it
		b.unknown(t, c.denyNames, "", &m)
	}
	for _, g := range against {
		b.unknown(t, g.compiled.denyNames, " (in "+g.label+")", &m)
	}
	if !m.lost {
		m.source.Allow = c.allow
		m.source.Allow.Names = b.resolve(c.allowNames, false, &m)
	}
	if c.deniesDNS {
		m.source.Deny.Resolvers = resolvers
	}
	return &m
}

func (m *made) report(p policy.Problem) { m.problems = append(m.problems, p) }

// unknown finds out whether it is not known of some denied name what to deny: an allow beside it could let through what is
// denied.
func (b *builder) unknown(t *text, denied []named, where string, m *made) {
	for _, n := range denied {
		if b.addresses.known(n.pattern) {
			continue
		}
		m.lost = true
		source := t.label
		if t.label == policy.LabelOutbound {
			source = "this label"
		}
		p := policy.Problem{
			Severity: policy.Error, Rule: RuleUnknownDenial, Label: t.label, Token: "!" + n.pattern.String() + where,
			Message: "the denied name's addresses are not known yet, or are too many to remember; no allow of " + source + " counts until a resolver answers",
			Remedy:  "check the name and the resolvers, or deny the address itself",
		}
		if n.pattern.Wild() {
			p.Message = "more addresses were heard of beneath the denied wildcard than can be remembered; no allow of " + source + " counts"
			p.Remedy = "deny the addresses themselves"
		}
		m.report(p)
	}
}

// resolve makes a set for each clause of what the names mean now. A denial takes all addresses; an
// allow only those that the guard lets through.
func (b *builder) resolve(names []named, deny bool, m *made) []nft.NameSet {
	var out []nft.NameSet
	for i, n := range names {
		if last := len(out) - 1; last < 0 || out[last].Clause != n.clause {
			out = append(out, nft.NameSet{Clause: n.clause, Addrs: make([]nft.NamedAddr, 0, 2*(len(names)-i))})
		}
		set := &out[len(out)-1]
		if n.pattern.Wild() {
			set.Addrs = append(set.Addrs, b.addresses.beneath(n.pattern, deny)...)
		}
		for _, name := range b.addresses.matched(n.pattern) {
			for _, a := range b.addresses.of(name, deny) {
				a, ok := plain(a)
				if !ok || !deny && b.refuses(n.pattern, name, a, m) {
					continue
				}
				set.Addrs = append(set.Addrs, nft.NamedAddr{Addr: a, Name: name})
			}
		}
	}
	for i := range out {
		slices.SortFunc(out[i].Addrs, func(x, y nft.NamedAddr) int { return cmp.Or(x.Addr.Compare(y.Addr), strings.Compare(x.Name, y.Name)) })
		out[i].Addrs = slices.CompactFunc(out[i].Addrs, func(x, y nft.NamedAddr) bool { return x.Addr == y.Addr })
	}
	return out
}

// refuses says whether no answer may open addr to p, and reports it.
func (b *builder) refuses(p policy.Pattern, name string, addr netip.Addr, m *made) bool {
	reason := b.addresses.guard.Refuse(addr, name, p.Wild())
	if reason == "" {
		return false
	}
	problem := policy.Problem{
		Severity: policy.Warning, Rule: RuleRefused, Token: name,
		Message: "the name means " + addr.String() + ", which no DNS answer can open (" + reason + ")",
		Remedy:  "name the address itself if it is meant",
	}
	switch reason {
	case reasonHost:
		problem.Remedy = "it is this host: use _host_:PORT"
	case reasonPrivate:
		problem.Message = "the name means " + addr.String() + ", which no wildcard can open (" + reason + ")"
		problem.Remedy = "write the name in full if it is meant"
	}
	m.report(problem)
	return true
}

// singles compiles tokens of one address each. They are not merged: only a single address opens the
// host, and a set of ranges would forget which were single.
func singles(tokens []policy.Token) nft.Literals {
	out := literals(tokens)
	out.Any, out.ICMP, out.Boxes = apart(out.Any), apart(out.ICMP), apartBoxes(out.Boxes)
	return out
}

// literals compiles address tokens; overlaps are merged.
func literals(tokens []policy.Token) nft.Literals {
	var all, icmp []policy.Literal
	var clauses []policy.Token
	for _, t := range tokens {
		switch {
		case t.Clause == policy.Clause{}:
			all = append(all, t.Dest.(policy.Literal))
		case t.Clause.Proto == policy.ProtoICMP:
			icmp = append(icmp, t.Dest.(policy.Literal))
		default:
			clauses = append(clauses, t)
		}
	}
	return nft.Literals{Any: ranges(all), ICMP: ranges(icmp), Boxes: boxes(clauses)}
}
