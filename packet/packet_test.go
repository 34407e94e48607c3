package packet

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
)

var (
	src4 = netip.MustParseAddr("192.0.2.7")
	dst4 = netip.MustParseAddr("198.51.100.9")
	src6 = netip.MustParseAddr("2001:db8::7")
	dst6 = netip.MustParseAddr("2001:db8:1::9")
)

// ipv4 is a packet with the given flags and fragment offset, options and upper layer.
func ipv4(proto uint8, fragment uint16, options, upper []byte) []byte {
	header := 20 + len(options)
	b := make([]byte, 20, header+len(upper))
	b[0] = 4<<4 | uint8(header/4)
	binary.BigEndian.PutUint16(b[2:], uint16(header+len(upper)))
	binary.BigEndian.PutUint16(b[6:], fragment)
	b[8], b[9] = 64, proto
	copy(b[12:], src4.AsSlice())
	copy(b[16:], dst4.AsSlice())
	return slices.Concat(b, options, upper)
}

// ipv6 is a packet whose header says next, then rest: extension headers and upper layer.
func ipv6(next uint8, rest ...[]byte) []byte {
	b := make([]byte, 40)
	body := slices.Concat(rest...)
	b[0] = 6 << 4
	binary.BigEndian.PutUint16(b[4:], uint16(len(body)))
	b[6], b[7] = next, 64
	copy(b[8:], src6.AsSlice())
	copy(b[24:], dst6.AsSlice())
	return append(b, body...)
}

// ports is the start of a tcp, udp or sctp header.
func ports(src, dst uint16) []byte {
	b := make([]byte, 8)
	binary.BigEndian.PutUint16(b, src)
	binary.BigEndian.PutUint16(b[2:], dst)
	return b
}

// extension is an extension header of units × 8 bytes, for AH 4 × (units + 1).
func extension(next uint8, size int, length uint8) []byte {
	b := make([]byte, size)
	b[0], b[1] = next, length
	return b
}

func fragment(next uint8, offset uint16) []byte {
	b := extension(next, 8, 0)
	binary.BigEndian.PutUint16(b[2:], offset<<3)
	return b
}

func TestDecode(t *testing.T) {
	p4 := Packet{Src: src4, Dst: dst4}
	p6 := Packet{Src: src6, Dst: dst6}
	with := func(p Packet, proto uint8, src, dst uint16, icmp uint8) Packet {
		p.Proto, p.SrcPort, p.DstPort, p.ICMPType = proto, src, dst, icmp
		return p
	}
	tests := map[string]struct {
		b    []byte
		want Packet
	}{
		"udp":                         {ipv4(17, 0, nil, ports(1000, 53)), with(p4, 17, 1000, 53, 0)},
		"tcp behind options":          {ipv4(6, 0, make([]byte, 8), ports(1000, 443)), with(p4, 6, 1000, 443, 0)},
		"sctp":                        {ipv4(132, 0, nil, ports(5, 6)), with(p4, 132, 5, 6, 0)},
		"echo request":                {ipv4(1, 0, nil, []byte{8, 0, 0xab, 0xcd}), with(p4, 1, 0, 0, 8)},
		"gre has no ports":            {ipv4(47, 0, nil, ports(1, 2)), with(p4, 47, 0, 0, 0)},
		"first fragment has ports":    {ipv4(17, 0x2000, nil, ports(1, 2)), with(p4, 17, 1, 2, 0)},
		"later fragment has none":     {ipv4(17, 0x0005, nil, ports(1, 2)), with(p4, 17, 0, 0, 0)},
		"ports cut off":               {ipv4(17, 0, nil, ports(1, 2))[:23], with(p4, 17, 0, 0, 0)},
		"options cut off":             {ipv4(17, 0, make([]byte, 8), ports(1, 2))[:22], with(p4, 17, 0, 0, 0)},
		"padding is not a port":       {append(ipv4(17, 0, nil, nil), 1, 2, 3, 4), with(p4, 17, 0, 0, 0)},
		"udp over v6":                 {ipv6(17, ports(1000, 53)), with(p6, 17, 1000, 53, 0)},
		"echo request over v6":        {ipv6(58, []byte{128, 0}), with(p6, 58, 0, 0, 128)},
		"hop-by-hop, destination":     {ipv6(0, extension(60, 8, 0), extension(6, 16, 1), ports(1, 2)), with(p6, 6, 1, 2, 0)},
		"routing":                     {ipv6(43, extension(17, 24, 2), ports(1, 2)), with(p6, 17, 1, 2, 0)},
		"authentication counts in 4s": {ipv6(51, extension(17, 12, 1), ports(1, 2)), with(p6, 17, 1, 2, 0)},
		"first fragment over v6":      {ipv6(44, fragment(17, 0), ports(1, 2)), with(p6, 17, 1, 2, 0)},
		"later fragment over v6":      {ipv6(44, fragment(17, 9), ports(1, 2)), with(p6, 17, 0, 0, 0)},
		"encrypted":                   {ipv6(50, ports(1, 2)), with(p6, 50, 0, 0, 0)},
		"extension cut off":           {ipv6(0, extension(17, 8, 4)), with(p6, 0, 0, 0, 0)},
		"nothing behind v6":           {ipv6(59), with(p6, 59, 0, 0, 0)},
		"mapped addresses unmapped": {
			func() []byte {
				b := ipv6(17, ports(1, 2))
				mapped := netip.MustParseAddr("::ffff:198.51.100.9").As16()
				copy(b[24:], mapped[:])
				return b
			}(),
			Packet{Src: src6, Dst: dst4, Proto: 17, SrcPort: 1, DstPort: 2},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got, ok := Decode(tt.b); !ok || got != tt.want {
				t.Errorf("got %+v, %v\nwant %+v", got, ok, tt.want)
			}
		})
	}
}

