package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// random is an address that answers nobody, of either family.
func random(r *rand.Rand) netip.AddrPort {
	port := uint16(1 + r.IntN(65535))
	if r.IntN(2) == 0 {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{11, byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256))}), port)
	}
	a := netip.MustParsePrefix(lab.FarNetB6).Addr().As16()
	for i := 6; i < len(a); i++ {
		a[i] = byte(r.IntN(256))
	}
	return netip.AddrPortFrom(netip.AddrFrom16(a), port)
}

// randomDestinations has more containers than there is room for series send to 100,000 destinations.
func randomDestinations(t *testing.T, w *world) {
	const destinations, containers = 100_000, 26
	boxes := w.many(t, containers)
	before := w.scrape(t)
	var g errgroup.Group
	g.SetLimit(2)
	for i, b := range boxes {
		share := destinations / containers
		if i < destinations%containers {
			share++
		}
		g.Go(func() error { return b.scatter(rand.New(rand.NewPCG(uint64(i), 8)), share) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	dropped := func(s scrape) float64 {
		return s.sum("dockerwall_container_packets", "action=drop") - before.sum("dockerwall_container_packets", "action=drop")
	}
	eventually(t, func() error {
		if n := dropped(w.scrape(t)); n < destinations {
			return fmt.Errorf("%v of %d are counted", n, destinations)
		}
		return nil
	})
	began := time.Now()
	s := w.scrape(t)
	t.Logf("%d series of destinations, scraped in %v", len(s["dockerwall_dropped_packets"].GetMetric()), time.Since(began))
	if n := dropped(s); n != destinations {
		t.Errorf("%v dropped, want %d", n, destinations)
	}
	if n := len(s["dockerwall_dropped_packets"].GetMetric()); n != 500 {
		t.Errorf("%d series, want all 500", n)
	}
	for _, b := range boxes {
		want := s.packets(b, "drop")
		for family, got := range map[string]float64{
			"dockerwall_dropped_packets":             s.sum("dockerwall_dropped_packets", b.id()),
			"dockerwall_egress_packets_total":        s.sum("dockerwall_egress_packets_total", b.id(), "verdict=denied"),
			"dockerwall_egress_denied_packets_total": s.sum("dockerwall_egress_denied_packets_total", b.id()),
		} {
			if got != want || got < destinations/containers {
				t.Errorf("%s of %s: %v, want %v", family, b.ID[:12], got, want)
			}
		}
	}
	if s.sum("dockerwall_set_elements", "set=denied") != 1024 {
		t.Errorf("the fullest record has %v destinations, and all are full", s.sum("dockerwall_set_elements", "set=denied"))
	}
}

// many runs containers that may reach nothing.
func (w *world) many(t *testing.T, n int) []*box {
	t.Helper()
	boxes := make([]*box, n)
	var g errgroup.Group
	g.SetLimit(4)
	for i := range boxes {
		g.Go(func() error {
			c, err := w.engine.Run(t.Context(), lab.RunSpec{Network: web, Cmd: []string{"sleep"}})
			boxes[i] = &box{Container: c, w: w}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, b := range boxes {
		b.enter(t)
		if err := b.send("203.0.113.77:9", "[2001:db8:1::77]:9"); err != nil { // each then knows its gateways
			t.Fatal(err)
		}
	}
	eventually(t, func() error {
		s := w.scrape(t)
		for _, b := range boxes {
			if n := s.packets(b, "drop"); n != 2 {
				return fmt.Errorf("%v of 2 packets of %s are counted", n, b.ID[:12])
			}
		}
		return nil
	})
	return boxes
}

// scatter sends one packet to each of so many random destinations.
func (b *box) scatter(r *rand.Rand, n int) error {
	all := make([]string, n)
	for i := range all {
		all[i] = random(r).String()
	}
	return b.send(all...)
}

// send sends one packet to each of the destinations.
func (b *box) send(all ...string) error {
	conn, err := b.ns.ListenPacket("udp", ":0")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for _, to := range all {
		if _, err := conn.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(to))); err != nil {
			return err
		}
	}
	return nil
}
