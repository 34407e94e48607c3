// Package flows reads the connections that conntrack knows.
package flows

import (
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
)

// Options say where.
type Options struct {
	NetNS int // file descriptor of a network namespace, which stays open; 0 is the caller's own
}

// To says which of addrs a flow was opened to that is still known, whoever opened it, before DNAT or after. It lists all
// flows of the host. It needs CAP_NET_ADMIN.
func To(addrs []netip.Addr, o Options) (map[netip.Addr]bool, error) {
	conn, err := conntrack.Dial(&netlink.Config{NetNS: o.NetNS})
	if err != nil {
		return nil, fmt.Errorf("open conntrack: %w", err)
	}
	defer func() { _ = conn.Close() }()
	all, err := conn.Dump(nil)
	if err != nil {
		return nil, fmt.Errorf("list flows: %w", err)
	}
	asked := make(map[netip.Addr]bool, len(addrs))
	for _, a := range addrs {
		asked[a] = true
	}
	used := map[netip.Addr]bool{}
	for _, f := range all {
		for _, a := range []netip.Addr{f.TupleOrig.IP.DestinationAddress, f.TupleReply.IP.SourceAddress} {
			if asked[a.Unmap()] {
				used[a.Unmap()] = true
			}
		}
	}
	return used, nil
}
