package hold

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerwall/dockerwall/packet"
)

func tcpFlow(port uint16) flow {
	addr := netip.MustParseAddr("198.51.100.53")
	return flow{netip.AddrPortFrom(addr, 53), netip.AddrPortFrom(addr.Next(), port)}
}

// body is a message of n bytes; its first one is which.
func body(which byte, n int) []byte {
	b := bytes.Repeat([]byte{which}, n)
	for i := 1; i < n; i++ {
		b[i] = byte(i)
	}
	return b
}

// frame is messages as they go over tcp.
func frame(bodies ...[]byte) (out []byte) {
	for _, b := range bodies {
		out = binary.BigEndian.AppendUint16(out, uint16(len(b)))
		out = append(out, b...)
	}
	return out
}

// sure and unsureOf are messages as they are to come out.
func sure(bodies ...[]byte) (out []Message) {
	for _, b := range bodies {
		out = append(out, Message{Data: b})
	}
	return out
}

func unsureOf(bodies ...[]byte) []Message {
	out := sure(bodies...)
	for i := range out {
		out[i].Unsure = true
	}
	return out
}

// step is a segment and the messages that end in it.
type step struct {
	seg  packet.Segment
	want []Message
}

// part is the segment with bytes from..to of a stream that begins at seq.
func part(seq uint32, stream []byte, from, to int) packet.Segment {
	return packet.Segment{Seq: seq + uint32(from), Data: stream[from:to]}
}

func steps(t *testing.T, s *streams, f flow, all []step) {
	t.Helper()
	for i, st := range all {
		got := s.add(f, st.seg, time.Now())
		if diff := cmp.Diff(st.want, got, anyReceiver()); diff != "" {
			t.Errorf("step %d: segment %d+%d: want (-) and got (+) differ:\n%s", i, st.seg.Seq, len(st.seg.Data), diff)
		}
	}
}

// pieces cuts a stream into segments of n bytes; the last one ends the messages.
func pieces(seq uint32, stream []byte, n int, want []Message) []step {
	var out []step
	for from := 0; from < len(stream); from += n {
		to := min(from+n, len(stream))
		st := step{seg: part(seq, stream, from, to)}
		if to == len(stream) {
			st.want = want
		}
		out = append(out, st)
	}
	return out
}

func syn(seq uint32) step { return step{seg: packet.Segment{Seq: seq - 1, SYN: true}} }

func TestMessagesComeWithTheSegmentThatEndsThem(t *testing.T) {
	const seq = 1000
	a, b, c := body('a', 30), body('b', 12), body('c', 300)
	one, two := frame(a), frame(a, b)
	whole := func(stream []byte) packet.Segment { return part(seq, stream, 0, len(stream)) }
	near := uint32(0xffffffff - 10) // of the numbers' end
	for name, segments := range map[string][]step{
		"a message in a segment":                    {{whole(one), sure(a)}},
		"several messages in a segment":             {{whole(frame(a, b, c)), sure(a, b, c)}},
		"a message byte by byte":                    pieces(seq, one, 1, sure(a)),
		"a message two bytes by two":                pieces(seq, one, 2, sure(a)),
		"a message three bytes by three":            pieces(seq, one, 3, sure(a)),
		"a message in halves":                       pieces(seq, one, 16, sure(a)),
		"a message without its last byte, then it":  {{part(seq, one, 0, 31), nil}, {part(seq, one, 31, 32), sure(a)}},
		"a message and the next one's length":       {{part(seq, two, 0, 34), sure(a)}, {part(seq, two, 34, 46), sure(b)}},
		"an end and a beginning in a segment":       {{part(seq, two, 0, 20), nil}, {part(seq, two, 20, 40), sure(a)}, {part(seq, two, 40, 46), sure(b)}},
		"the segment that ends it is sent again":    {{part(seq, one, 0, 9), nil}, {part(seq, one, 9, 32), sure(a)}, {part(seq, one, 9, 32), sure(a)}},
		"all of it is sent again in one":            {{part(seq, one, 0, 9), nil}, {part(seq, one, 9, 32), sure(a)}, {whole(one), sure(a)}},
		"a first piece is sent again":               {{part(seq, one, 0, 9), nil}, {part(seq, one, 0, 9), nil}, {part(seq, one, 9, 32), sure(a)}},
		"pieces that overlap":                       {{part(seq, one, 0, 20), nil}, {part(seq, one, 5, 25), nil}, {part(seq, one, 24, 32), sure(a)}},
		"an overlap with more than what was missed": {{part(seq, two, 0, 20), nil}, {part(seq, two, 10, 46), sure(a, b)}},
		"acknowledgements between":                  {{part(seq, one, 0, 9), nil}, {packet.Segment{Seq: seq + 9}, nil}, {part(seq, one, 9, 32), sure(a)}},
		"a keep-alive waits for the last message":   {{whole(one), sure(a)}, {part(seq, one, 31, 32), sure(a)}},
		"a FIN with the last bytes": {
			{part(seq, one, 0, 9), nil}, {packet.Segment{Seq: seq + 9, FIN: true, Data: one[9:]}, sure(a)}, {part(seq, one, 9, 32), sure(a)},
		},
		"no message, then one":                    {{whole(frame(nil, a)), sure(a)}},
		"only no messages":                        {{whole(frame(nil, nil)), nil}},
		"one too short to be any, then one":       {{whole(frame(body('x', shortest-1), b)), sure(b)}},
		"the numbers begin anew within a length":  append([]step{syn(0xffffffff)}, pieces(0xffffffff, one, 3, sure(a))...),
		"the numbers begin anew within a message": append([]step{syn(near)}, pieces(near, one, 3, sure(a))...),
		"the numbers begin anew, all in one":      {syn(near), {part(near, one, 0, 32), sure(a)}, {part(near, one, 0, 32), sure(a)}},
		"the opening is sent again":               {{part(seq, one, 0, 9), nil}, syn(seq), {part(seq, one, 9, 32), sure(a)}},
		"the same addresses begin another stream": {{part(seq, one, 0, 9), nil}, syn(77), {part(77, one, 0, 32), sure(a)}},
		"data with the opening":                   {{packet.Segment{Seq: 76, SYN: true, Data: one[:9]}, nil}, {part(77, one, 9, 32), sure(a)}},
		"a reset, and then nobody knows where":    {{part(seq, two, 0, 32), sure(a)}, {packet.Segment{Seq: seq + 32, RST: true}, nil}, {part(seq, two, 32, 46), unsureOf(b)}},
	} {
		t.Run(name, func(t *testing.T) {
			steps(t, &streams{}, tcpFlow(1), append([]step{syn(seq)}, segments...))
		})
	}
}

