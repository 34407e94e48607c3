package main

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// sends has a container send n packets by each of its networks to what it may reach, n to what it may not, and n that conntrack
// cannot place. What goes by network other is for 203.0.113.7 and 203.0.113.8.
func (b *box) sends(t *testing.T, n int, networks ...string) {
	t.Helper()
	for _, network := range networks {
		to := map[string][2]string{web: {"203.0.113.1", "203.0.113.2"}, other: {"203.0.113.7", "203.0.113.8"}}[network]
		for i, wait := range []string{"2s", "1ms"} {
			if _, err := b.Probe(t.Context(), "udp", to[i]+":5000", "-count", strconv.Itoa(n), "-wait", wait); err != nil {
				t.Fatal(err)
			}
		}
		b.misplaces(t, to[1], n)
	}
}

// misplaces sends TCP segments that conntrack cannot place.
func (b *box) misplaces(t *testing.T, to string, n int) {
	t.Helper()
	err := b.ns.Do(func() error {
		conn, err := net.Dial("ip4:tcp", to)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		for range n {
			if _, err := conn.Write(make([]byte, 20)); err != nil { // without ports, flags and checksum
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// totals are what the metrics say of a container.
func (s scrape) totals(b *box) map[string]float64 {
	return map[string]float64{
		"allowed": s.sum("dockerwall_egress_packets_total", b.id(), "verdict=allowed"),
		"denied":  s.sum("dockerwall_egress_packets_total", b.id(), "verdict=denied"),
		"invalid": s.sum("dockerwall_egress_denied_packets_total", b.id(), "reason=invalid"),
		"accept":  s.sum("dockerwall_container_packets", b.id(), "action=accept"),
		"drop":    s.sum("dockerwall_container_packets", b.id(), "action=drop"),
		"dropped": s.sum("dockerwall_dropped_packets", b.id()),
	}
}

// lostAddress takes addresses from a container that sends, with and without a scrape before, and gives one back.
func lostAddress(t *testing.T, w *world) {
	b := w.run(t, lab.RunSpec{Name: "mover", Network: web, Labels: map[string]string{"dockerwall.outbound": "203.0.113.1, 203.0.113.7"}})
	connect := func() {
		t.Helper()
		w.docker(t, "network", "connect", "--ip=172.30.2.66", other, b.ID)
		for _, command := range []string{
			"ip route replace 203.0.113.0/30 via " + webGate, "ip route replace 203.0.113.7 via " + otherGate, "ip route replace 203.0.113.8 via " + otherGate,
			"sysctl -q net.ipv6.conf.all.disable_ipv6=1", // what it tells its neighbours of itself is allowed, and counted
		} {
			words := strings.Fields(command)
			if out, err := b.ns.Command(t.Context(), words[0], words[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v: %s", command, err, out)
			}
		}
		b.reaches(t, "udp 203.0.113.7:5000") // by the new address
	}
	connect()
	b.reaches(t, "udp 203.0.113.1:5000")
	start, sent, besides := w.scrape(t).totals(b), 0.0, 0.0
	check := func(when string) {
		t.Helper()
		for name, v := range w.scrape(t).totals(b) {
			want := map[string]float64{"allowed": sent + besides, "accept": sent + besides, "invalid": sent, "denied": 2 * sent, "drop": 2 * sent, "dropped": 2 * sent}[name]
			if got := v - start[name]; got != want {
				t.Errorf("%s: %v %s, want %v", when, got, name, want)
			}
		}
	}
	send := func(n int, networks ...string) {
		t.Helper()
		b.sends(t, n, networks...)
		sent += float64(n * len(networks))
	}
	disconnect := func() {
		t.Helper()
		w.docker(t, "network", "disconnect", other, b.ID)
		eventually(t, func() error {
			if strings.Contains(lab.Nft(t, w.Host, "", "list", "set", "inet", "dockerwall", "sent4"), "172.30.2.66") {
				return errors.New("the address is still counted")
			}
			return nil
		})
	}
	send(5, web, other)
	check("by both networks")
	disconnect()
	check("disconnected from one")
	send(3, web)
	check("by the one that is left")
	connect()
	besides = w.scrape(t).totals(b)["allowed"] - start["allowed"] - sent // by the interface that came
	check("connected again")
	send(7, web, other)
	disconnect() // and no scrape before
	check("disconnected before a scrape")
	send(2, web)
	check("in the end")
}
