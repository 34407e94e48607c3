package policy

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"
)

// String is the token as one would write it; [Parse] of it gives the same token.
func (t Token) String() string {
	var b strings.Builder
	if t.Deny {
		b.WriteByte('!')
	}
	l, p, s := parts(t.Dest)
	switch {
	case l != Literal{}:
		b.WriteString(l.text(t.Clause != Clause{}))
	case p != Pattern{}:
		b.WriteString(p.String())
	case s != 0:
		b.WriteString(s.String())
	default:
		b.WriteString("@" + string(group(t.Dest)))
	}
	b.WriteString(t.Clause.String())
	return b.String()
}

// Compare orders tokens: allows before denials; then addresses, names, groups, words; then clauses. It
// returns -1, 0 or 1, and 0 only for equal tokens.
func (t Token) Compare(u Token) int {
	tl, tp, ts := parts(t.Dest)
	ul, up, us := parts(u.Dest)
	return cmp.Or(
		compareBool(t.Deny, u.Deny),
		cmp.Compare(ts, us), // 0 for whatever is not a word
		strings.Compare(string(group(t.Dest)), string(group(u.Dest))),
		strings.Compare(tp.name, up.name),
		compareBool(tp.wild, up.wild),
		tl.compare(ul),
		t.Clause.compare(u.Clause),
	)
}

func group(d Destination) Group {
	g, _ := d.(Group)
	return g
}

// parts is the one place that looks inside a Destination; all results are zero for a [Group], else two of them.
func parts(d Destination) (l Literal, p Pattern, s Special) {
	switch d := d.(type) {
	case Literal:
		l = d
	case Pattern:
		p = d
	case Special:
		s = d
	}
	return l, p, s
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func (l Literal) compare(m Literal) int {
	return cmp.Or(l.First.Compare(m.First), l.Last.Compare(m.Last))
}

func (c Clause) compare(d Clause) int {
	return cmp.Or(cmp.Compare(c.Proto, d.Proto), c.Ports.compare(d.Ports))
}

func (p PortRange) compare(q PortRange) int {
	return cmp.Or(cmp.Compare(p.First, q.First), cmp.Compare(p.Last, q.Last))
}

// String is the literal as an address, a prefix where it is one, else as a range "first-last".
func (l Literal) String() string {
	if l.Single() {
		return l.First.String()
	}
	if p, ok := l.Prefix(); ok {
		return p.String()
	}
	return l.First.String() + "-" + l.Last.String()
}

// text is String with the brackets that IPv6 needs in front of a clause.
func (l Literal) text(clause bool) string {
	if clause && l.First.Is6() {
		return "[" + l.String() + "]"
	}
	return l.String()
}

// Prefix returns the prefix that covers exactly l, and whether there is one.
func (l Literal) Prefix() (netip.Prefix, bool) {
	for bits := l.First.BitLen(); bits >= 0; bits-- {
		p, err := l.First.Prefix(bits)
		if err != nil || p.Addr() != l.First {
			return netip.Prefix{}, false
		}
		if lastAddr(p) == l.Last {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// String is the clause as it follows a destination, such as ":443/tcp"; empty for the zero value.
func (c Clause) String() string {
	var b strings.Builder
	if c.Ports != (PortRange{}) {
		b.WriteString(":" + c.Ports.String())
	}
	if c.Proto != ProtoAny {
		b.WriteString("/" + c.Proto.String())
	}
	return b.String()
}

// String is "443" or "8000-8080"; "*" stands for every port.
func (p PortRange) String() string {
	switch {
	case p == PortRange{}:
		return "*"
	case p.First == p.Last:
		return strconv.Itoa(int(p.First))
	}
	return strconv.Itoa(int(p.First)) + "-" + strconv.Itoa(int(p.Last))
}

// String is the protocol's word in the grammar, "any" for the zero value.
func (p Proto) String() string {
	switch p {
	case ProtoAny:
		return "any"
	case ProtoTCP:
		return "tcp"
	case ProtoUDP:
		return "udp"
	case ProtoICMP:
		return "icmp"
	}
	return "Proto(" + strconv.Itoa(int(p)) + ")"
}

// String is the word of the grammar, such as "_dns_"; empty for the zero value.
func (s Special) String() string {
	switch s {
	case DNS:
		return "_dns_"
	case Host:
		return "_host_"
	case Internet:
		return "_internet_"
	case All:
		return "*"
	}
	return ""
}
