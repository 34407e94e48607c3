package page

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/api"
)

// denial is what was denied to one destination, all of it that is remembered.
type denial struct {
	Time, Container, Name, Addr, Port, Count, Reason, Token string
	Audit, First                                            bool
}

// target is what denials are put together by.
type target struct {
	container, source, reason, verdict, proto string
	dst                                       netip.Addr
	port                                      uint16
}

// denials puts together what concerns the same destination, the latest first.
func denials(all []api.Denial, now time.Time) (out []denial, more int) {
	packets, seen := map[target]uint64{}, map[target]bool{}
	key := func(d api.Denial) target {
		return target{d.Container + "\x00" + d.ContainerID, d.Source + "\x00" + d.Interface, d.Reason, d.Verdict, d.Protocol, d.Destination, d.Port}
	}
	for _, d := range all {
		packets[key(d)] += d.Packets
	}
	for _, d := range slices.Backward(all) {
		k := key(d)
		if seen[k] {
			continue
		}
		seen[k] = true
		if len(out) == maxDenials {
			more++
			continue
		}
		one := newDenial(d, now)
		one.Count = number(packets[k])
		out = append(out, one)
	}
	return out, more
}

func newDenial(d api.Denial, now time.Time) denial {
	out := denial{
		Time: clock(d.Time, now), Container: clip(d.Container, maxName), Reason: clip(d.Why(), maxName), Token: whole(d.Token, maxDNS+20),
		Audit: d.Verdict == api.VerdictAudit, First: d.First, Addr: addressText(d.Destination),
	}
	switch {
	case d.Container != "":
	case d.ContainerID != "":
		out.Container = clip(d.ContainerID, 12)
	case d.Source != "" || d.Interface != "":
		out.Container = strings.Trim(clip(d.Source, maxName)+"@"+clip(d.Interface, maxName), "@")
	default:
		out.Container = "unknown"
	}
	if len(d.Names) > 0 {
		out.Name = clip(d.Names[0], maxDNS)
	}
	switch {
	case d.Port > 0 && d.Protocol != "":
		out.Port = fmt.Sprintf("%d/%s", d.Port, clip(d.Protocol, 12))
	case d.Port > 0:
		out.Port = strconv.Itoa(int(d.Port))
	default:
		out.Port = clip(d.Protocol, 12)
	}
	return out
}

// addressText is an address without its zone, which is a text of others; "" when there is none.
func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().WithZone("").String()
}
