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
	// Unsure is set where nobody knows for certain that a message begins here: in a tcp stream, of which the beginning
	// or something before may have been missed. Whoever asked may have chosen these very bytes, with a TXT record of
	// his own and the MSS of his connection, so that what they say must not be believed. The names can be asked for.
	Unsure bool
	// To is whom the message is for. It is the container that asked, or the host where the Engine or a resolver on it did.
	To netip.Addr
}

// shortest is a DNS message's header (RFC 1035 section 4.1.1): what is shorter is none.
const shortest = 12

// Bounds of what is remembered of tcp streams, which trusted resolvers send, but whoever asks them chooses.
const (
	maxStreams = 256
	maxAhead   = 16       // segments that overtook another
	maxBytes   = 16 << 20 // of all streams
	streamIdle = 30 * time.Second
)

// flow is one direction of a tcp connection.
type flow struct{ from, to netip.AddrPort }

// streams puts DNS messages together from segments of replies over tcp (RFC 1035 section 4.2.2: each message
// behind its length). Segments go on as they come, but for the one that ends a message: its receiver cannot read the
// message without it. Not safe for concurrent use; the zero value is ready.
type streams struct {
	open map[flow]*stream
	size int // bytes, about
}

// stream is what is known of one.
type stream struct {
	first  uint32 // sequence number of its first byte
	next   uint32 // of the byte to come
	buffer []byte
	ahead  []packet.Segment
	last   []Message // that ended last: a segment sent again waits for them again
	ended  bool      // but what was sent may be sent again
	seen   time.Time
	size   int // as it is counted in streams
}

// add takes a segment in and returns the messages that end in it.
func (s *streams) add(f flow, seg packet.Segment, now time.Time) []Message {
	switch {
	case seg.RST:
		s.end(f)
		return nil
	case seg.SYN:
		seg.Seq++ // data may come with it (RFC 7413)
		s.begin(f, seg.Seq, now)
	}
	st := s.open[f]
	if st != nil && now.Sub(st.seen) > streamIdle { // its numbers may have gone round unseen
		s.end(f)
		st = nil
	}
	if st == nil {
		return unsure(seg.Data)
	}
	st.ended = st.ended || seg.FIN
	if len(seg.Data) == 0 {
		return nil
	}
	st.seen = now
	messages := st.add(seg)
	s.measure(f, st, now)
	return messages
}

// begin makes a stream. Where there is no room, it stays unknown.
func (s *streams) begin(f flow, first uint32, now time.Time) {
	if st := s.open[f]; st != nil && st.first == first {
		return // SYN was sent again
	}
	s.end(f)
	if s.open == nil {
		s.open = make(map[flow]*stream)
	}
	if len(s.open) >= maxStreams {
		s.makeRoom(now)
	}
	if len(s.open) < maxStreams {
		s.open[f] = &stream{first: first, next: first, seen: now}
	}
}

// makeRoom forgets streams that are over or idle.
func (s *streams) makeRoom(now time.Time) {
	for f, st := range s.open {
		if st.ended || now.Sub(st.seen) > streamIdle {
			s.end(f)
		}
	}
}

func (s *streams) end(f flow) {
	if st := s.open[f]; st != nil {
		s.size -= st.size
		delete(s.open, f)
	}
}

// measure forgets the stream if all together have become too large.
func (s *streams) measure(f flow, st *stream, now time.Time) {
	size := cap(st.buffer)
	for _, seg := range st.ahead {
		size += len(seg.Data)
	}
	for _, m := range st.last {
		size += len(m.Data)
	}
	s.size += size - st.size
	st.size = size
	if s.size > maxBytes {
		s.makeRoom(now)
	}
	if s.size > maxBytes {
		s.end(f)
	}
}

// add takes the bytes of a segment that are new. What comes ahead of a gap goes on and is kept: the segment that
// fills the gap ends the message. If nothing fills it because a segment passed unread, each is to be read by itself.
func (st *stream) add(seg packet.Segment) []Message {
	ahead := int32(seg.Seq - st.next)
	switch {
	case ahead > 0:
		if len(st.ahead) < maxAhead {
			st.ahead = append(st.ahead, seg)
		}
		return unsure(seg.Data)
	case -int64(ahead) >= int64(len(seg.Data)):
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
		if length >= shortest {
			out = append(out, Message{Data: st.buffer[2 : 2+length : 2+length]})
		}
		st.buffer = st.buffer[2+length:]
	}
	if len(st.buffer) == 0 {
		st.buffer = nil
	}
	return out
}

// unsure reads a segment of which nobody knows where in its stream it is: if it begins with a message's length, it is
// messages, the last of them perhaps cut off.
func unsure(data []byte) (out []Message) {
	for len(data) >= 2+shortest {
		end := min(2+int(binary.BigEndian.Uint16(data)), len(data))
		if end >= 2+shortest {
			out = append(out, Message{Data: data[2:end:end], Unsure: true})
		}
		data = data[end:]
	}
	return out
}
