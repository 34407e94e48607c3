package hold

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerwall/dockerwall/packet"
)

// sent is a stream of messages on its way: what of it has arrived, and what of that was read.
type sent struct {
	t       *testing.T
	streams streams
	first   uint32
	bytes   []byte
	bodies  [][]byte // that are messages
	ends    []int    // where in the stream they end
	arrived []bool
	read    int
}

// send makes a stream: each of lengths is a message's.
func send(t *testing.T, first uint32, lengths []byte) *sent {
	s := &sent{t: t, first: first}
	for i, n := range lengths {
		b := make([]byte, n)
		for j := range b {
			b[j] = byte(i + j)
		}
		if n >= shortest {
			binary.BigEndian.PutUint32(b, uint32(i)) // no two are the same
		}
		s.bytes = append(s.bytes, frame(b)...)
		if n >= shortest {
			s.bodies, s.ends = append(s.bodies, b), append(s.ends, len(s.bytes))
		}
	}
	s.arrived = make([]bool, len(s.bytes))
	s.streams.add(tcpFlow(1), packet.Segment{Seq: first - 1, SYN: true}, time.Now())
	return s
}

// missing is where the first byte is that has not arrived.
func (s *sent) missing() int {
	if i := slices.Index(s.arrived, false); i >= 0 {
		return i
	}
	return len(s.arrived)
}

// arrive delivers bytes from..to, and fails unless exactly those messages come with it that end in what it makes whole.
// It reports false if a bound was exceeded.
func (s *sent) arrive(from, to int) bool {
	st := s.streams.open[tcpFlow(1)]
	if from > s.missing() && len(st.ahead) >= maxAhead {
		return false
	}
	before := s.missing()
	for i := from; i < to; i++ {
		s.arrived[i] = true
	}
	got := s.streams.add(tcpFlow(1), part(s.first, s.bytes, from, to), time.Now())
	if from > before {
		if sure := believed(got); len(sure) > 0 {
			s.t.Fatalf("bytes %d..%d came ahead of %d, but %d messages are believed", from, to, before, len(sure))
		}
		return true
	}
	if len(believed(got)) != len(got) {
		s.t.Fatalf("bytes %d..%d came in order, but are unsure", from, to)
	}
	if s.missing() == before { // sent again: the last ones again
		s.again(got)
		return true
	}
	s.new(got)
	return true
}

func (s *sent) again(got []Message) {
	for _, m := range got {
		if !slices.ContainsFunc(s.bodies[:s.read], func(b []byte) bool { return bytes.Equal(b, m.Data) }) {
			s.t.Fatalf("a message that was not sent yet: %x", m.Data)
		}
	}
	if s.read > 0 && (len(got) == 0 || !bytes.Equal(got[len(got)-1].Data, s.bodies[s.read-1])) {
		s.t.Fatalf("a segment sent again does not wait for message %d", s.read-1)
	}
}

func (s *sent) new(got []Message) {
	whole, _ := slices.BinarySearch(s.ends, s.missing()+1)
	if diff := cmp.Diff(sure(s.bodies[s.read:whole]...), got, anyReceiver()); diff != "" {
		s.t.Fatalf("with byte %d: want (-) and got (+) differ:\n%s", s.missing(), diff)
	}
	s.read = whole
}

// FuzzStream: a stream that arrives in pieces, in any order and some of them twice, gives its messages, each
// with the piece that makes it whole.
func FuzzStream(f *testing.F) {
	f.Add(uint32(1), []byte{40}, []byte{10, 0, 10, 0})
	f.Add(uint32(0xfffffff0), []byte{12, 0, 200, 3, 60}, []byte{5, 3, 100, 2, 7, 1, 80, 9, 1, 1})
	f.Add(uint32(7), []byte{255, 255, 255, 12, 12, 12}, []byte{255, 16, 1, 0, 90, 0x8f, 33, 0x4f, 200, 0xff})
	f.Add(uint32(7), []byte{30, 30}, bytes.Repeat([]byte{1, 0}, 64))
	f.Fuzz(func(t *testing.T, first uint32, lengths, plan []byte) {
		s := send(t, first, lengths[:min(len(lengths), 64)])
		for _, p := range arrivals(len(s.bytes), plan) {
			if !s.arrive(p[0], p[1]) {
				return
			}
		}
		if s.missing() != len(s.bytes) || s.read != len(s.bodies) {
			t.Fatalf("%d of %d bytes arrived, %d of %d messages were read", s.missing(), len(s.bytes), s.read, len(s.bodies))
		}
	})
}

// arrivals is an order in which n bytes arrive. Each two bytes of the plan are a piece: its length; how many pieces it
// is late; whether it begins earlier than it must; whether it comes twice. The rest comes at once.
func arrivals(n int, plan []byte) (order [][2]int) {
	type piece struct {
		at    int
		bytes [2]int
	}
	var pieces []piece
	from := 0
	for i := 0; i+1 < len(plan) && from < n; i += 2 {
		length, how := int(plan[i])+1, int(plan[i+1])
		p := piece{len(pieces) + how&0x1f, [2]int{from, min(from+length, n)}}
		if how&0x40 != 0 {
			p.bytes[0] = max(0, from-length)
		}
		pieces = append(pieces, p)
		if how&0x80 != 0 {
			pieces = append(pieces, piece{len(pieces) + how>>3&0xf, p.bytes})
		}
		from = p.bytes[1]
	}
	if from < n {
		pieces = append(pieces, piece{len(pieces), [2]int{from, n}})
	}
	slices.SortStableFunc(pieces, func(a, b piece) int { return a.at - b.at })
	for _, p := range pieces {
		order = append(order, p.bytes)
	}
	return order
}

// FuzzPacket: whatever arrives, twice, reading it ends well.
func FuzzPacket(f *testing.F) {
	a := body('a', 30)
	f.Add(udpPacket(a), udpPacket(a)[:20])
	f.Add(tcpPacket(packet.Segment{Seq: 5, SYN: true}), tcpPacket(packet.Segment{Seq: 6, Data: frame(a)}))
	f.Add(tcpPacket(packet.Segment{Seq: 0xffffffff, SYN: true, Data: frame(a)[:9]}), tcpPacket(packet.Segment{Seq: 9, FIN: true, Data: frame(a)[9:]}))
	f.Add([]byte{0x60}, append(make([]byte, 40), 0x45))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var r reader
		for _, data := range [][]byte{first, second, second, first} {
			for _, m := range r.messages(data, time.Now()) {
				if len(m.Data) < shortest || len(m.Data) > len(first)+len(second) {
					t.Errorf("no message: %x", m.Data)
				}
			}
		}
	})
}
