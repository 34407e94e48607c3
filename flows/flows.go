// Package flows reads the connections that conntrack knows, and ends some.
package flows

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"
)

// Options say where.
type Options struct {
	NetNS int // file descriptor of a network namespace, which stays open; 0 is the caller's own
}

// Flow is a connection, of any protocol, as who opened it sees it. Ports are 0 where the protocol has none.
type Flow struct {
	Proto uint8
	Src   netip.AddrPort // who opened it
	Dst   netip.AddrPort // whom it was opened to
	To    netip.AddrPort // who answers: Dst after DNAT
	// PickedUp is set of TCP whose beginning conntrack has not seen: either end may have opened it.
	PickedUp bool
}

// Turned is the flow as if the other end had opened it. What was translated on the way is left out.
func (f Flow) Turned() Flow {
	return Flow{Proto: f.Proto, Src: f.To, Dst: f.Src, To: f.Src, PickedUp: f.PickedUp}
}

// To says which of addrs a flow was opened to that is still known, whoever opened it, before DNAT or after. It lists all
// flows of the host. It needs CAP_NET_ADMIN.
func To(addrs []netip.Addr, o Options) (map[netip.Addr]bool, error) {
	all, err := List(o)
	if err != nil {
		return nil, err
	}
	asked := make(map[netip.Addr]bool, len(addrs))
	for _, a := range addrs {
		asked[a] = true
	}
	used := map[netip.Addr]bool{}
	for _, f := range all {
		for _, a := range []netip.Addr{f.Dst.Addr(), f.To.Addr()} {
			if asked[a] {
				used[a] = true
			}
		}
	}
	return used, nil
}

// List returns all flows of the host, in no order. It needs CAP_NET_ADMIN.
func List(o Options) ([]Flow, error) {
	conn, err := dial(o)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	_, all, err := list(conn)
	return all, err
}

func dial(o Options) (*conntrack.Conn, error) {
	conn, err := conntrack.Dial(&netlink.Config{NetNS: o.NetNS})
	if err != nil {
		return nil, fmt.Errorf("open conntrack: %w", err)
	}
	return conn, nil
}

// list returns all flows as the kernel tells them, and what we say of each.
func list(conn *conntrack.Conn) ([]conntrack.Flow, []Flow, error) {
	told, err := conn.Dump(nil)
	if err != nil {
		return nil, nil, fmt.Errorf("list flows: %w", err)
	}
	all := make([]Flow, 0, len(told))
	for i := range told {
		all = append(all, flowFrom(&told[i]))
	}
	return told, all, nil
}

func flowFrom(f *conntrack.Flow) Flow {
	orig, reply := &f.TupleOrig, &f.TupleReply
	at := func(a netip.Addr, port uint16) netip.AddrPort {
		if !ported(orig.Proto.Protocol) { // GRE's keys come as ports
			port = 0
		}
		return netip.AddrPortFrom(a.Unmap(), port)
	}
	return Flow{
		Proto: orig.Proto.Protocol,
		Src:   at(orig.IP.SourceAddress, orig.Proto.SourcePort),
		Dst:   at(orig.IP.DestinationAddress, orig.Proto.DestinationPort),
		To:    at(reply.IP.SourceAddress, reply.Proto.SourcePort),

		PickedUp: f.ProtoInfo.TCP != nil && f.ProtoInfo.TCP.OriginalFlags&liberal != 0,
	}
}

// liberal is IP_CT_TCP_FLAG_BE_LIBERAL of nf_conntrack_tcp.h, which tcp_new sets when it sees no SYN
// (nf_conntrack_proto_tcp.c). The low byte of the attribute's two is the value, the other a mask; the library reads them
// in network order.
const liberal = 0x08 << 8

func ported(proto uint8) bool {
	return proto == unix.IPPROTO_TCP || proto == unix.IPPROTO_UDP || proto == unix.IPPROTO_SCTP || proto == unix.IPPROTO_DCCP || proto == unix.IPPROTO_UDPLITE
}

// Cut makes conntrack forget the flows that choose picks by their indexes, and returns how many these were. It lists all
// flows of the host, has choose decide, and then ends them: so what choose goes by is newer than the list, and what it
// does is done before the first one ends. A flow that has ended by itself counts too. Of those that cannot be ended the
// first is the error, after all others. It needs CAP_NET_ADMIN.
func Cut(choose func([]Flow) []int, o Options) (int, error) {
	conn, err := dial(o)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	told, all, err := list(conn)
	if err != nil {
		return 0, err
	}
	cut := 0
	var failed error // the first: others are like it
	for _, i := range choose(all) {
		err := conn.Delete(nameOf(&told[i]))
		switch {
		case err == nil || errors.Is(err, unix.ENOENT):
			cut++
		case failed == nil:
			failed = fmt.Errorf("cut a flow of protocol %d to %v: %w", all[i].Proto, all[i].Dst.Addr(), err)
		}
	}
	return cut, failed
}

// nameOf is what the kernel finds a flow by: the direction it was opened in, and its zone. The library wants the other
// direction too, or takes every flow for IPv4.
func nameOf(f *conntrack.Flow) conntrack.Flow {
	return conntrack.Flow{TupleOrig: f.TupleOrig, TupleReply: f.TupleReply, Zone: f.Zone}
}
