package nft

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// fenced is a ruleset of one container that may reach 198.51.100.1 and nothing else, and a second one
// that may reach nothing.
func fenced() Ruleset {
	return Ruleset{
		FenceUnknown: true, LogGroup: 32,
		Bridges: worldBridges()[:1],
		Containers: []Container{
			{ID: "000000000001", Name: "web", Endpoints: []Endpoint{{"br-blue", netip.MustParseAddr("172.18.0.2")}, {"br-blue", netip.MustParseAddr("fd00:2::2")}},
				Own: Source{Allow: Matches{Addrs: Literals{Any: addrs("198.51.100.1")}}}},
			{ID: "000000000002", Name: "db", Endpoints: []Endpoint{{"br-blue", netip.MustParseAddr("172.18.0.3")}}},
		},
	}
}

// passed counts what goes on after table dockerwall in the forward hook.
func passed(t testing.TB, r *router) func() uint64 {
	t.Helper()
	lab.Nft(t, r.host, observers+"table inet passed { counter forwarded { }\n chain forward { type filter hook forward priority filter + 2; policy accept; counter name forwarded\n }\n }", "-f", "-")
	return func() uint64 {
		text := lab.Nft(t, r.host, "", "list", "counter", "inet", "passed", "forwarded")
		var n uint64
		_, rest, _ := strings.Cut(text, "packets ")
		_, _ = fmt.Sscan(rest, &n)
		return n
	}
}

// nth is the n-th address of the benchmark network.
func nth(n int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)}) }

func TestFullRecordOfDenialsLetsNothingThrough(t *testing.T) {
	pin(t)
	o := newRouter(t)
	through := passed(t, o)
	k := open(t, o.host)
	apply(t, k, fenced())
	const sent = deniedSize + 1000
	for i := range sent {
		o.send(t, "blue", frame{Src: netip.MustParseAddr("172.18.0.2"), Dst: nth(i), Proto: UDP, Sport: 1000, Dport: 53})
	}
	o.settled(t, 1)
	if n := through(); n != 0 {
		t.Errorf("%d packets went through", n)
	}
	now := counters(t, k)
	if got := now.Containers["000000000001"]; got.Denied.Packets != sent || got.Sent.Packets != sent {
		t.Errorf("sent %d, counted %+v", sent, got)
	}
	// A rule ended by the full set would leave the packet to the rule for unknown sources.
	if n := now.Reasons[Unknown].Packets; n != 0 {
		t.Errorf("%d packets left the container's chains without a verdict", n)
	}
	if recorded := denials(t, k, "000000000001"); len(recorded) != deniedSize {
		t.Errorf("%d destinations recorded, not %d", len(recorded), deniedSize)
	}
}

func denials(t testing.TB, k *Kernel, id string) map[Denial]uint64 {
	t.Helper()
	list, err := k.Denials(id)
	if err != nil {
		t.Fatal(err)
	}
	out := map[Denial]uint64{}
	for _, d := range list {
		n := d.Packets
		d.Count = Count{}
		out[d] = n
	}
	return out
}

func TestDenialsAreRecordedByDestination(t *testing.T) {
	pin(t)
	o := newRouter(t)
	k := open(t, o.host)
	dst, dst6 := netip.MustParseAddr("198.51.100.2"), netip.MustParseAddr("2001:db8:2::2")
	src, src6 := netip.MustParseAddr("172.18.0.2"), netip.MustParseAddr("fd00:2::2")
	tests := map[string]struct {
		packet frame
		want   Denial
	}{
		"tcp by its port":                      {frame{Src: src, Dst: dst, Proto: TCP, Flags: syn, Dport: 443}, Denial{Dst: dst, Proto: TCP, Port: 443}},
		"udp by its port":                      {frame{Src: src, Dst: dst, Proto: UDP, Dport: 53}, Denial{Dst: dst, Proto: UDP, Port: 53}},
		"sctp by its port":                     {frame{Src: src, Dst: dst, Proto: SCTP, Dport: 99}, Denial{Dst: dst, Proto: SCTP, Port: 99}},
		"icmp without port, not its checksum":  {frame{Src: src, Dst: dst, Proto: ICMP, Type: 8}, Denial{Dst: dst, Proto: ICMP}},
		"gre without port":                     {frame{Src: src, Dst: dst, Proto: 47}, Denial{Dst: dst, Proto: 47}},
		"udp over IPv6":                        {frame{Src: src6, Dst: dst6, Proto: UDP, Dport: 53}, Denial{Dst: dst6, Proto: UDP, Port: 53}},
		"icmpv6 without port":                  {frame{Src: src6, Dst: dst6, Proto: ICMPv6, Type: 128}, Denial{Dst: dst6, Proto: ICMPv6}},
		"an input packet like a forwarded one": {frame{Src: src, Dst: netip.MustParseAddr("172.18.0.1"), Proto: TCP, Flags: syn, Dport: 22}, Denial{Dst: netip.MustParseAddr("172.18.0.1"), Proto: TCP, Port: 22}},
	}
	lab.Nft(t, o.host, observers, "-f", "-")
	last := uint16(100)
	for name, test := range tests {
		for _, without := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, no element limit %v", name, without), func(t *testing.T) {
				r := fenced()
				r.NoElementLimit = without
				apply(t, k, Ruleset{})
				apply(t, k, r)
				for i := range 3 {
					test.packet.Sport = 2000 + uint16(i)
					o.send(t, "blue", test.packet)
				}
				last++
				o.settled(t, last)
				if got := denials(t, k, "000000000001"); len(got) != 1 || got[test.want] != 3 {
					t.Errorf("recorded %v, want three packets to %v", got, test.want)
				}
			})
		}
	}
}

