package reconcile

import (
	"net/netip"
	"slices"

	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
)

// probe is a packet that the question is about, and what the policy makes of it.
type probe struct {
	packet nft.Packet
	passage
	pass   bool // it goes on
	allows bool // by the policy, whatever the mode
	closed bool // by a denial: no allow would help
}

// Bounds of one question. What is beyond them is left open, never guessed.
const (
	maxProbed = 256 // addresses
	maxPorts  = 512 // at which the policy may change
)

// judgeAll makes the packets of the question. Where it leaves ports open, there is one for each port at which the
// policy could change; of those that come out alike the first is kept.
func (i *Inquiry) judgeAll() {
	skipped := []netip.Addr{}
	for n, a := range i.addrs {
		if n == maxProbed {
			i.cut = true
			break
		}
		way, ok := i.passage(a)
		if !ok {
			skipped = append(skipped, a)
			continue
		}
		for _, proto := range protocols(i.question.Asks.Clause, a) {
			i.judgePorts(a, proto, way)
		}
	}
	switch {
	case len(skipped) == 0:
	case len(i.probes) > 0:
		i.step(StepNetwork, StepInfo, "%s", noAddress(skipped[0]))
	default:
		i.step(StepNetwork, StepFail, "%s", noAddress(skipped[0]))
		i.end(Denied, StepNetwork, "attach it to a network of that family")
	}
}

func (i *Inquiry) judgePorts(a netip.Addr, proto uint8, way passage) {
	type kind struct{ allows, closed bool }
	seen := map[kind]bool{}
	for _, port := range i.ports(a, proto) {
		p := i.judge(i.packet(a, proto, port, way), way)
		if k := (kind{p.allows, p.closed}); !seen[k] {
			seen[k] = true
			i.probes = append(i.probes, p)
		}
	}
}

func (i *Inquiry) packet(a netip.Addr, proto uint8, port uint16, way passage) nft.Packet {
	p := nft.Packet{Hook: nft.Forward, In: way.Bridge, InBridge: true, Src: way.Addr, Dst: a, Proto: proto, DstPort: port}
	switch {
	case way.host:
		p.Hook = nft.Input
	case way.stays:
		p.Out = way.Bridge
	}
	if proto == nft.ICMPv6 {
		p.Type = 128 // echo request
	}
	return p
}

// judge asks the oracle: as the table is, as it were if it enforced, and as it were if all were allowed that is not denied.
func (i *Inquiry) judge(packet nft.Packet, way passage) probe {
	p := probe{packet: packet, passage: way, pass: true, allows: true}
	if way.free != "" {
		return p
	}
	one := i.alone(*i.fenced)
	p.pass = one.Judge(packet).Pass
	one.DryRun, one.Containers[0].Mode = false, nft.Enforce
	p.allows = one.Judge(packet).Pass
	one.Containers[0].Own.Allow = nft.Matches{All: []nft.Clause{{}}}
	p.closed = !one.Judge(packet).Pass
	return p
}

// alone is the ruleset with one container only: who else there is does not matter, and is long.
func (i *Inquiry) alone(c nft.Container) nft.Ruleset {
	one := i.rules
	one.Containers, one.Ports = []nft.Container{c}, nil
	return one
}

// protocols are those a clause is about, as IANA numbers. Without one these are tcp, udp and ICMP, and two of those that
// have no clause of their own.
func protocols(c policy.Clause, a netip.Addr) []uint8 {
	icmp := nft.ICMP
	if a.Is6() {
		icmp = nft.ICMPv6
	}
	const gre = 47
	switch {
	case c.Proto == policy.ProtoTCP:
		return []uint8{nft.TCP}
	case c.Proto == policy.ProtoUDP:
		return []uint8{nft.UDP}
	case c.Proto == policy.ProtoICMP:
		return []uint8{icmp}
	case c.Ports != policy.PortRange{}:
		return []uint8{nft.TCP, nft.UDP}
	}
	return []uint8{nft.TCP, nft.UDP, icmp, nft.SCTP, gre}
}

// ports are those at which what becomes of packets to a may change.
func (i *Inquiry) ports(a netip.Addr, proto uint8) []uint16 {
	if proto != nft.TCP && proto != nft.UDP {
		return []uint16{0}
	}
	first, last := uint16(1), uint16(65535)
	if p := i.question.Asks.Clause.Ports; p != (policy.PortRange{}) {
		first, last = p.First, p.Last
	}
	if first == last {
		return []uint16{first}
	}
	edges := []uint16{first, last, 53, 54}
	for _, s := range i.sources() {
		for _, m := range []nft.Matches{s.Allow, s.Deny} {
			for _, p := range portsOf(m, a) {
				edges = append(edges, p.First, p.Last+1) // of 65535 that is 0, and left out below
			}
		}
	}
	slices.Sort(edges)
	edges = slices.DeleteFunc(slices.Compact(edges), func(p uint16) bool { return p < first || p > last })
	if len(edges) > maxPorts {
		i.cut = true
		edges = edges[:maxPorts]
	}
	return edges
}

// sources are those that the container follows.
func (i *Inquiry) sources() []nft.Source {
	out := []nft.Source{i.fenced.Own}
	for _, s := range i.rules.Sources {
		if slices.Contains(i.fenced.Shared, s.Name) {
			out = append(out, s)
		}
	}
	return out
}

// portsOf are the ports that matches name for an address; those of other addresses do no harm.
func portsOf(m nft.Matches, a netip.Addr) (out []nft.Ports) {
	for _, clauses := range [][]nft.Clause{m.All, m.Host, m.Internet} {
		for _, c := range clauses {
			out = append(out, c.Ports)
		}
	}
	for _, n := range m.Names {
		out = append(out, n.Clause.Ports)
	}
	for _, boxes := range [][]nft.Box{m.Addrs.Boxes, m.Nets.Boxes} {
		for _, b := range boxes {
			if b.Contains(a) {
				out = append(out, b.Ports)
			}
		}
	}
	return out
}
