package nft

import (
	"net/netip"
	"testing"
)

// TestAFlowThatWasCutStaysCut lets the far side go on sending, as it does when it does not know.
func TestAFlowThatWasCutStaysCut(t *testing.T) {
	pin(t)
	for name, far := range map[string]struct{ container, cut, other string }{
		"IPv4": {"172.18.0.2", "198.51.100.1", "198.51.100.2"},
		"IPv6": {"fd00:2::2", "2001:db8:5::1", "2001:db8:5::2"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newRouter(t)
			through := passed(t, o)
			k := open(t, o.host)
			r := fenced()
			r.Containers[0].Own.Allow = Matches{All: []Clause{{}}}
			apply(t, k, r)
			container := netip.MustParseAddr(far.container)
			port := uint16(53)
			from := func(a string, proto uint8, flags uint8) {
				o.send(t, "wan", frame{Src: netip.MustParseAddr(a), Dst: container, Proto: proto, Sport: port, Dport: 4000, Flags: flags})
			}
			pass := func(what string, want uint64, send func()) {
				t.Helper()
				before := through()
				send()
				o.settled(t, 1)
				if n := through() - before; n != want {
					t.Errorf("%s: %d packets passed, want %d", what, n, want)
				}
			}
			cut := Cut{Container: container, Far: netip.MustParseAddr(far.cut), Proto: UDP, Port: 53}
			gre := Cut{Container: container, Far: cut.Far, Proto: 47}
			if err := k.Cut([]Cut{cut, cut, gre}); err != nil {
				t.Fatal(err)
			}
			pass("a datagram of the far side", 0, func() { from(far.cut, UDP, 0) })
			pass("a packet of another protocol", 0, func() { from(far.cut, 47, 0) })
			port++
			pass("a datagram from another port", 1, func() { from(far.cut, UDP, 0) })
			port--
			pass("a segment of the far side", 0, func() { from(far.cut, TCP, ack) })
			pass("a connection that the far side opens", 1, func() { from(far.cut, TCP, syn) })
			pass("a datagram of somebody else", 1, func() { from(far.other, UDP, 0) })
			if got := counters(t, k).Reasons; got[Cutoff].Packets != 2 || got[Stray].Packets != 1 {
				t.Errorf("counted %+v", got)
			}
			pass("an answer to what the container is allowed to ask", 2, func() {
				o.send(t, "blue", frame{Src: container, Dst: cut.Far, Proto: UDP, Sport: 4000, Dport: 53})
				from(far.cut, UDP, 0)
			})
			apply(t, k, fenced())
			if err := k.Cut([]Cut{cut}); err != nil { // again, and over a commit
				t.Fatal(err)
			}
		})
	}
}

// TestACutOfTwoFamiliesIsLeftOut: an element has room for one.
func TestACutOfTwoFamiliesIsLeftOut(t *testing.T) {
	mixed := []Cut{{Container: netip.MustParseAddr("172.18.0.2"), Far: netip.MustParseAddr("2001:db8::1"), Proto: UDP}}
	for _, f := range families() {
		if e := cutElements(mixed, f, true); len(e) > 0 {
			t.Errorf("%v", e)
		}
	}
}
