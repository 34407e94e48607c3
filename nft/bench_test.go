package nft

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fleet is a ruleset of n containers, each allowed 20 addresses of its own, all following a default
// of one name.
func fleet(n int) Ruleset {
	r := Ruleset{
		FenceUnknown: true, LogGroup: 32,
		Bridges: []Bridge{{Name: "docker0", Network: "b00000000002", Subnets: prefixes("172.16.0.0/12")}},
		Sources: []Source{{Name: "default", Allow: Matches{Names: []NameSet{{Addrs: named("198.51.100.1")}}}}},
	}
	for i := range n {
		r.Containers = append(r.Containers, fleetContainer(2*i))
	}
	return r
}

func fleetContainer(i int) Container {
	c := Container{
		ID: fmt.Sprintf("%012x", i), Name: fmt.Sprint("web", i), Shared: []string{"default"},
		Endpoints: []Endpoint{{"docker0", netip.AddrFrom4([4]byte{172, 17 + byte(i>>16), byte(i >> 8), byte(i)})}},
	}
	for j := range 20 {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), byte(j)})
		c.Own.Allow.Addrs.Any = append(c.Own.Allow.Addrs.Any, Range{a, a})
	}
	return c
}

// with is r with one container more, in its place.
func (r Ruleset) with(c Container) Ruleset {
	at, _ := slices.BinarySearchFunc(r.Containers, c, compareContainers)
	r.Containers = slices.Insert(slices.Clone(r.Containers), at, c)
	return r
}

var fleetSizes = []int{10, 100, 1000, 5000}

// fleetPort is the port of a fleet's container.
func fleetPort(i int) Port {
	m := MAC{2, 0x42, 172, 17, byte(i >> 8), byte(i)}
	return Port{Name: fmt.Sprintf("veth%07x", i), MAC: m, Addrs: []netip.Addr{netip.AddrFrom4([4]byte{172, 17, byte(i >> 8), byte(i)}), m.LinkLocal()}}
}

// withPort is r with one port more, in its place.
func (r Ruleset) withPort(p Port) Ruleset {
	at, _ := slices.BinarySearchFunc(r.Ports, p.Name, func(q Port, name string) int { return compareStrings(q.Name, name) })
	r.Ports = slices.Insert(slices.Clone(r.Ports), at, p)
	return r
}

// BenchmarkAddPort binds one port more to n, commits without any change, and binds all of them anew.
func BenchmarkAddPort(b *testing.B) {
	for _, n := range fleetSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := fleet(n)
			r.BindPorts = true
			for i := range n {
				r.Ports = append(r.Ports, fleetPort(2*i+2))
			}
			k := open(b, namespace(b))
			apply(b, k, r)
			more := r.withPort(fleetPort(n + 3 - n%2))
			var one, none, built []time.Duration
			for b.Loop() {
				start := time.Now()
				apply(b, k, more)
				one = append(one, time.Since(start))
				same := more
				same.Ports = slices.Clone(more.Ports)
				start = time.Now()
				apply(b, k, same)
				none = append(none, time.Since(start))
				start = time.Now()
				next := compile(r, k.last)
				built = append(built, time.Since(start))
				_ = next
				apply(b, k, r)
			}
			b.ReportMetric(median(one), "ms/added")
			b.ReportMetric(median(none), "ms/same")
			b.ReportMetric(median(built), "ms/compiled")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkBridgedFrame sends frames to a sibling's port: without tables, and with the sender bound among 1,000 ports.
// A frame is worked off while it is sent.
func BenchmarkBridgedFrame(b *testing.B) {
	for name, bind := range map[string]bool{"free": false, "bound": true} {
		b.Run(name, func(b *testing.B) {
			pin(b)
			n := newNeighbours(b)
			if bind {
				r := n.fence()
				for i := range 1000 {
					r = r.withPort(fleetPort(512 + i))
				}
				apply(b, open(b, n.host), r)
			}
			frame := portFrame{To: siblingMAC, From: evilMAC, Src: evil4, Dst: sibling4, Proto: UDP, Dport: 9}.bytes()
			for b.Loop() {
				if _, err := unix.Write(n.wire, frame); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func median(took []time.Duration) float64 {
	slices.Sort(took)
	return float64(took[len(took)/2].Microseconds()) / 1000
}
