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
			return []Message{{Data: body}}
		}
	case packet.ProtoTCP:
		if seg, ok := packet.TCP(upper); ok {
			f := flow{netip.AddrPortFrom(p.Src, p.SrcPort), netip.AddrPortFrom(p.Dst, p.DstPort)}
			return r.streams.add(f, seg, now)
		}
	}
	return nil
}
