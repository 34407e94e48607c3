package hold

import (
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/packet"
)

func TestAStreamThatWasSilentForLongIsUnknown(t *testing.T) {
	s, f, now := &streams{}, tcpFlow(1), time.Now()
	a := body('a', 20)
	for name, test := range map[string]struct {
		silent time.Duration
		sure   int
	}{
		"for a while": {streamIdle, 1},
		"for longer":  {streamIdle + 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s.add(f, packet.Segment{Seq: 9, RST: true}, now)
			s.add(f, packet.Segment{Seq: 9, SYN: true}, now)
			s.add(f, part(10, frame(a), 0, 9), now)
			got := s.add(f, part(10, frame(a), 9, 22), now.Add(test.silent))
			if len(believed(got)) != test.sure || len(s.open) != test.sure {
				t.Errorf("%+v, %d streams", got, len(s.open))
			}
		})
	}
}

func TestStreamsAreBounded(t *testing.T) {
	s, now := &streams{}, time.Now()
	a := body('a', 20)
	open := func(port uint16) bool {
		s.add(tcpFlow(port), packet.Segment{Seq: 9, SYN: true}, now)
		return len(believed(s.add(tcpFlow(port), packet.Segment{Seq: 10, Data: frame(a)}, now))) == 1
	}
	for port := range uint16(maxStreams) {
		if !open(port) {
			t.Fatalf("stream %d has no room", port)
		}
	}
	if open(1000) || len(s.open) != maxStreams {
		t.Errorf("one more than %d has room", maxStreams)
	}
	s.add(tcpFlow(3), packet.Segment{Seq: 99, SYN: true}, now)
	if len(believed(s.add(tcpFlow(3), part(100, frame(a), 0, 22), now))) != 1 {
		t.Error("one of the many cannot begin anew")
	}
	s.add(tcpFlow(7), packet.Segment{Seq: 32, FIN: true}, now)
	if !open(1001) || len(s.open) != maxStreams {
		t.Error("a stream that is over makes no room")
	}
	s.add(tcpFlow(8), packet.Segment{Seq: 32, RST: true}, now)
	if !open(1002) {
		t.Error("a stream that was reset makes no room")
	}
	now = now.Add(streamIdle)
	s.add(tcpFlow(9), packet.Segment{Seq: 32, Data: []byte{0}}, now)
	now = now.Add(time.Second)
	if !open(1003) || len(s.open) != 2 || s.open[tcpFlow(9)] == nil {
		t.Errorf("idle streams make no room, or others do: %d are left", len(s.open))
	}
}

func TestWhatStreamsKeepIsBounded(t *testing.T) {
	s, now := &streams{}, time.Now()
	big := make([]byte, 60_000)
	for port := range uint16(200) {
		s.add(tcpFlow(port), packet.Segment{Seq: 0, SYN: true}, now)
		for i := range uint32(max(maxAhead-int(port), 1)) { // with a gap before
			s.add(tcpFlow(port), packet.Segment{Seq: 2 + i*60_000, Data: big}, now)
		}
	}
	kept := 0
	for _, st := range s.open {
		for _, seg := range st.ahead {
			kept += len(seg.Data)
		}
	}
	if kept != s.size || kept > maxBytes || kept < maxBytes-50_000 {
		t.Errorf("%d bytes are kept, counted as %d, at most %d may", kept, s.size, maxBytes)
	}
	begins := func() bool {
		const port = 9999
		s.add(tcpFlow(port), packet.Segment{Seq: 0, SYN: true}, now)
		first := s.add(tcpFlow(port), part(1, frame(big), 0, 50_000), now) // more than is left
		return first == nil && len(believed(s.add(tcpFlow(port), part(1, frame(big), 50_000, 60_002), now))) == 1
	}
	if begins() {
		t.Error("one more has room")
	}
	now = now.Add(2 * streamIdle)
	if !begins() || len(s.open) != 1 {
		t.Errorf("there is no room after others went idle: %d are left", len(s.open))
	}
	for f := range s.open {
		s.end(f)
	}
	if s.size != 0 {
		t.Errorf("%d bytes of no streams", s.size)
	}
}
