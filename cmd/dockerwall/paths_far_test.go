package main

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// hostile sends frames that a compromised container would, see the probe's verb of that name.
func (b *box) hostile(t *testing.T, args ...string) lab.Result {
	t.Helper()
	out, err := b.ns.Command(t.Context(), b.w.probe, append([]string{"hostile", "-for", "0s"}, args...)...).CombinedOutput()
	results, parseErr := lab.Results(string(out))
	if err != nil || parseErr != nil || len(results) != 1 || results[0].Sent == 0 {
		t.Fatalf("hostile %q: %v: %s", args, err, out)
	}
	return results[0]
}

// gates are the gateways of a course's networks.
func gates(network string) string {
	n := map[string]string{web: "1", other: "2", free: "3", internal: "4"}[network]
	return "172.30." + n + ".1,2001:db8:c:" + n + "::1"
}

func at(a netip.Addr, port int) string { return netip.AddrPortFrom(a, uint16(port)).String() }

// spell writes an address as an act's format wants it: in brackets before a port.
func spell(format string, a netip.Addr) act {
	text := a.String()
	if a.Is6() && strings.Contains(format, "%s:") {
		text = "[" + text + "]"
	}
	return act(fmt.Sprintf(format, text))
}

// far tries acts toward an address of the internet and one of the LAN.
func far(formats ...string) func(*course, *testing.T, family) {
	return func(c *course, t *testing.T, f family) {
		lan := map[family]string{v4: "198.51.100.254", v6: "2001:db8:ffff::fe"}[f]
		try := trial{label: "0.0.0.0/0, ::/0", far: []netip.Addr{c.far(f)}}
		for _, format := range formats {
			try.acts = append(try.acts, spell(format, try.far[0]))
			if !strings.HasPrefix(format, "ping") || f == v4 { // neighbour discovery counts as ICMPv6, too
				try.acts = append(try.acts, spell(format, netip.MustParseAddr(lan)))
			}
		}
		c.fenced(t, try)
	}
}

// oddHeaders leaves out what hosts do not forward from anybody: IPv4's source routes, overlapping and lone fragments.
func oddHeaders(c *course, t *testing.T, f family) {
	ways := []string{"options", "router-alert", "atomic", "tiny"}
	if f == v6 {
		ways = append(ways, "routing")
	}
	for _, way := range ways {
		t.Run(way, func(t *testing.T) {
			to := c.far(f)
			c.fenced(t, trial{label: "0.0.0.0/0, ::/0", far: []netip.Addr{to}, frames: []string{
				fmt.Sprintf("%s -gateway %s -links plain -sources own -ways %s -payloads udp", at(to, 9), gates(web), way)}})
		})
	}
}

// oddFrames go to the host: of these only the tagged ones would be forwarded.
func oddFrames(c *course, t *testing.T, f family) {
	gate := map[family]string{v4: webGate, v6: "2001:db8:c:1::1"}[f]
	for _, link := range []string{"vlan-0", "broadcast-frame", "multicast-frame"} {
		t.Run(link, func(t *testing.T) {
			e := listen(t, c.Host, c.port())
			try := trial{label: "*", ears: []*ear{e}, frames: []string{
				fmt.Sprintf("%s -gateway %s -links %s -sources own -ways plain -payloads udp", net.JoinHostPort(gate, e.port), gates(web), link)}}
			if link == "vlan-0" {
				try.far = []netip.Addr{c.far(f)}
				try.frames = append(try.frames, strings.Replace(try.frames[0], net.JoinHostPort(gate, e.port), at(try.far[0], 9), 1))
			}
			c.fenced(t, try)
		})
	}
}

func spellings(c *course, t *testing.T, _ family) {
	shut, wide := c.on(web, "_internet_"), c.on(web, "*")
	acts := []act{"tcp [64:ff9b::c0a8:4d07]:80", "tcp [2002:c0a8:4d07::1]:80", "tcp [::ffff:192.168.77.7]:80"}
	shut.reaches(t, "tcp [2620:fe::9]:80", "tcp [64:ff9b::909:909]:80", "tcp [::ffff:9.9.9.9]:80")
	shut.isKeptFrom(t, acts...)
	wide.reaches(t, acts...)
}

func nobodysAddress(c *course, t *testing.T, f family) {
	for _, source := range []string{"nobody", "off-subnet"} {
		t.Run(source, func(t *testing.T) {
			to := c.far(f)
			frame := func(network string) []string {
				return []string{fmt.Sprintf("%s -gateway %s -links plain -sources %s -ways plain -payloads udp", at(to, 9), gates(network), source)}
			}
			for _, label := range []string{closed, "*"} {
				c.sends(t, c.on(web, label), frame(web))
				if n := c.settles(trial{far: []netip.Addr{to}}); n != 0 {
					t.Errorf("label %s: %d came through", label, n)
				}
			}
			c.sends(t, c.on(free, closed), frame(free))
			if c.settles(trial{far: []netip.Addr{to}}) == 0 {
				t.Error("nothing arrives from a network without a fence, so this tests nothing")
			}
		})
	}
}

func internalInternet(c *course, t *testing.T, f family) {
	to := c.far(f)
	c.fenced(t, trial{network: internal, label: "*", far: []netip.Addr{to}, frames: []string{
		fmt.Sprintf("%s -gateway %s -links plain -sources own -ways plain -payloads udp,tcp-syn,icmp", at(to, 9), gates(internal))}})
}