func TestSegmentsThatOvertookOthersEndTheirMessagesLater(t *testing.T) {
	seq := uint32(0xfffffff0)
	a, b := body('a', 30), body('b', 40)
	two := frame(a, b)
	at := func(from, to int) packet.Segment { return part(seq, two, from, to) }
	for name, segments := range map[string][]step{
		"two swapped":        {{at(20, 32), nil}, {at(0, 20), sure(a)}},
		"three turned round": {{at(60, 74), nil}, {at(15, 60), nil}, {at(0, 15), sure(a, b)}},
		"a gap of one byte":  {{at(0, 10), nil}, {at(11, 32), nil}, {at(10, 11), sure(a)}},
		"two gaps": {
			{at(10, 15), nil}, {at(20, 74), nil}, {at(0, 10), nil}, {at(15, 20), sure(a, b)},
		},
		"the one ahead twice":               {{at(10, 32), nil}, {at(10, 32), nil}, {at(0, 10), sure(a)}, {at(10, 32), sure(a)}},
		"overlapping ones ahead":            {{at(5, 25), nil}, {at(10, 32), nil}, {at(0, 6), sure(a)}},
		"a whole message ahead may be read": {{at(32, 74), unsureOf(b)}, {at(0, 32), sure(a, b)}},
		"a FIN ahead":                       {{packet.Segment{Seq: seq + 74, FIN: true}, nil}, {at(0, 74), sure(a, b)}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &streams{}
			steps(t, s, tcpFlow(1), []step{syn(seq)})
			for i, st := range segments {
				got := s.add(tcpFlow(1), st.seg, time.Now())
				if st.want == nil { // what may be read of it was chosen by nobody
					got = believed(got)
				}
				if diff := cmp.Diff(st.want, got, anyReceiver()); diff != "" {
					t.Errorf("step %d: want (-) and got (+) differ:\n%s", i, diff)
				}
			}
		})
	}
}

// believed are the messages that are sure.
func believed(messages []Message) (out []Message) {
	for _, m := range messages {
		if !m.Unsure {
			out = append(out, m)
		}
	}
	return out
}

func TestWhatAStreamOfUnknownBeginningSaysIsUnsure(t *testing.T) {
	a, b := body('a', 30), body('b', 14)
	for name, test := range map[string]struct {
		data []byte
		want []Message
	}{
		"a whole message":               {frame(a), unsureOf(a)},
		"two":                           {frame(a, b), unsureOf(a, b)},
		"one and a beginning":           {frame(a, b)[:46], unsureOf(a, b[:12])},
		"a beginning":                   {frame(a)[:20], unsureOf(a[:18])},
		"a beginning within the header": {frame(a)[:13], nil},
		"a length alone":                {frame(a)[:2], nil},
		"half a length":                 {frame(a)[:1], nil},
		"nothing":                       {nil, nil},
		"zeros":                         {make([]byte, 100), nil},
		"messages too short to be any":  {frame(a[:11], a[:3], b), unsureOf(b)},
	} {
		t.Run(name, func(t *testing.T) {
			s := &streams{}
			steps(t, s, tcpFlow(1), []step{{packet.Segment{Seq: 5, Data: test.data}, test.want}, {packet.Segment{Seq: 5, FIN: true}, nil}})
			if len(s.open) != 0 {
				t.Error("a stream was made of it")
			}
		})
	}
}

func TestASegmentThatPassedUnreadIsNotWaitedFor(t *testing.T) {
	s, f := &streams{}, tcpFlow(1)
	steps(t, s, f, []step{syn(0)})
	a := body('a', 20)
	stream := frame(a)
	for i := range uint32(3 * maxAhead) { // all but the first
		steps(t, s, f, []step{{packet.Segment{Seq: 22 * (i + 1), Data: stream}, unsureOf(a)}})
	}
	if n := len(s.open[f].ahead); n > maxAhead {
		t.Errorf("%d segments are kept", n)
	}
}
