package hold

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerwall/dockerwall/packet"
)

// ipPacket is an IPv4 packet from port 53 with an upper layer whose header's first four bytes are ports.
func ipPacket(proto byte, upper []byte) []byte {
	b := make([]byte, 20, 20+len(upper))
	b[0], b[8], b[9] = 0x45, 64, proto
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(upper)))
	copy(b[12:], []byte{198, 51, 100, 53, 198, 51, 100, 1})
	binary.BigEndian.PutUint16(upper, 53)
	binary.BigEndian.PutUint16(upper[2:], 40_000)
	return append(b, upper...)
}

func udpPacket(data []byte) []byte {
	b := make([]byte, 8, 8+len(data))
	binary.BigEndian.PutUint16(b[4:], uint16(8+len(data)))
	return ipPacket(packet.ProtoUDP, append(b, data...))
}

func tcpPacket(s packet.Segment) []byte {
	b := make([]byte, 20, 20+len(s.Data))
	binary.BigEndian.PutUint32(b[4:], s.Seq)
	b[12] = 5 << 4
	for i, flag := range []bool{s.FIN, s.SYN, s.RST} {
		if flag {
			b[13] |= 1 << i
		}
	}
	return ipPacket(packet.ProtoTCP, append(b, s.Data...))
}

func TestPacketsGiveTheMessagesThatEndInThem(t *testing.T) {
	a := body('a', 30)
	stream := frame(a)
	for name, test := range map[string]struct {
		packets [][]byte
		want    []Message // with the last of them
	}{
		"udp":                       {[][]byte{udpPacket(a)}, sure(a)},
		"a datagram too short":      {[][]byte{udpPacket(a[:11])}, nil},
		"the shortest datagram":     {[][]byte{udpPacket(a[:12])}, sure(a[:12])},
		"udp, cut off":              {[][]byte{udpPacket(a)[:25]}, nil},
		"tcp":                       {[][]byte{tcpPacket(packet.Segment{Seq: 4, SYN: true}), tcpPacket(part(5, stream, 0, 9)), tcpPacket(part(5, stream, 9, 32))}, unsureOf(a)},
		"tcp, its beginning missed": {[][]byte{tcpPacket(part(5, stream, 0, 32))}, unsureOf(a)},
		"tcp, cut off":              {[][]byte{tcpPacket(part(5, stream, 0, 32))[:39]}, nil},
		"icmp":                      {[][]byte{ipPacket(packet.ProtoICMP, body(0, 40))}, nil},
		"no packet":                 {[][]byte{a}, nil},
		"nothing":                   {[][]byte{nil}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var r reader
			var got []Message
			for _, p := range test.packets {
				got = r.messages(p, time.Now())
			}
			for i, m := range got {
				if m.To != netip.MustParseAddr(receiver) {
					t.Errorf("message %d is for %v", i, m.To)
				}
			}
			if diff := cmp.Diff(test.want, got, anyReceiver()); diff != "" {
				t.Errorf("want (-) and got (+) differ:\n%s", diff)
			}
		})
	}
}

// receiver is whom ipPacket is for.
const receiver = "198.51.100.1"

// anyReceiver compares messages without whom they are for.
func anyReceiver() cmp.Option { return cmp.Comparer(func(netip.Addr, netip.Addr) bool { return true }) }
