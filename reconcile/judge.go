package reconcile

import (
	"net/netip"
	"slices"

	"github.com/dockerwall/dockerwall/flows"
	"github.com/dockerwall/dockerwall/nft"
)

// judge tells of flows whether a ruleset denies them, as if each were opened now.
type judge struct {
	rules   nft.Ruleset
	fresh   bool            // nobody fenced these flows before
	spared  map[string]bool // containers whose flows are not cut yet, by ID
	holders map[netip.Addr][]holder
	host    map[netip.Addr]bool // the host's own addresses
	known   map[question]bool   // answers
}

// holder is who has an address: a container, by its place in the ruleset, on a bridge.
type holder struct {
	container int
	bridge    string
}

// question is all of a flow that counts for who is asked.
type question struct {
	holder
	src     netip.Addr // of nobody's
	proto   uint8
	dst, to netip.AddrPort
}

// nobody stands for the container of an address on a fenced bridge that no container has.
const nobody = -1

func newJudge(s State, r nft.Ruleset, fresh bool) *judge {
	j := &judge{rules: r, fresh: fresh, holders: map[netip.Addr][]holder{}, host: map[netip.Addr]bool{}, known: map[question]bool{}}
	for i, c := range r.Containers {
		for _, e := range c.Endpoints {
			j.holders[e.Addr] = append(j.holders[e.Addr], holder{i, e.Bridge})
		}
	}
	for _, a := range plainAddrs(s.Interfaces.Addrs) {
		j.host[a] = true
	}
	return j
}

// cuts says whether f has to end, and returns it as its container has opened it, if one has.
func (j *judge) cuts(f flows.Flow) (opened flows.Flow, cut bool) {
	if j.denies(f) {
		return f, true
	}
	if j.fresh && f.Dst == f.To && j.mayBeTurned(f) && j.denies(f.Turned()) {
		return f.Turned(), true
	}
	return f, false
}

// ephemeral is the first port that Linux gives a client by itself (ip_local_port_range).
const ephemeral = 32768

// sparing says whether the container that has opened a flow, as cuts returned it, is spared.
func (j *judge) sparing(opened flows.Flow) bool {
	return slices.ContainsFunc(j.holders[opened.Src.Addr()], func(h holder) bool { return j.spared[j.rules.Containers[h.container].ID] })
}

// mayBeTurned says whether a flow may have been opened by the end that conntrack takes for the other one. Where nobody
// needed conntrack before there was a fence (Docker before 27 does not, of IPv6), it meets flows in their middle, from
// either side. Of TCP that is told, but the host itself connects to containers, too (docker-proxy). What was translated
// on its way was not met so.
func (j *judge) mayBeTurned(f flows.Flow) bool {
	if f.Proto == nft.TCP {
		return f.PickedUp && (!j.host[f.Src.Addr()] || fromServer(f))
	}
	return f.Src.Addr().Is6() && fromServer(f)
}

// fromServer says whether the ports are those of a server that has opened a connection to a client, which none does.
func fromServer(f flows.Flow) bool { return f.Src.Port() < ephemeral && f.Dst.Port() >= ephemeral }

// denies says whether f was opened from a fenced network, and would be denied now. An address that is a container's on
// several bridges is denied when it is on all of them.
func (j *judge) denies(f flows.Flow) bool {
	src, to := f.Src.Addr(), f.To.Addr()
	if to.IsMulticast() || to == broadcast() { // nobody answers from there
		return false
	}
	asked := j.holders[src]
	if len(asked) == 0 {
		asked = j.strangers(src)
	}
	for _, o := range asked {
		if !j.denied(o, f) {
			return false
		}
	}
	return len(asked) > 0
}

func broadcast() netip.Addr { return netip.AddrFrom4([4]byte{255, 255, 255, 255}) }

// strangers are the fenced bridges to whose network an address belongs that is neither a container's nor the host's.
func (j *judge) strangers(src netip.Addr) []holder {
	if j.host[src] {
		return nil
	}
	var out []holder
	for _, b := range j.rules.Bridges {
		if holds(b.Subnets, src) {
			out = append(out, holder{nobody, b.Name})
		}
	}
	return out
}

func holds(subnets []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(subnets, func(p netip.Prefix) bool { return p.Contains(a) })
}

func (j *judge) denied(o holder, f flows.Flow) bool {
	q := question{o, netip.Addr{}, f.Proto, f.Dst, f.To}
	if o.container == nobody {
		q.src = f.Src.Addr()
	}
	denied, ok := j.known[q]
	if !ok {
		denied = !j.ask(o, f)
		j.known[q] = denied
	}
	return denied
}

// ask has the ruleset judge the packet that would open the flow.
func (j *judge) ask(o holder, f flows.Flow) bool {
	p := nft.Packet{
		Hook: nft.Forward, In: o.bridge, InBridge: true, Src: f.Src.Addr(), Dst: f.To.Addr(), Proto: f.Proto,
		DNAT: f.Dst != f.To, OriginalDst: f.Dst.Addr(),
	}
	if f.Proto == nft.TCP || f.Proto == nft.UDP || f.Proto == nft.SCTP {
		p.DstPort, p.OriginalPort = f.To.Port(), f.Dst.Port()
	}
	if j.host[p.Dst] {
		p.Hook = nft.Input
	}
	one := j.rules // who else there is does not matter, and is long
	one.Containers = nil
	if o.container != nobody {
		one.Containers = j.rules.Containers[o.container : o.container+1]
	}
	for _, b := range one.Bridges {
		if b.Name == o.bridge && holds(b.Subnets, p.Dst) && p.Hook == nft.Forward {
			p.Out = b.Name
		}
	}
	return one.Judge(p).Pass
}
