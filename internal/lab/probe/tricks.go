package main

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net/netip"

	"golang.org/x/sys/unix"
)

// link is a way to put a packet on the wire.
type link struct {
	name string
	to   func(h host, to netip.Addr) hardware
	tags []uint32
	snap bool
}

func links() []link {
	router := func(h host, _ netip.Addr) hardware { return h.gateMAC }
	all := []link{
		{name: "plain", to: router},
		{name: "vlan-0", to: router, tags: []uint32{0x8100_0000}},
		{name: "vlan-0-0", to: router, tags: []uint32{0x8100_0000, 0x8100_0000}},
		{name: "vlan-7", to: router, tags: []uint32{0x8100_0007}},
		{name: "8021ad-0", to: router, tags: []uint32{0x88a8_0000}},
		{name: "8021ad-vlan-0", to: router, tags: []uint32{0x88a8_0000, 0x8100_0000}},
		{name: "snap", to: router, snap: true},
		{name: "broadcast-frame", to: func(host, netip.Addr) hardware { return hardware{255, 255, 255, 255, 255, 255} }},
		{name: "multicast-frame", to: func(_ host, to netip.Addr) hardware {
			if to.Is4() {
				return hardware{1, 0, 0x5e, 0, 0, 1}
			}
			return hardware{0x33, 0x33, 0, 0, 0, 1}
		}},
		{name: "to-sibling", to: func(h host, _ netip.Addr) hardware { return h.sibling.mac }},
	}
	for i := range 16 { // IEEE 802.1D: a bridge does not forward them; some it hands to its own host
		group := hardware{1, 0x80, 0xc2, 0, 0, byte(i)}
		all = append(all, link{name: fmt.Sprintf("reserved-%x", i), to: func(host, netip.Addr) hardware { return group }})
	}
	return all
}

// source is an identity that a packet claims.
type source struct {
	name string
	mac  func(host) hardware
	addr func(host) [2]netip.Addr // IPv4 and IPv6
}

func sources() []source {
	own := func(h host) hardware { return h.mac }
	both := func(v4, v6 string) func(host) [2]netip.Addr {
		pair := [2]netip.Addr{netip.MustParseAddr(v4), netip.MustParseAddr(v6)}
		return func(host) [2]netip.Addr { return pair }
	}
	return []source{
		{"own", own, func(h host) [2]netip.Addr { return h.addrs }},
		{"nobody", own, func(h host) [2]netip.Addr { return [2]netip.Addr{unused(h.addrs[0]), unused(h.addrs[1])} }},
		{"off-subnet", own, both("9.9.9.9", "2620:fe::9")},
		{"loopback", own, both("127.0.0.1", "::1")},
		{"link-local", own, func(h host) [2]netip.Addr {
			return [2]netip.Addr{netip.AddrFrom4([4]byte{169, 254, 1, 1}), h.linkLocal}
		}},
		{"unspecified", own, both("0.0.0.0", "::")},
		{"multicast", own, both("224.0.0.1", "ff02::1")},
		{"host", own, func(h host) [2]netip.Addr { return h.lan }},
		{"gateway", own, func(h host) [2]netip.Addr { return h.gate }},
		{"gateway-and-its-mac", func(h host) hardware { return h.gateMAC }, func(h host) [2]netip.Addr { return h.gate }},
		{"sibling-address", own, func(h host) [2]netip.Addr { return h.sibling.addrs }},
		{"sibling", func(h host) hardware { return h.sibling.mac }, func(h host) [2]netip.Addr { return h.sibling.addrs }},
		{"sibling-mac", func(h host) hardware { return h.sibling.mac }, func(h host) [2]netip.Addr { return h.addrs }},
	}
}

// unused is an address of the same /24 or /120 that no container has.
func unused(a netip.Addr) netip.Addr {
	b := a.AsSlice()
	b[len(b)-1] = 250
	u, _ := netip.AddrFromSlice(b)
	return u
}

// way is how the network layer carries a segment.
type way struct {
	name    string
	packets func(datagrams) [][]byte
}

