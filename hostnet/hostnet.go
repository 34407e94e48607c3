// Package hostnet reads what interfaces and addresses this host has. Packets to such an address never
// reach the forward hook, and a bridge that is not Docker's is none of our business.
package hostnet

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/sortby"
)

// Interfaces is what the network namespace holds; both slices are sorted.
type Interfaces struct {
	Addrs   []netip.Addr // of every interface, loopback's 127.0.0.1 and ::1 included, unmapped, no zones
	Bridges []Bridge     // by Name
}

// Bridge is an interface of kind bridge.
type Bridge struct {
	Name  string
	MAC   [6]byte      // of the host on it
	Addrs []netip.Addr // of the host on it, link-local ones included, as in Interfaces
	// NoLinkLocalLearn says that the bridge does not learn from frames to the groups 01:80:c2:00:00:0X.
	NoLinkLocalLearn bool
}

// Read lists the namespace of the calling thread over rtnetlink: /sys would show the namespace that
// mounted it. While interfaces come and go it may show some that have just gone; it is part of every run of
// the loop, so it asks the kernel for bridges only and not for a thousand containers' veths.
func Read() (Interfaces, error) {
	now, err := read()
	if err != nil {
		return Interfaces{}, err
	}
	out := Interfaces{}
	for _, a := range now.addrs {
		out.Addrs = append(out.Addrs, a.addr)
		if b := now.bridges[a.index]; b != nil {
			b.Addrs = append(b.Addrs, a.addr)
		}
	}
	out.Addrs = sorted(out.Addrs)
	for _, b := range now.bridges {
		b.Addrs = sorted(b.Addrs)
		out.Bridges = append(out.Bridges, *b)
	}
	sortby.Func(out.Bridges, func(x, y Bridge) int { return strings.Compare(x.Name, y.Name) })
	out.Bridges = slices.CompactFunc(out.Bridges, func(x, y Bridge) bool { return x.Name == y.Name })
	return out, nil
}

func sorted(addrs []netip.Addr) []netip.Addr {
	sortby.Func(addrs, netip.Addr.Compare)
	return slices.Compact(addrs)
}

// reading is what dumps have shown; addresses may be there several times.
type reading struct {
	bridges map[int32]*Bridge // by index
	addrs   []hostAddr
}

func read() (reading, error) {
	out := reading{bridges: map[int32]*Bridge{}}
	if err := dump(unix.RTM_GETLINK, unix.RTM_NEWLINK, out.addBridge, nl.NewIfInfomsg(unix.AF_UNSPEC), kind("bridge")); err != nil {
		return reading{}, fmt.Errorf("list interfaces: %w", err)
	}
	if err := dump(unix.RTM_GETADDR, unix.RTM_NEWADDR, out.addAddr, nl.NewIfAddrmsg(unix.AF_UNSPEC)); err != nil {
		return reading{}, fmt.Errorf("list addresses: %w", err)
	}
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

func dump(request, reply uint16, each func([]byte), parts ...nl.NetlinkRequestData) error {
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
			each(m)
		}
		if err == nil || try == tries {
			return nil
		}
	}
}

// addBridge checks the kind again: a kernel without bridges knows no such filter.
func (r *reading) addBridge(message []byte) {
	if l, ok := readLink(message); ok && l.kind == "bridge" {
		r.bridges[l.index] = &Bridge{Name: l.name, MAC: l.mac, NoLinkLocalLearn: l.noLinkLocalLearn}
	}
}

func (r *reading) addAddr(message []byte) {
	if a, ok := readAddr(message); ok {
		r.addrs = append(r.addrs, a)
	}
}
