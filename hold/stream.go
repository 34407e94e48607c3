package hold

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/dockerwall/dockerwall/packet"
)

// Message is a DNS message on its way to somebody.
type Message struct {
	Data []byte
	// Part is set when Data is but a piece, from the message's beginning on: more is to come, or was missed.
	Part bool
}

// Bounds of what is remembered of tcp streams, which trusted resolvers send, but whoever asks them chooses.
const (
	maxStreams = 256
	maxAhead   = 16 // segments that overtook another
	streamIdle = 30 * time.Second
)

// flow is one direction of a tcp connection.
type flow struct{ from, to netip.AddrPort }

// streams puts DNS messages together from segments of replies over tcp (RFC 1035 section 4.2.2: each message
// behind its length). Segments go on as they come, but for the one that ends a message: its receiver cannot read the
// message without it. Not safe for concurrent use; the zero value is ready.
type streams struct{ open map[flow]*stream }

// stream is what is known of one.
type stream struct {
	next   uint32 // sequence number of the byte to come
	buffer []byte
	ahead  []packet.Segment
	last   []Message // that ended last: a segment sent again waits for them again
	seen   time.Time
}

// add takes a segment in and returns the messages that end in it.
func (s *streams) add(f flow, seg packet.Segment, now time.Time) []Message {
	st := s.open[f]
	switch {
	case seg.RST:
		delete(s.open, f)
		return nil
	case seg.SYN:
		s.begin(f, seg.Seq+1, now)
		return nil
	case seg.FIN:
		defer delete(s.open, f)
	}
	switch {
	case len(seg.Data) == 0:
		return nil
	case st == nil:
		return unknown(seg.Data)
	}
	st.seen = now
	return st.add(seg)
}

// begin makes a stream; idle ones make room, and where none is idle the stream stays unknown.
func (s *streams) begin(f flow, next uint32, now time.Time) {
	if s.open == nil {
		s.open = make(map[flow]*stream)
	}
	if len(s.open) >= maxStreams {
		for old, st := range s.open {
			if now.Sub(st.seen) > streamIdle {
				delete(s.open, old)
			}
		}
	}
	if len(s.open) < maxStreams {
		s.open[f] = &stream{next: next, seen: now}
	}
}

// add takes the bytes of a segment that are new. What comes ahead of a gap goes on and is kept: the segment that
// fills the gap ends the message.
func (st *stream) add(seg packet.Segment) []Message {
	ahead := int32(seg.Seq - st.next)
	switch {
	case ahead > 0 && len(st.ahead) < maxAhead:
		st.ahead = append(st.ahead, seg)
		return nil
	case ahead > 0:
		return unknown(seg.Data)
	case int(-ahead) >= len(seg.Data):
		return st.last
	}
	st.take(seg)
	for again := true; again; {
		again = false
		for i, s := range st.ahead {
			if int32(s.Seq-st.next) <= 0 {
				st.take(s)
				st.ahead = slices.Delete(st.ahead, i, i+1)
				again = true
				break
			}
		}
	}
	messages := st.messages()
	if len(messages) > 0 {
		st.last = messages
	}
	return messages
}

// take appends what of a segment is new; it has no gap before it.
func (st *stream) take(seg packet.Segment) {
	if old := int(st.next - seg.Seq); old < len(seg.Data) {
		st.buffer = append(st.buffer, seg.Data[old:]...)
		st.next += uint32(len(seg.Data) - old)
	}
}

// messages takes whole messages off the buffer.
func (st *stream) messages() (out []Message) {
	for len(st.buffer) >= 2 {
		length := int(binary.BigEndian.Uint16(st.buffer))
		if len(st.buffer) < 2+length {
			break
		}
		out = append(out, Message{Data: st.buffer[2 : 2+length : 2+length]})
		st.buffer = st.buffer[2+length:]
	}
	return out
}

// unknown reads a segment of which nobody knows where in its stream it is: it may begin with a message's length, and be
// that message or its first piece.
func unknown(data []byte) []Message {
	if len(data) <= 2 {
		return nil
	}
	length := int(binary.BigEndian.Uint16(data))
	if body := data[2:]; length <= len(body) {
		return []Message{{Data: body[:length]}}
	}
	return []Message{{Data: data[2:], Part: true}}
}
