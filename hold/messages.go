package hold

import (
	"net/netip"
	"time"

	"github.com/dockerwall/dockerwall/packet"
)

// reader finds DNS messages in packets. Not safe for concurrent use.
type reader struct{ streams streams }

// messages are those that end in an IP packet; none in one that carries no DNS reply, or that cannot be read.
func (r *reader) messages(data []byte, now time.Time) []Message {
	p, upper, ok := packet.Split(data)
	if !ok {
		return nil
	}
	switch p.Proto {
	case packet.ProtoUDP:
		if body, ok := packet.UDP(upper); ok && len(body) >= shortest {
			return []Message{{Data: body, To: p.Dst}}
		}
	case packet.ProtoTCP:
		if seg, ok := packet.TCP(upper); ok {
			f := flow{netip.AddrPortFrom(p.Src, p.SrcPort), netip.AddrPortFrom(p.Dst, p.DstPort)}
			return doubted(r.streams.add(f, seg, now), p.Dst)
		}
	}
	return nil
}

// doubted are messages of tcp streams, none of which can be believed: when a handshake passes unread because too much
// waits, what is remembered of an earlier stream of the same ports is taken for the new one's, and a client that has the
// server send bytes of its choice can have them come where a message would begin.
func doubted(messages []Message, to netip.Addr) []Message {
	out := make([]Message, len(messages)) // a stream keeps its own
	for i, m := range messages {
		out[i] = Message{Data: m.Data, Unsure: true, To: to}
	}
	return out
}
