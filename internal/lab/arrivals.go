package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
)

// arrivalRules count in the kernel every packet that comes over the wire, before anything else sees it; fragments
// (without ports) count by address only. A set that is full would miss a leak: these hold a million elements.
const arrivalRules = `table inet arrivals {
	set v4 { typeof ip saddr . ip daddr . meta l4proto; flags dynamic; size 1000000; counter; }
	set v6 { typeof ip6 saddr . ip6 daddr . meta l4proto; flags dynamic; size 1000000; counter; }
	set ports4 { typeof ip daddr . meta l4proto . th dport; flags dynamic; size 1000000; counter; }
	set ports6 { typeof ip6 daddr . meta l4proto . th dport; flags dynamic; size 1000000; counter; }
	chain count {
		type filter hook prerouting priority -310; policy accept;
		iifname != "` + uplink + `" return
		meta nfproto ipv4 update @v4 { ip saddr . ip daddr . meta l4proto }
		meta nfproto ipv6 update @v6 { ip6 saddr . ip6 daddr . meta l4proto }
		meta nfproto ipv4 meta l4proto { 6, 17 } update @ports4 { ip daddr . meta l4proto . th dport }
		meta nfproto ipv6 meta l4proto { 6, 17 } update @ports6 { ip6 daddr . meta l4proto . th dport }
	}
}
`

func countArrivals(ctx context.Context, internet *Namespace) error {
	if _, err := nft(ctx, internet, arrivalRules, "-f", "-"); err != nil {
		return fmt.Errorf("count arrivals: %w", err)
	}
	return nil
}

// Flow is a kind of packets that arrived on the internet's side.
type Flow struct {
	Source, Destination netip.Addr
	Protocol            string // a number: "6", "17", "1", "58"
	Packets, Bytes      uint64
}

// Flows are all packets that arrived so far, by source, destination and protocol, as the wire carried them (that is,
// after the host's masquerading).
func (l *Lab) Flows() ([]Flow, error) {
	var flows []Flow
	for _, set := range []string{"v4", "v6"} {
		elements, err := l.elements(set)
		if err != nil {
			return nil, err
		}
		for _, e := range elements {
			f := Flow{Protocol: e.text(2), Packets: e.Counter.Packets, Bytes: e.Counter.Bytes}
			f.Source, _ = netip.ParseAddr(e.text(0))
			f.Destination, _ = netip.ParseAddr(e.text(1))
			flows = append(flows, f)
		}
	}
	return flows, nil
}

// Arrived is how many packets of any protocol arrived for an address. Neighbour discovery asks for the wire's own
// addresses by itself; for far addresses the number is exact.
func (l *Lab) Arrived(addr netip.Addr) uint64 {
	return l.sum(func(f Flow) bool { return f.Destination == addr })
}

// ArrivedFrom is how many packets arrived with this source address, which a forger may have chosen.
func (l *Lab) ArrivedFrom(source netip.Addr) uint64 {
	return l.sum(func(f Flow) bool { return f.Source == source })
}

// sum panics where the counters cannot be read: 0 would say that nothing leaked.
func (l *Lab) sum(match func(Flow) bool) uint64 {
	flows, err := l.Flows()
	if err != nil {
		panic(err)
	}
	var n uint64
	for _, f := range flows {
		if match(f) {
			n += f.Packets
		}
	}
	return n
}

// ArrivedAt is how many packets arrived for an address and port; network is "tcp" or "udp".
func (l *Lab) ArrivedAt(network string, to netip.AddrPort) uint64 {
	set, protocol := "ports4", map[string]string{"tcp": "6", "udp": "17"}[network]
	if to.Addr().Is6() {
		set = "ports6"
	}
	elements, err := l.elements(set)
	if err != nil || protocol == "" {
		panic(fmt.Sprintf("read arrivals of %s %s: %v", network, to, err))
	}
	for _, e := range elements {
		if e.text(0) == to.Addr().String() && e.text(1) == protocol && e.text(2) == strconv.Itoa(int(to.Port())) {
			return e.Counter.Packets
		}
	}
	return 0
}

// element is one of a set's, as nft -j writes it.
type element struct {
	Val     struct{ Concat []any }
	Counter struct{ Packets, Bytes uint64 }
}

// text is a part of the key; nft writes numbers as such or as words, depending on the version and -n.
func (e element) text(i int) string {
	if i >= len(e.Val.Concat) {
		return ""
	}
	text := fmt.Sprint(e.Val.Concat[i])
	if number, ok := map[string]string{"icmp": "1", "tcp": "6", "udp": "17", "ipv6-icmp": "58"}[text]; ok {
		return number
	}
	return text
}

func (l *Lab) elements(set string) ([]element, error) {
	out, err := nft(context.Background(), l.Internet, "", "-j", "-n", "list", "set", "inet", "arrivals", set)
	if err != nil {
		return nil, fmt.Errorf("read arrivals: %w", err)
	}
	var listing struct {
		Nftables []struct {
			Set struct{ Elem []struct{ Elem element } }
		}
	}
	if err := json.Unmarshal([]byte(out), &listing); err != nil {
		return nil, fmt.Errorf("read arrivals: %w", err)
	}
	var elements []element
	for _, object := range listing.Nftables {
		for _, e := range object.Set.Elem {
			elements = append(elements, e.Elem)
		}
	}
	return elements, nil
}
