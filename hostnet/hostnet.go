// Package hostnet reads what interfaces and addresses this host has. Packets to such an address never
// reach the forward hook, and a bridge that is not Docker's is none of our business.
package hostnet

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
)

// Interfaces is what the network namespace holds; both slices are sorted.
type Interfaces struct {
	Addrs   []netip.Addr // of every interface, loopback's 127.0.0.1 and ::1 included, unmapped, no zones
	Bridges []string     // names of interfaces of kind bridge
}

// Read lists the namespace of the calling thread over rtnetlink: /sys would show the namespace that
// mounted it.
func Read() (Interfaces, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return Interfaces{}, fmt.Errorf("list interfaces: %w", err)
	}
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return Interfaces{}, fmt.Errorf("list addresses: %w", err)
	}
	var out Interfaces
	for _, l := range links {
		if l.Type() == "bridge" {
			out.Bridges = append(out.Bridges, l.Attrs().Name)
		}
	}
	for _, a := range addrs {
		if ip, ok := netip.AddrFromSlice(a.IP); ok {
			out.Addrs = append(out.Addrs, ip.Unmap())
		}
	}
	slices.Sort(out.Bridges)
	slices.SortFunc(out.Addrs, netip.Addr.Compare)
	out.Addrs = slices.Compact(out.Addrs)
	return out, nil
}
