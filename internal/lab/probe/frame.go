package main

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// hardware is an Ethernet address.
type hardware [6]byte

// ethernet puts a header before a payload. Tags are VLAN tags, the outermost first: protocol in the upper 16 bits,
// identifier in the lower.
func ethernet(to, from hardware, kind uint16, payload []byte, tags ...uint32) []byte {
	frame := append(append(make([]byte, 0, 64+len(payload)), to[:]...), from[:]...)
	for _, t := range tags {
		frame = binary.BigEndian.AppendUint32(frame, t)
	}
	frame = append(binary.BigEndian.AppendUint16(frame, kind), payload...)
	for len(frame) < 60 {
		frame = append(frame, 0)
	}
	return frame
}

// snap is the IEEE 802.3 spelling of the same: a length where the type would be, then LLC and SNAP headers (RFC 1042).
func snap(to, from hardware, kind uint16, payload []byte) []byte {
	inner := append([]byte{0xaa, 0xaa, 3, 0, 0, 0}, byte(kind>>8), byte(kind))
	return ethernet(to, from, uint16(len(inner)+len(payload)), append(inner, payload...))
}

// datagrams are IP packets to be: addresses, a protocol and what it carries.
type datagrams struct {
	from, to netip.Addr
	protocol byte
	segment  []byte
}

func (d datagrams) kind() uint16 {
	if d.to.Is4() {
		return unix.ETH_P_IP
	}
	return unix.ETH_P_IPV6
}

// whole is one packet. Options stand in IPv4's header; of IPv6 they are an extension header of the kind given.
func (d datagrams) whole(kind byte, options ...byte) []byte {
	if d.to.Is4() {
		return d.v4(0, options, d.segment)
	}
	if len(options) == 0 {
		return d.v6(d.protocol, d.segment)
	}
	return d.v6(kind, append(append([]byte{d.protocol}, options...), d.segment...))
}

// fragment is one that holds some bytes of the segment; offset counts bytes, in steps of eight.
func (d datagrams) fragment(offset int, more bool, data []byte) []byte {
	if d.to.Is4() {
		field := uint16(offset / 8)
		if more {
			field |= 1 << 13
		}
		return d.v4(field, nil, data)
	}
	h := make([]byte, 8)
	h[0] = d.protocol
	binary.BigEndian.PutUint16(h[2:], uint16(offset))
	if more {
		h[3] |= 1
	}
	binary.BigEndian.PutUint32(h[4:], 0x77777777)
	return d.v6(unix.IPPROTO_FRAGMENT, append(h, data...))
}

func (d datagrams) v4(fragment uint16, options, data []byte) []byte {
	h := make([]byte, 12, 64+len(data))
	h[0], h[8], h[9] = byte(4<<4|(5+len(options)/4)), 64, d.protocol
	binary.BigEndian.PutUint16(h[2:], uint16(20+len(options)+len(data)))
	binary.BigEndian.PutUint16(h[4:], 0x7777)
	binary.BigEndian.PutUint16(h[6:], fragment)
	h = append(append(append(h, d.from.AsSlice()...), d.to.AsSlice()...), options...)
	binary.BigEndian.PutUint16(h[10:], ones(h))
	return append(h, data...)
}

func (d datagrams) v6(next byte, data []byte) []byte {
	return append(header(d.from, d.to, next, len(data)), data...)
}

// ones is RFC 1071's checksum.
func ones(data []byte) uint16 {
	var sum uint32
	for i, b := range data {
		sum += uint32(b) << (8 * (1 - i%2))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// icmp6 puts the checksum into a message.
func icmp6(from, to netip.Addr, message []byte) []byte {
	message[2], message[3] = 0, 0
	binary.BigEndian.PutUint16(message[2:], checksum(from, to, unix.IPPROTO_ICMPV6, message))
	return message
}
