// Package hostnet reads what interfaces and addresses this host has. Packets to such an address never
// reach the forward hook, and a bridge that is not Docker's is none of our business.
package hostnet

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Interfaces is what the network namespace holds; both slices are sorted.
type Interfaces struct {
	Addrs   []netip.Addr // of every interface, loopback's 127.0.0.1 and ::1 included, unmapped, no zones
	Bridges []string     // names of interfaces of kind bridge
}

// Read lists the namespace of the calling thread over rtnetlink: /sys would show the namespace that
// mounted it. While interfaces come and go it may show some that have just gone; it is part of every run of
// the loop, so it asks the kernel for bridges only and not for a thousand containers' veths.
func Read() (Interfaces, error) {
	var out Interfaces
	if err := dump(unix.RTM_GETLINK, unix.RTM_NEWLINK, out.addBridge, nl.NewIfInfomsg(unix.AF_UNSPEC), kind("bridge")); err != nil {
		return Interfaces{}, fmt.Errorf("list interfaces: %w", err)
	}
	if err := dump(unix.RTM_GETADDR, unix.RTM_NEWADDR, out.addAddr, nl.NewIfAddrmsg(unix.AF_UNSPEC)); err != nil {
		return Interfaces{}, fmt.Errorf("list addresses: %w", err)
	}
	slices.Sort(out.Bridges)
	out.Bridges = slices.Compact(out.Bridges)
	slices.SortFunc(out.Addrs, netip.Addr.Compare)
	out.Addrs = slices.Compact(out.Addrs)
	return out, nil
}

// kind filters a dump of links (kernel 4.6, dc599f76c22b).
func kind(name string) nl.NetlinkRequestData {
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated(name))
	return info
}

// tries is how often a dump is taken that the kernel calls interrupted (NLM_F_DUMP_INTR): something
// changed between two parts of it, and an entry may be missing. What any try has shown counts.
const tries = 8

func dump(request, reply uint16, each func([]byte) error, parts ...nl.NetlinkRequestData) error {
	for try := 1; ; try++ {
		req := nl.NewNetlinkRequest(int(request), unix.NLM_F_DUMP)
		for _, p := range parts {
			req.AddData(p)
		}
		messages, err := req.Execute(unix.NETLINK_ROUTE, reply)
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return err
		}
		for _, m := range messages {
			if err := each(m); err != nil {
				return err
			}
		}
		if err == nil || try == tries {
			return nil
		}
	}
}

// addBridge checks the kind again: a kernel without bridges knows no such filter.
func (i *Interfaces) addBridge(message []byte) error {
	link, err := netlink.LinkDeserialize(nil, message)
	if err != nil {
		return err
	}
	if link.Type() == "bridge" {
		i.Bridges = append(i.Bridges, link.Attrs().Name)
	}
	return nil
}

// addAddr takes IFA_LOCAL where there is one: then IFA_ADDRESS is the peer's (linux/if_addr.h).
func (i *Interfaces) addAddr(message []byte) error {
	attributes, err := nl.ParseRouteAttr(message[min(unix.SizeofIfAddrmsg, len(message)):])
	if err != nil {
		return err
	}
	var addr, local netip.Addr
	for _, a := range attributes {
		switch a.Attr.Type {
		case unix.IFA_ADDRESS:
			addr, _ = netip.AddrFromSlice(a.Value)
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(a.Value)
		}
	}
	if local.IsValid() {
		addr = local
	}
	if addr.IsValid() {
		i.Addrs = append(i.Addrs, addr.Unmap())
	}
	return nil
}