func ways() []way {
	one := func(p []byte) [][]byte { return [][]byte{p} }
	return []way{
		{"plain", func(d datagrams) [][]byte { return one(d.whole(0)) }},
		{"options", func(d datagrams) [][]byte { // record route; hop-by-hop padding
			if d.to.Is4() {
				return one(d.whole(0, 7, 7, 4, 0, 0, 0, 0, 0))
			}
			return one(d.whole(unix.IPPROTO_HOPOPTS, 0, 1, 4, 0, 0, 0, 0))
		}},
		{"router-alert", func(d datagrams) [][]byte { // RFC 2113; destination options
			if d.to.Is4() {
				return one(d.whole(0, 148, 4, 0, 0))
			}
			return one(d.whole(unix.IPPROTO_DSTOPTS, 0, 1, 4, 0, 0, 0, 0))
		}},
		{"routing", func(d datagrams) [][]byte { // loose source route by the target itself; routing header, none left
			if d.to.Is4() {
				to := d.to.As4()
				return one(d.whole(0, 131, 7, 4, to[0], to[1], to[2], to[3], 0))
			}
			return one(d.whole(unix.IPPROTO_ROUTING, 0, 4, 0, 0, 0, 0, 0))
		}},
		{"atomic", func(d datagrams) [][]byte { return one(d.fragment(0, false, d.segment)) }}, // RFC 6946
		{"tiny", func(d datagrams) (all [][]byte) {
			for i := 0; i < len(d.segment); i += 8 {
				end := min(i+8, len(d.segment))
				all = append(all, d.fragment(i, end < len(d.segment), d.segment[i:end]))
			}
			return all
		}},
		{"overlapping", func(d datagrams) [][]byte {
			return [][]byte{d.fragment(0, true, d.segment[:16]), d.fragment(8, false, d.segment[8:])}
		}},
		{"second-only", func(d datagrams) [][]byte { return one(d.fragment(8, false, d.segment[8:])) }},
	}
}

// payload is what a packet carries: a protocol and the segment.
type payload struct {
	name     string
	protocol byte
	segment  func(from, to netip.AddrPort) []byte
}

func payloads() []payload {
	all := []payload{
		{"udp", unix.IPPROTO_UDP, udpSegment(40000)},
		{"udp-from-53", unix.IPPROTO_UDP, udpSegment(53)},
		{"icmp", unix.IPPROTO_ICMP, echo},
		{"sctp", unix.IPPROTO_SCTP, initSCTP},
	}
	for name, flags := range map[string]byte{"syn": 2, "syn-ack": 18, "ack": 16, "rst": 4, "fin": 1, "syn-fin": 3, "no-flags": 0, "all-flags": 63} {
		all = append(all, payload{"tcp-" + name, unix.IPPROTO_TCP, tcpSegment(flags)})
	}
	for name, protocol := range map[string]byte{"ipip": 4, "dccp": 33, "6in4": 41, "gre": 47, "esp": 50, "ah": 51, "vrrp": 112, "l2tp": 115, "udplite": 136, "unknown": 253, "raw": 255} {
		all = append(all, payload{name, protocol, func(_, to netip.AddrPort) []byte {
			s := make([]byte, 24)
			binary.BigEndian.PutUint16(s[2:], to.Port())
			return s
		}})
	}
	return all
}

func udpSegment(sport uint16) func(from, to netip.AddrPort) []byte {
	return func(from, to netip.AddrPort) []byte {
		return ported(netip.AddrPortFrom(from.Addr(), sport), to, unix.IPPROTO_UDP, datagram(make([]byte, 24)))
	}
}

func tcpSegment(flags byte) func(from, to netip.AddrPort) []byte {
	return func(from, to netip.AddrPort) []byte {
		s := make([]byte, 20)
		s[12], s[13] = 5<<4, flags
		binary.BigEndian.PutUint16(s[14:], 65535)
		return ported(from, to, unix.IPPROTO_TCP, s)
	}
}

// echo is a ping of either family: echo request is 8 in ICMP and 128 in ICMPv6.
func echo(from, to netip.AddrPort) []byte {
	m := append([]byte{8, 0, 0, 0, 0x77, 0x77, 0, 1}, make([]byte, 16)...)
	if to.Addr().Is6() {
		m[0] = 128
		return icmp6(from.Addr(), to.Addr(), m)
	}
	binary.BigEndian.PutUint16(m[2:], ones(m))
	return m
}

// initSCTP is an INIT with the right checksum (RFC 9260): conntrack takes no other for a beginning.
func initSCTP(from, to netip.AddrPort) []byte {
	s := []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 20, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1}
	binary.BigEndian.PutUint16(s[0:], from.Port())
	binary.BigEndian.PutUint16(s[2:], to.Port())
	binary.LittleEndian.PutUint32(s[8:], crc32.Checksum(s, crc32.MakeTable(crc32.Castagnoli)))
	return s
}
