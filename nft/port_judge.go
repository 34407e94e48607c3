package nft

import (
	"net/netip"
	"slices"
)

// Link is what a hook sees of the frame that a packet came in.
type Link struct {
	Veth     bool // In is of kind veth; in Prerouting In is a bridge's port
	Reserved bool // sent to a group that bridges do not forward, 01:80:c2:00:00:0X
	MAC      MAC  // of the sender
	Stacked  bool // more than one VLAN tag: nothing behind them is seen
	ARP      bool // it carries ARP; Src is the sender that it names
	ARPMAC   MAC  // the sender's that ARP names
	Asleep   bool // the daemon has not said for three seconds that it lives
	// Target is the address that a neighbour solicitation or advertisement is about.
	Target netip.Addr
}

// judgeFrame says what table bridge dockerwall makes of a frame.
func (r Ruleset) judgeFrame(p Packet) Judgement {
	if !r.BindPorts || !r.spoofs(p) {
		return Judgement{Pass: true}
	}
	return Judgement{Pass: r.DryRun, Reason: Spoof}
}

// spoofs says whether a frame speaks for somebody else than the port it came from.
func (r Ruleset) spoofs(p Packet) bool {
	i := slices.IndexFunc(r.Ports, func(q Port) bool { return q.Name == p.In })
	var own Port
	if i >= 0 {
		own = r.Ports[i]
	}
	ip := p.Src.IsValid() && !p.Link.ARP && !p.Link.Stacked
	good := ip && p.Link.MAC == own.MAC && own.mayUse(p.Src)
	nd := ip && p.Proto == ICMPv6 // in IPv4 it is nobody's, and judged alike
	speaks := nd && (p.Type == neighbourAdvert || p.Type == neighbourSolicit && p.Src == netip.IPv6Unspecified())
	switch {
	case good && p.Src.Is4():
		return false
	case speaks && i >= 0 && !slices.Contains(own.Addrs, p.Link.Target):
		return true
	case nd && i >= 0 && (p.Type == routerAdvert || p.Type == routerRedirect):
		return true
	case good:
		return false
	case i >= 0 && p.Link.Stacked:
		return true
	case !p.Link.Veth:
		return false
	}
	return (i >= 0 || !p.Link.Asleep) && r.claims(p, own)
}

// claims says whether a frame has a MAC or an address of which another port's owner is known, or the host.
func (r Ruleset) claims(p Packet, own Port) bool {
	switch {
	case p.Link.MAC != own.MAC && r.takenMAC(p.Link.MAC):
		return true
	case p.Link.Stacked: // nothing behind the tags is seen
		return false
	case p.Link.ARP:
		return r.taken(p.Src) && (p.Link.ARPMAC != own.MAC || !own.mayUse(p.Src))
	}
	return p.Src.IsValid() && r.taken(p.Src)
}

func (r Ruleset) takenMAC(m MAC) bool {
	return slices.ContainsFunc(r.Ports, func(p Port) bool { return p.MAC == m }) ||
		m != MAC{} && slices.ContainsFunc(r.Bridges, func(b Bridge) bool { return b.MAC == m })
}

// taken says whether an address is a port's, or the host's own on a fenced bridge.
func (r Ruleset) taken(a netip.Addr) bool {
	return slices.ContainsFunc(r.Ports, func(p Port) bool { return slices.Contains(p.Addrs, a) }) ||
		slices.ContainsFunc(r.Bridges, func(b Bridge) bool { return slices.Contains(b.Addrs, a) })
}