func TestDecodeRefusesWhatHasNoAddresses(t *testing.T) {
	tests := map[string][]byte{
		"nothing":             nil,
		"other version":       bytes.Repeat([]byte{0x50}, 60),
		"short v4":            ipv4(17, 0, nil, nil)[:19],
		"short v6":            ipv6(17)[:39],
		"header length of 16": append([]byte{0x44}, make([]byte, 40)...),
	}
	for name, b := range tests {
		t.Run(name, func(t *testing.T) {
			if got, ok := Decode(b); ok || got != (Packet{}) {
				t.Errorf("got %+v, %v", got, ok)
			}
		})
	}
}

func TestDecodeGivesUpOnEndlessHeaders(t *testing.T) {
	b := ipv6(60, bytes.Repeat(extension(60, 8, 0), maxHeaders), extension(17, 8, 0), ports(1, 2))
	if got, ok := Decode(b); !ok || got.Proto != 60 || got.DstPort != 0 {
		t.Errorf("got %+v, %v", got, ok)
	}
}

// FuzzDecode: never a panic; nothing is made up from bytes that are not there.
func FuzzDecode(f *testing.F) {
	f.Add(ipv4(17, 0, nil, ports(1, 2)))
	f.Add(ipv4(1, 0x2000, make([]byte, 4), []byte{8}))
	f.Add(ipv6(0, extension(44, 8, 0), fragment(6, 0), ports(1, 2)))
	f.Add(ipv6(51, extension(58, 12, 1), []byte{128}))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := Decode(b)
		if !ok {
			if p != (Packet{}) {
				t.Fatalf("not ok, but %+v", p)
			}
			return
		}
		if !p.Src.IsValid() || !p.Dst.IsValid() || p.Src.Is4In6() || p.Dst.Is4In6() {
			t.Fatalf("addresses %v, %v", p.Src, p.Dst)
		}
		hasPorts := p.SrcPort != 0 || p.DstPort != 0
		if hasPorts && p.Proto != 6 && p.Proto != 17 && p.Proto != 132 {
			t.Fatalf("ports of protocol %d", p.Proto)
		}
		// A prefix of a packet never says anything else than the packet.
		for n := range b {
			if q, ok := Decode(b[:n]); ok && (q.Src != p.Src || q.Dst != p.Dst || q.DstPort != 0 && q.DstPort != p.DstPort) {
				t.Fatalf("%d bytes say %+v, all say %+v", n, q, p)
			}
		}
	})
}
