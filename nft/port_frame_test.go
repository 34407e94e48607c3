package nft

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// tag is a VLAN tag of a frame.
type tag struct{ protocol, id uint16 }

// portFrame is a frame as a container can write one: nothing in it needs to be true.
type portFrame struct {
	To, From MAC
	Tags     []tag
	ARP      uint16 // operation; 0 for IP
	ARPMAC   MAC    // the sender that ARP names
	Src, Dst netip.Addr
	Proto    uint8
	Type     uint8      // of ICMPv6
	Target   netip.Addr // of neighbour discovery; the option behind it says From
	// Behind is an IPv6 extension header before the rest: unix.IPPROTO_HOPOPTS or, for a first fragment, IPPROTO_FRAGMENT.
	Behind uint8
	Dport  uint16
}

// bytes is the frame on the wire.
func (f portFrame) bytes() []byte {
	b := append(append([]byte{}, f.To[:]...), f.From[:]...)
	for _, t := range f.Tags {
		b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, t.protocol), t.id)
	}
	switch {
	case f.ARP != 0:
		return append(binary.BigEndian.AppendUint16(b, unix.ETH_P_ARP), f.arp()...)
	case f.Src.Is4():
		b = binary.BigEndian.AppendUint16(b, unix.ETH_P_IP)
	default:
		b = binary.BigEndian.AppendUint16(b, unix.ETH_P_IPV6)
	}
	return append(b, f.behind(f.ip().packet())...)
}

func (f portFrame) arp() []byte {
	b := binary.BigEndian.AppendUint16([]byte{0, 1, 8, 0, 6, 4}, f.ARP)
	b = append(append(b, f.ARPMAC[:]...), f.Src.AsSlice()...)
	return append(append(b, make([]byte, 6)...), f.Dst.AsSlice()...)
}

func (f portFrame) ip() frame {
	p := frame{Src: f.Src, Dst: f.Dst, Proto: f.Proto, Type: f.Type, Sport: 9, Dport: f.Dport}
	if p.Proto != ICMPv6 {
		return p
	}
	p.Sport, p.Dport = 0, 0
	switch f.Type {
	case neighbourAdvert: // solicited and override; the target's link-layer address
		p.Sport = 0x6000
		p.Payload = append(append(f.Target.AsSlice(), 2, 1), f.From[:]...)
	case neighbourSolicit:
		if p.Payload = f.Target.AsSlice(); !f.Src.IsUnspecified() {
			p.Payload = append(append(p.Payload, 1, 1), f.From[:]...)
		}
	case routerAdvert: // hop limit 64, a router for half an hour; the source's link-layer address
		p.Sport, p.Dport = 0x4000, 1800
		p.Payload = append(append(make([]byte, 8), 1, 1), f.From[:]...)
	case routerRedirect:
		p.Payload = append(f.Target.AsSlice(), f.Dst.AsSlice()...)
	}
	return p
}

// behind puts the extension header in, and the hop limit that neighbour discovery wants.
func (f portFrame) behind(packet []byte) []byte {
	if f.Src.Is4() {
		return packet
	}
	packet[7] = 255
	if f.Behind == 0 {
		return packet
	}
	header := []byte{packet[6], 0, 1, 4, 0, 0, 0, 0} // PadN, or a fragment at 0 with more to come
	if f.Behind == unix.IPPROTO_FRAGMENT {
		header = []byte{packet[6], 0, 0, 1, 0, 0, 0, 7}
	}
	packet[6] = f.Behind
	binary.BigEndian.PutUint16(packet[4:], binary.BigEndian.Uint16(packet[4:])+8)
	return append(append(append([]byte{}, packet[:40]...), header...), packet[40:]...)
}

// asSeen is what Judge is to be told of a frame that a veth received.
func (f portFrame) asSeen(port string) Packet {
	return Packet{
		Hook: Prerouting, In: port, Src: f.Src, Dst: f.Dst, Proto: f.Proto, Type: f.Type, DstPort: f.Dport,
		Link: Link{Veth: true, MAC: f.From, Stacked: len(f.Tags) > 1, ARP: f.ARP != 0 && len(f.Tags) < 2, ARPMAC: f.ARPMAC, Target: f.Target},
	}
}
