package flows

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Seen is a flow and what tells it from a later one between the same ends.
type Seen struct {
	Flow
	ID uint32 // of conntrack (nf_ct_get_id): two flows may have the same, but hardly of the same ends
}

// eachTimeout bounds a listing; a table of 180,000 flows takes less than one.
const eachTimeout = 20 * time.Second

// Each calls do with each flow of the host, in no order. Unlike [List] it holds none of them, however many there are. A
// flow that begins or ends meanwhile may be missing, or there twice. It needs CAP_NET_ADMIN.
func Each(do func(Seen), o Options) error {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: o.NetNS})
	if err != nil {
		return fmt.Errorf("open conntrack: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetReadDeadline(time.Now().Add(eachTimeout)); err != nil {
		return fmt.Errorf("list flows: %w", err)
	}
	// IPCTNL_MSG_CT_GET of nfnetlink_conntrack.h, of any family: its header is nfgenmsg, of four bytes.
	const get = unix.NFNL_SUBSYS_CTNETLINK<<8 | 1
	if _, err := conn.Send(netlink.Message{
		Header: netlink.Header{Type: get, Flags: netlink.Request | netlink.Dump}, Data: make([]byte, nfgenmsg),
	}); err != nil {
		return fmt.Errorf("list flows: %w", err)
	}
	for m, err := range conn.ReceiveIter() {
		if err != nil {
			return fmt.Errorf("list flows: %w", err)
		}
		if f, ok := parse(m.Data); ok {
			do(f)
		}
	}
	return nil
}

const nfgenmsg = 4

// Attributes of a flow, from nfnetlink_conntrack.h.
const (
	ctaTupleOrig      = 1
	ctaTupleReply     = 2
	ctaProtoInfo      = 4
	ctaID             = 12
	ctaTupleIP        = 1
	ctaTupleProto     = 2
	ctaIPv4Src        = 1
	ctaIPv4Dst        = 2
	ctaIPv6Src        = 3
	ctaIPv6Dst        = 4
	ctaProtoNum       = 1
	ctaProtoSrcPort   = 2
	ctaProtoDstPort   = 3
	ctaProtoInfoTCP   = 1
	ctaTCPFlagsOrig   = 4
	ctaTCPLiberal     = 0x08 // IP_CT_TCP_FLAG_BE_LIBERAL, see liberal
	attributeHeader   = 4
	attributeTypeMask = 0x3fff
)

// tuple is one direction of a flow.
type tuple struct {
	src, dst         netip.Addr
	proto            uint8
	srcPort, dstPort uint16
}

// parse reads one message; false for what is no flow.
func parse(data []byte) (Seen, bool) {
	if len(data) < nfgenmsg {
		return Seen{}, false
	}
	var out Seen
	var orig, reply tuple
	attributes(data[nfgenmsg:], func(kind uint16, value []byte) {
		switch kind {
		case ctaTupleOrig:
			orig = tupleFrom(value)
		case ctaTupleReply:
			reply = tupleFrom(value)
		case ctaProtoInfo:
			out.PickedUp = pickedUp(value)
		case ctaID:
			out.ID = number32(value)
		}
	})
	if !ported(orig.proto) { // GRE's keys come as ports
		orig.srcPort, orig.dstPort, reply.srcPort = 0, 0, 0
	}
	out.Proto = orig.proto
	out.Src, out.Dst = netip.AddrPortFrom(orig.src, orig.srcPort), netip.AddrPortFrom(orig.dst, orig.dstPort)
	out.To = netip.AddrPortFrom(reply.src, reply.srcPort)
	return out, orig.src.IsValid() && orig.dst.IsValid() && reply.src.IsValid()
}

func tupleFrom(data []byte) (t tuple) {
	attributes(data, func(kind uint16, value []byte) {
		switch kind {
		case ctaTupleIP:
			attributes(value, func(kind uint16, value []byte) {
				a, ok := netip.AddrFromSlice(value)
				switch {
				case !ok:
				case kind == ctaIPv4Src, kind == ctaIPv6Src:
					t.src = a.Unmap()
				case kind == ctaIPv4Dst, kind == ctaIPv6Dst:
					t.dst = a.Unmap()
				}
			})
		case ctaTupleProto:
			attributes(value, func(kind uint16, value []byte) {
				switch {
				case kind == ctaProtoNum && len(value) == 1:
					t.proto = value[0]
				case kind == ctaProtoSrcPort && len(value) == 2:
					t.srcPort = binary.BigEndian.Uint16(value)
				case kind == ctaProtoDstPort && len(value) == 2:
					t.dstPort = binary.BigEndian.Uint16(value)
				}
			})
		}
	})
	return t
}

// pickedUp reads struct nf_ct_tcp_flags: a byte of flags, and a byte of mask.
func pickedUp(data []byte) (yes bool) {
	attributes(data, func(kind uint16, value []byte) {
		if kind != ctaProtoInfoTCP {
			return
		}
		attributes(value, func(kind uint16, value []byte) {
			if kind == ctaTCPFlagsOrig && len(value) == 2 {
				yes = value[0]&ctaTCPLiberal != 0
			}
		})
	})
	return yes
}

func number32(value []byte) uint32 {
	if len(value) != 4 {
		return 0
	}
	return binary.BigEndian.Uint32(value)
}

// attributes calls do with each netlink attribute (netlink(7)), up to the first that is none.
func attributes(data []byte, do func(kind uint16, value []byte)) {
	for len(data) >= attributeHeader {
		n := int(binary.NativeEndian.Uint16(data))
		if n < attributeHeader || n > len(data) {
			return
		}
		do(binary.NativeEndian.Uint16(data[2:])&attributeTypeMask, data[attributeHeader:n])
		data = data[min((n+3)&^3, len(data)):]
	}
}