func TestCountersSurviveCommitsAndAdoption(t *testing.T) {
	pin(t)
	o := newRouter(t)
	lab.Nft(t, o.host, observers, "-f", "-")
	k := open(t, o.host)
	r := fenced()
	apply(t, k, r)
	for i := range 7 {
		o.send(t, "blue", frame{Src: netip.MustParseAddr("172.18.0.2"), Dst: nth(i), Proto: UDP, Sport: 1000, Dport: 53})
		o.send(t, "blue", frame{Src: netip.MustParseAddr("172.18.0.2"), Dst: nth(i), Proto: TCP, Flags: syn | ack, Sport: 1000, Dport: 53}) // invalid
	}
	o.send(t, "blue", frame{Src: netip.MustParseAddr("172.18.0.99"), Dst: nth(1), Proto: UDP})
	o.settled(t, 1)
	start := counters(t, k)
	if got := start.Containers["000000000001"]; got.Sent.Packets != 14 || got.Denied.Packets != 14 || start.Reasons[Unknown].Packets != 1 || start.Reasons[Invalid].Packets != 7 {
		t.Fatalf("counted %+v", start)
	}
	record := denials(t, k, "000000000001")
	steps := []struct {
		name   string
		change func(*Ruleset)
	}{
		{"another container comes", func(r *Ruleset) { r.Containers = append(r.Containers, Container{ID: "000000000003"}) }},
		{"the policy changes", func(r *Ruleset) { r.Containers[0].Own.Allow.Nets.Any = nets("10.0.0.0/8") }},
		{"the mode becomes audit", func(r *Ruleset) { r.Containers[0].Mode = Audit }},
		{"the mode becomes reject", func(r *Ruleset) { r.Containers[0].Mode, r.Containers[0].Reject = Enforce, true }},
		{"all of it becomes a dry run", func(r *Ruleset) { r.DryRun = true }},
		{"a shared source comes", func(r *Ruleset) {
			r.Sources = []Source{{Name: "default"}}
			r.Containers[0].Shared = []string{"default"}
		}},
		{"the log group changes", func(r *Ruleset) { r.LogGroup = 40 }},
		{"a new name", func(r *Ruleset) { r.Containers[0].Name = "web2" }},
		{"an address more", func(r *Ruleset) {
			r.Containers[0].Endpoints = append(r.Containers[0].Endpoints, Endpoint{"br-blue", netip.MustParseAddr("172.18.0.9")})
		}},
	}
	for _, step := range steps {
		for _, restart := range []bool{false, true} {
			if restart {
				_ = k.Close()
				k = open(t, o.host)
			} else {
				r = clone(r)
				step.change(&r)
			}
			apply(t, k, r)
			if now := counters(t, k); now.Containers["000000000001"] != start.Containers["000000000001"] || now.Reasons[Unknown] != start.Reasons[Unknown] || now.Reasons[Invalid] != start.Reasons[Invalid] {
				t.Errorf("%s, restart %v: %+v was %+v", step.name, restart, now, start)
			}
			if got := denials(t, k, "000000000001"); fmt.Sprint(got) != fmt.Sprint(record) {
				t.Errorf("%s, restart %v: record is %v", step.name, restart, got)
			}
		}
	}
}

// TestTheCountersOfAnEndpointAreReadAlone, as before it goes from a container that stays.
func TestTheCountersOfAnEndpointAreReadAlone(t *testing.T) {
	pin(t)
	o := newRouter(t)
	lab.Nft(t, o.host, observers, "-f", "-")
	k, r := open(t, o.host), fenced()
	apply(t, k, r)
	for range 3 {
		o.send(t, "blue", frame{Src: netip.MustParseAddr("172.18.0.2"), Dst: nth(1), Proto: UDP, Sport: 1000, Dport: 53})
		o.send(t, "blue", frame{Src: netip.MustParseAddr("172.18.0.2"), Dst: nth(1), Proto: TCP, Flags: syn | ack, Sport: 1000, Dport: 53}) // invalid
	}
	o.settled(t, 1)
	whole := r.Containers[0]
	lost := whole
	lost.Mode, lost.Endpoints = Off, whole.Endpoints[:1]
	for name, test := range map[string]struct {
		of   Container
		want [5]uint64 // parts of what was sent, and of what was denied; packets of each, and the invalid ones
	}{
		"of all of it":     {whole, [5]uint64{2, 3, 6, 6, 3}},
		"of one endpoint":  {lost, [5]uint64{1, 1, 6, 3, 3}},
		"of none of these": {Container{ID: whole.ID, Mode: Off}, [5]uint64{}},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := k.CountersOf(test.of)
			if err != nil {
				t.Fatal(err)
			}
			c.addUp(t)
			of := c.Containers[whole.ID]
			if got := [5]uint64{uint64(len(c.Sent)), uint64(len(c.Parts)), of.Sent.Packets, of.Denied.Packets, of.Invalid.Packets}; got != test.want {
				t.Errorf("%v, want %v: %+v", got, test.want, c)
			}
		})
	}
}
