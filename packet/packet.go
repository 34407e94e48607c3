// Package packet reads the headers of packets that the kernel copies to us: denied ones, and DNS replies.
package packet

import (
	"encoding/binary"
	"net/netip"
)

// IP protocol numbers (IANA "Assigned Internet Protocol Numbers") that Decode looks into.
const (
	ProtoICMP   = 1
	ProtoTCP    = 6
	ProtoUDP    = 17
	ProtoICMPv6 = 58
	ProtoSCTP   = 132
)

// IPv6 extension headers (RFC 8200 section 4, RFC 4302, RFC 6275, RFC 7401, RFC 5533).
const (
	headerHopByHop    = 0
	headerRouting     = 43
	headerFragment    = 44
	headerAuth        = 51
	headerDestination = 60
	headerMobility    = 135
	headerHostID      = 139
	headerShim6       = 140
)

// maxHeaders bounds the walk over IPv6 extension headers; real packets carry one or two.
const maxHeaders = 16

// Packet is what the first bytes of an IP packet say. Ports are in host byte order and only set for
// tcp, udp and sctp; ICMPType only for ICMP and ICMPv6. Later fragments have neither. The zero value
// is a packet nothing is known about.
type Packet struct {
	Src, Dst         netip.Addr // unmapped
	Proto            uint8      // IANA protocol number; for IPv6 the header where the walk ended
	SrcPort, DstPort uint16
	ICMPType         uint8
}

// Decode reads the start of an IPv4 or IPv6 packet, beginning at the IP header. A truncated packet
// gives as much as its bytes prove. It reports false, with the zero Packet, if not even the addresses
// are there.
func Decode(b []byte) (Packet, bool) {
	p, _, ok := Split(b)
	return p, ok
}

// Split is Decode and the bytes of the upper layer, its header first. They are nil when they are not there: cut
// off, or a later fragment's.
func Split(b []byte) (p Packet, upper []byte, ok bool) {
	if len(b) == 0 {
		return Packet{}, nil, false
	}
	switch b[0] >> 4 {
	case 4:
		p, upper, ok = decode4(b)
	case 6:
		p, upper, ok = decode6(b)
	}
	p.ports(upper)
	return p, upper, ok
}

// decode4 reads an IPv4 packet (RFC 791).
func decode4(b []byte) (p Packet, upper []byte, ok bool) {
	const fixed = 20
	header := int(b[0]&0x0f) * 4
	if len(b) < fixed || header < fixed {
		return Packet{}, nil, false
	}
	p = Packet{
		Src:   netip.AddrFrom4([4]byte(b[12:16])),
		Dst:   netip.AddrFrom4([4]byte(b[16:20])),
		Proto: b[9],
	}
	if later := binary.BigEndian.Uint16(b[6:])&0x1fff != 0; !later {
		upper = after(clamp(b, int(binary.BigEndian.Uint16(b[2:]))), header)
	}
	return p, upper, true
}

// decode6 reads an IPv6 packet (RFC 8200).
func decode6(b []byte) (p Packet, upper []byte, ok bool) {
	const fixed = 40
	if len(b) < fixed {
		return Packet{}, nil, false
	}
	p = Packet{
		Src: netip.AddrFrom16([16]byte(b[8:24])).Unmap(),
		Dst: netip.AddrFrom16([16]byte(b[24:40])).Unmap(),
	}
	if length := int(binary.BigEndian.Uint16(b[4:])); length != 0 {
		b = clamp(b, fixed+length)
	}
	p.Proto, upper = upperLayer(b[6], b[fixed:])
	return p, upper, true
}

// upperLayer walks over IPv6 extension headers. It returns the protocol where the walk ended and that
// protocol's bytes, nil if they are not there: cut off, a later fragment, or too many headers.
func upperLayer(next uint8, b []byte) (uint8, []byte) {
	for range maxHeaders {
		var size int
		switch next {
		default:
			return next, b
		case headerFragment:
			size = 8
		case headerAuth:
			size = (int(at(b, 1)) + 2) * 4
		case headerHopByHop, headerRouting, headerDestination, headerMobility, headerHostID, headerShim6:
			size = (int(at(b, 1)) + 1) * 8
		}
		if len(b) < size {
			return next, nil
		}
		if next == headerFragment && binary.BigEndian.Uint16(b[2:])&0xfff8 != 0 {
			return b[0], nil
		}
		next, b = b[0], b[size:]
	}
	return next, nil
}

// ports reads the ports or the ICMP type out of the upper-layer header.
func (p *Packet) ports(b []byte) {
	switch p.Proto {
	case ProtoTCP, ProtoUDP, ProtoSCTP:
		if len(b) >= 4 {
			p.SrcPort, p.DstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		}
	case ProtoICMP, ProtoICMPv6:
		p.ICMPType = at(b, 0)
	}
}

// clamp cuts off what follows the packet, such as padding. A length of zero is a packet too large for
// its length field (BIG TCP).
func clamp(b []byte, length int) []byte {
	if length == 0 || length >= len(b) {
		return b
	}
	return b[:length]
}

// after is b without its first n bytes, nil if it has fewer.
func after(b []byte, n int) []byte {
	if len(b) < n {
		return nil
	}
	return b[n:]
}

// at is b[i], or 0 beyond its end.
func at(b []byte, i int) uint8 {
	if i >= len(b) {
		return 0
	}
	return b[i]
}
