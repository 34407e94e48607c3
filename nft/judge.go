package nft

import (
	"net/netip"
	"slices"
	"strings"
)

// Packet is what a hook sees of a packet.
type Packet struct {
	Hook         Hook
	In, Out      string // interfaces; Out is "" in Input
	InBridge     bool   // In is of kind bridge
	Src, Dst     netip.Addr
	Proto        uint8
	DstPort      uint16 // of tcp, udp and sctp
	Type         uint8  // of ICMPv6
	State        State
	Stray        bool // TCP other than a lone SYN
	Broadcast    bool // sent to the link's broadcast address
	Own          bool // an error about a flow that Src opened, or answers
	DNAT         bool
	OriginalDst  netip.Addr // before DNAT
	OriginalPort uint16
	Link         Link
}

// State is what conntrack says of a packet.
type State uint8

// The states.
const (
	StateNew State = iota
	StateEstablished
	StateRelated
	StateInvalid
	StateUntracked
)

// Reason is why a packet was denied; it is part of counter names and log prefixes.
type Reason string

// The reasons. Denied is the policy's: the destination is not allowed. Cutoff is of a flow that was cut.
const (
	Denied    Reason = "denied"
	Unknown   Reason = "unknown"
	Invalid   Reason = "invalid"
	Stray     Reason = "stray"
	Multicast Reason = "multicast"
	Cutoff    Reason = "cut"
	Spoof     Reason = "spoof"
)

// Judgement is what becomes of a packet.
type Judgement struct {
	Pass      bool   // it goes on to other tables
	Reason    Reason // why it is denied, or would be if not for audit or dry run; "" when allowed
	Container string // whose policy decided, if any did
}

// Judge says what the tables make of p, straight from the policy and not from the compiled rules: it
// is the oracle that the kernel is held against. It knows nothing of [Kernel.Cut].
func (r Ruleset) Judge(p Packet) Judgement {
	if p.Hook == Prerouting {
		return r.judgeFrame(p)
	}
	fenced := slices.ContainsFunc(r.Bridges, func(b Bridge) bool { return b.Name == p.In })
	c := r.source(p)
	switch {
	case p.Hook == Input && p.Link.Veth && p.Link.Reserved:
		return Judgement{Pass: r.DryRun, Reason: Unknown}
	case p.Hook == Input && p.Proto == ICMPv6 && !p.Src.Is4() && slices.Contains(neighbourTypes(), p.Type):
		return Judgement{Pass: true}
	case r.asHost(p):
		return Judgement{Pass: r.DryRun, Reason: Unknown}
	case r.sameNetwork(p):
		return Judgement{Pass: true}
	case fenced && p.State == StateInvalid:
		return Judgement{Pass: r.DryRun || c != nil && c.Mode != Enforce, Reason: Invalid}
	case (p.Hook == Forward && !fenced || p.Hook == Output) && r.towardFenced(p) && p.Stray && p.State == StateNew:
		return Judgement{Pass: r.DryRun, Reason: Stray}
	case !r.atHome(p):
		return Judgement{Pass: r.DryRun, Reason: Unknown}
	case p.State == StateEstablished, p.State == StateRelated && isICMP(p.Proto) && (!fenced || c != nil && p.Own):
		return Judgement{Pass: true}
	case c != nil:
		return r.judge(*c, p)
	case fenced, r.FenceUnknown && p.InBridge && len(p.In) >= 3 && p.In[:3] == "br-" && !slices.Contains(r.Free, p.In):
		return Judgement{Pass: r.DryRun, Reason: Unknown}
	}
	return Judgement{Pass: true}
}

func isICMP(proto uint8) bool { return proto == ICMP || proto == ICMPv6 }

func (r Ruleset) source(p Packet) *Container {
	for i, c := range r.Containers {
		if slices.Contains(c.Endpoints, Endpoint{p.In, p.Src}) {
			return &r.Containers[i]
		}
	}
	return nil
}

func (r Ruleset) towardFenced(p Packet) bool {
	return slices.ContainsFunc(r.Bridges, func(b Bridge) bool { return b.Name == p.Out })
}

func (r Ruleset) judge(c Container, p Packet) Judgement {
	if c.Mode == Off || r.allowed(c, p) {
		return Judgement{Pass: true, Container: c.ID}
	}
	reason := Denied
	switch {
	case p.Proto == TCP && p.Stray && p.State == StateNew:
		reason = Stray
	case p.Broadcast || p.Dst.IsMulticast():
		reason = Multicast
	}
	return Judgement{Pass: r.passes(&c), Reason: reason, Container: c.ID}
}

