package nft

import (
	"cmp"
	"encoding/binary"
	"net/netip"
)

// frame is a packet to put on a wire, byte for byte.
type frame struct {
	ID           uint16 // IPv4 ID or IPv6 flow label: what observers know it by
	MAC, FromMAC [6]byte
	Src, Dst     netip.Addr
	Proto        uint8
	Sport, Dport uint16
	Flags        uint8  // of TCP
	Ack          uint32 // of TCP; 1 if left out, as every sequence number is
	Type, Code   uint8  // of ICMP and ICMPv6
	Payload      []byte // after the transport header
	BadSum       bool
}

// TCP flags.
const (
	fin uint8 = 1 << iota
	syn
	rst
	psh
	ack
)

// bytes is the Ethernet frame.
func (f frame) bytes() []byte {
	b := append(append([]byte{}, f.MAC[:]...), f.FromMAC[:]...)
	if f.Src.Is4() {
		b = append(b, 0x08, 0x00)
	} else {
		b = append(b, 0x86, 0xdd)
	}
	return append(b, f.packet()...)
}

// packet is the IP packet.
func (f frame) packet() []byte {
	l4 := f.transport()
	if !f.Src.Is4() {
		b := binary.BigEndian.AppendUint32(nil, 6<<28|uint32(f.ID))
		b = binary.BigEndian.AppendUint16(b, uint16(len(l4)))
		b = append(b, f.Proto, 64)
		b = append(append(b, f.Src.AsSlice()...), f.Dst.AsSlice()...)
		return append(b, l4...)
	}
	b := binary.BigEndian.AppendUint16([]byte{0x45, 0}, uint16(20+len(l4)))
	b = binary.BigEndian.AppendUint16(b, f.ID)
	b = append(b, 0, 0, 64, f.Proto, 0, 0)
	b = append(append(b, f.Src.AsSlice()...), f.Dst.AsSlice()...)
	binary.BigEndian.PutUint16(b[10:], checksum(0, b))
	return append(b, l4...)
}

func (f frame) transport() []byte {
	ports := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, f.Sport), f.Dport)
	var b []byte
	at := -1
	switch f.Proto {
	case TCP:
		b = binary.BigEndian.AppendUint32(append(ports, 0, 0, 0, 1), cmp.Or(f.Ack, 1))
		b = append(b, 0x50, f.Flags, 0xff, 0xff, 0, 0, 0, 0)
		at = 16
	case UDP:
		b = binary.BigEndian.AppendUint16(ports, uint16(8+len(f.Payload)))
		b = append(b, 0, 0)
		at = 6
	case SCTP: // an INIT chunk, which opens an association
		b = append(ports, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0xff, 0xff, 0, 1, 0, 1, 0, 0, 0, 1)
		binary.LittleEndian.PutUint32(b[8:], crc32c(b))
	case ICMP, ICMPv6:
		b = append([]byte{f.Type, f.Code, 0, 0}, ports...)
		at = 2
	default:
		b = append([]byte{0, 0, 0, 0}, ports...)
	}
	b = append(b, f.Payload...)
	if at >= 0 {
		binary.BigEndian.PutUint16(b[at:], f.sum(b))
	}
	return b
}

func (f frame) sum(l4 []byte) uint16 {
	start := uint32(0)
	if f.Proto != ICMP {
		pseudo := append(f.Src.AsSlice(), f.Dst.AsSlice()...)
		pseudo = append(binary.BigEndian.AppendUint32(pseudo, uint32(len(l4))), 0, 0, 0, f.Proto)
		start = uint32(^checksum(0, pseudo))
	}
	sum := checksum(start, l4)
	if f.BadSum {
		sum ^= 0x1234
	}
	return sum
}

func checksum(sum uint32, b []byte) uint16 {
	for i := 0; i < len(b); i += 2 {
		word := uint32(b[i]) << 8
		if i+1 < len(b) {
			word |= uint32(b[i+1])
		}
		sum += word
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
