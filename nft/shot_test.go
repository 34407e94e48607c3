package nft

import (
	"net/netip"
)

// shot makes a random packet; false if it would be the answer to another one.
func (o *oracle) shot(r Ruleset) (shot, bool) {
	if o.chance(12) {
		return o.shotOfFlow(), true
	}
	wire := pick(o.generator, []string{"blue", "blue", "blue", "dock", "dock", "dock", "unkn", "free", "wan"})
	f := o.next(frame{Src: o.sourceOn(wire, r)})
	f.Dst = o.destination(f.Src)
	o.transport(&f)
	switch {
	case o.chance(12) && wire != "wan":
		o.local(&f, wire)
	case o.chance(20):
		d := pick(o.generator, redirects)
		if dst := netip.MustParseAddr(d.dst); dst.Is4() == f.Src.Is4() {
			f.Dst, f.Proto, f.Dport, f.Type = dst, d.proto, d.port, 8
		}
	}
	if f.Proto != TCP && f.Proto != UDP && f.Proto != SCTP {
		o.pairs[[2]netip.Addr{f.Src, f.Dst}] = true
		if o.pairs[[2]netip.Addr{f.Dst, f.Src}] {
			return shot{}, false
		}
	}
	return shot{wire, f}, true
}

// sourceOn is mostly an address a container has there.
func (o *oracle) sourceOn(wire string, r Ruleset) netip.Addr {
	var mine []netip.Addr
	for _, c := range r.Containers {
		for _, e := range c.Endpoints {
			if e.Bridge == bridgeOf(wire) {
				mine = append(mine, e.Addr)
			}
		}
	}
	if len(mine) > 0 && o.chance(80) {
		return pick(o.generator, mine)
	}
	return pick(o.generator, parseAddrs("172.18.0.2", "172.17.0.2", "172.17.0.3", "172.18.0.99", "172.20.0.2", "172.21.0.2", "203.0.113.7",
		"fd00:1::2", "fd00:2::2", "fd00:2::99", "fd00:4::2", "fd00:5::2", "2001:db8:9::7"))
}

func (o *oracle) destination(src netip.Addr) netip.Addr {
	for {
		a := pick(o.generator, worldAddrs())
		if o.chance(5) {
			a = pick(o.generator, parseAddrs("224.0.0.1", "ff02::1", "198.18.3.3", "2001:db8:8001::1"))
		}
		if a.Is4() == src.Is4() && a != src {
			return a
		}
	}
}

func (o *oracle) transport(f *frame) {
	f.Proto = pick(o.generator, []uint8{TCP, TCP, TCP, UDP, UDP, UDP, ICMP, ICMP, 47, SCTP})
	f.Dport = pick(o.generator, []uint16{22, 53, 53, 79, 80, 443, 443, 444, 8000, 8080, 65535, 0})
	f.Flags = pick(o.generator, []uint8{syn, syn, syn, ack, ack | psh, syn | ack, rst, fin | ack, 0})
	f.BadSum = o.chance(4)
	switch {
	case f.Proto == ICMP && f.Src.Is4():
		f.Type = pick(o.generator, []uint8{8, 8, 8, 0, 13})
	case f.Proto == ICMP:
		f.Proto, f.Type = ICMPv6, pick(o.generator, []uint8{128, 128, 128, 129, 134, 135, 136, 143})
	}
}

// local stays on its network: to another station, to all, or to a group.
func (o *oracle) local(f *frame, wire string) {
	f.MAC = pick(o.generator, [][6]byte{{2, 0, 0, 0, 9, 9}, {255, 255, 255, 255, 255, 255}})
	for _, b := range routerBridges {
		if b.bridge != bridgeOf(wire) {
			continue
		}
		if f.Src.Is4() {
			f.Dst = pick(o.generator, []netip.Addr{netip.MustParsePrefix(b.v4).Addr().Next().Next().Next(), lastOf(b.v4), netip.MustParseAddr("255.255.255.255"),
				netip.MustParseAddr("224.0.0.251"), netip.MustParseAddr("198.51.100.1")})
			return
		}
		f.Dst = pick(o.generator, []netip.Addr{netip.MustParsePrefix(b.v6).Addr().Next().Next().Next(), netip.MustParseAddr("ff02::fb"), netip.MustParseAddr("fe80::77"),
			netip.MustParseAddr("2001:db8:2::1")})
	}
}

func lastOf(prefix string) netip.Addr { return rangeOf(netip.MustParsePrefix(prefix)).Last }

// shotOfFlow is a further packet of a flow that stood before the fence, an answer, or an error.
func (o *oracle) shotOfFlow() shot {
	i := o.Intn(len(o.flows))
	f, wire := o.flows[i], o.wires[i]
	if o.chance(50) {
		f, wire = reply(f), "wan"
	}
	f.ID = o.newID()
	if o.chance(40) { // an ICMP error about the other direction
		about := reply(f)
		f.Payload, f.Proto, f.Type, f.Code, f.Sport, f.Dport = about.packet()[:28], ICMP, 3, 3, 0, 0
		if !f.Src.Is4() {
			f.Payload, f.Proto, f.Type, f.Code = about.packet()[:48], ICMPv6, 1, 4
		}
	}
	return shot{wire, f}
}
