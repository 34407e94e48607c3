package main

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/dockerwall/dockerwall/internal/lab/pair"
)

const (
	flooding = 5 * time.Second
	maxFlood = 5  // percent of a core, at 100,000 packets a second
	batch    = 64 // packets that one call sends
)

// BenchmarkBudgetFlood has a container send what it may not, to a few destinations and to ever new ones.
func BenchmarkBudgetFlood(b *testing.B) {
	c := newCrowd(b, 10)
	d, _ := c.whole(b)
	sender := c.boxes[0]
	sender.warm(b)
	for _, rate := range []int{10_000, 100_000} {
		for _, to := range []struct {
			name         string
			destinations int
		}{{"denied flood", 4}, {"denied flood to 60,000 destinations", 60_000}} {
			var cpu, sent, lines, gained pair.Samples
			pair.Rounds(func(int) {
				before, kernel := c.counted(b)["packets of c0, drop"], c.deniedInKernel(b, sender)
				began, used, said, held := time.Now(), processTime(b, d.cmd.Process.Pid), d.log.lines(), memory(b, d.cmd.Process.Pid, "VmRSS")
				n := sender.inundate(b, to.destinations, rate)
				took := time.Since(began)
				cpu = append(cpu, 100*(processTime(b, d.cmd.Process.Pid)-used).Seconds()/took.Seconds())
				sent = append(sent, float64(n)/took.Seconds())
				gained = append(gained, memory(b, d.cmd.Process.Pid, "VmRSS")-held)
				lines = append(lines, float64(d.log.lines()-said))
				if counted := c.counted(b)["packets of c0, drop"] - before; counted != float64(n) {
					b.Errorf("%s: %d sent, the metrics have %v", to.name, n, counted)
				}
				if counted := c.deniedInKernel(b, sender) - kernel; counted != n {
					b.Errorf("%s: %d sent, the kernel has %d", to.name, n, counted)
				}
			})
			busy := pair.Figure{Case: to.name + ", CPU", N: rate, Unit: "%", Ours: cpu}
			if rate == 100_000 {
				busy.Max = maxFlood
			}
			publish(b, busy, pair.Figure{Case: to.name + ", reached", N: rate, Unit: "packets/s", Ours: sent, More: true},
				pair.Figure{Case: to.name + ", log lines", N: rate, Unit: "lines", Ours: lines}, pair.Figure{Case: to.name + ", memory gained", N: rate, Unit: "MB", Ours: gained})
		}
	}
}

// warm sends until the neighbour is known: what waits for that may be lost before it is counted.
func (b *box) warm(tb testing.TB) {
	tb.Helper()
	b.reaches(tb, "udp 203.0.113.1:5000")
}

// inundate sends udp packets for a while, at an even rate, and returns how many the network took: to as many destinations.
func (b *box) inundate(tb testing.TB, destinations, rate int) (sent int) {
	tb.Helper()
	conn, err := b.ns.ListenPacket("udp4", "0.0.0.0:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	var to []net.Addr
	for i := range destinations {
		a := netip.AddrFrom4([4]byte{203, 0, 113, byte(100 + i%100)})
		to = append(to, net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, uint16(9000+i/100))))
	}
	socket, messages := ipv4.NewPacketConn(conn), make([]ipv4.Message, batch)
	for i := range messages {
		messages[i].Buffers = [][]byte{[]byte("flood")}
	}
	began, total := time.Now(), int(flooding.Seconds())*rate
	for sent < total {
		due := min(int(time.Since(began).Seconds()*float64(rate)), total) - sent
		if due < batch && sent+due < total {
			time.Sleep(time.Duration(batch-due) * time.Second / time.Duration(rate))
			continue
		}
		now := messages[:min(due, batch)]
		for i := range now {
			now[i].Addr = to[(sent+i)%destinations]
		}
		n, err := socket.WriteBatch(now, 0)
		if err != nil {
			tb.Fatal(err)
		}
		sent += n
	}
	return sent
}

// deniedInKernel is the container's counter, as nft lists it.
func (c *crowd) deniedInKernel(tb testing.TB, b *box) int {
	tb.Helper()
	counter := "c_" + b.ID[:12] + "_drop"
	out := c.host(tb, "nft", "list", "counter", "inet", "dockerwall", counter)
	found := regexp.MustCompile(`packets (\d+)`).FindStringSubmatch(out)
	if found == nil {
		tb.Fatal(fmt.Errorf("no packets in %q", out))
	}
	n, err := strconv.Atoi(found[1])
	if err != nil {
		tb.Fatal(err)
	}
	return n
}