// allowed is DESIGN.md section 2's precedence: any denial beats any allow.
func (r Ruleset) allowed(c Container, p Packet) bool {
	sources := []Source{c.Own}
	for _, name := range c.Shared {
		i, ok := slices.BinarySearchFunc(r.Sources, name, func(s Source, n string) int { return strings.Compare(s.Name, n) })
		if ok {
			sources = append(sources, r.Sources[i])
		}
	}
	before := p
	before.Dst, before.DstPort, before.DNAT = p.OriginalDst, p.OriginalPort, false
	for _, s := range sources {
		if r.covers(s.Deny, p, true) || p.DNAT && (r.coversLiterally(s.Deny, before) || s.Deny.crowded(c.families())) {
			return false
		}
	}
	return slices.ContainsFunc(sources, func(s Source) bool {
		return r.covers(s.Allow, p, false) || p.DNAT && r.covers(Matches{Resolvers: s.Allow.Resolvers}, before, false)
	})
}

// coversLiterally says whether a denial names the destination before DNAT.
func (r Ruleset) coversLiterally(m Matches, p Packet) bool {
	return r.covers(Matches{Addrs: m.Addrs, Nets: m.Nets, Names: m.Names, Resolvers: m.Resolvers}, p, true)
}

// crowded says whether there are too many denied boxes to look each up before DNAT.
func (m Matches) crowded(fams []family) bool {
	return slices.ContainsFunc([]Literals{m.Addrs, m.Nets}, func(l Literals) bool {
		return len(l.Boxes) > maxOriginal && slices.ContainsFunc(l.Boxes, func(b Box) bool { return slices.Contains(fams, familyOf(b.First)) })
	})
}

// covers says whether m names p's destination. What opens only forwarded packets denies everywhere.
func (r Ruleset) covers(m Matches, p Packet, deny bool) bool {
	host, wide := p.Hook == Input, deny || p.Hook == Forward
	narrowed := func(c Clause) bool { return c.covers(p.Proto, p.DstPort) }
	original := func(c Clause) bool { return c.Proto != ICMP && c.covers(p.Proto, p.OriginalPort) }
	named := func(n NameSet) bool {
		return narrowed(n.Clause) && n.holds(p.Dst)
	}
	switch {
	case slices.ContainsFunc(m.All, narrowed):
	case host && slices.ContainsFunc(m.Host, narrowed):
	case p.DNAT && slices.ContainsFunc(m.Host, original):
	case slices.Contains(m.Resolvers, p.Dst) && p.DstPort == 53 && (p.Proto == TCP || p.Proto == UDP):
	case m.Addrs.covers(p):
	case wide && m.Nets.covers(p):
	case wide && (deny || !p.DNAT) && slices.ContainsFunc(m.Names, named):
	case !host && (deny || !p.DNAT) && r.public(p.Dst) && slices.ContainsFunc(m.Internet, narrowed):
	default:
		return false
	}
	return true
}

func (n NameSet) holds(a netip.Addr) bool {
	_, ok := slices.BinarySearchFunc(n.Addrs, a, func(known NamedAddr, a netip.Addr) int { return known.Addr.Compare(a) })
	return ok
}

func (l Literals) covers(p Packet) bool {
	holds := func(r Range) bool { return r.Contains(p.Dst) }
	return slices.ContainsFunc(l.Any, holds) ||
		isICMP(p.Proto) && slices.ContainsFunc(l.ICMP, holds) ||
		slices.ContainsFunc(l.Boxes, func(b Box) bool {
			return b.Contains(p.Dst) && b.Proto == p.Proto && b.Ports.First <= p.DstPort && p.DstPort <= b.Ports.Last
		})
}

// covers says whether a packet of this protocol and port is meant.
func (c Clause) covers(proto uint8, port uint16) bool {
	switch {
	case c == Clause{}:
		return true
	case c.Proto == ICMP:
		return isICMP(proto)
	case c.Proto == 0:
		return (proto == TCP || proto == UDP) && c.Ports.has(port)
	}
	return c.Proto == proto && c.Ports.has(port)
}

func (r Ruleset) public(a netip.Addr) bool {
	return !slices.ContainsFunc(r.NotPublic, func(p netip.Prefix) bool { return p.Contains(a) })
}
