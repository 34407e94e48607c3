package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/docker/dockertest"
	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/pair"
)

const (
	questions   = 300 // of a round
	longestHeld = 0.2 // ms that an answer takes longer
)

// BenchmarkBudgetHold has a container ask for names that nobody has asked for, one after the other, which a wildcard of its
// label is for, and beside it on a host without dockerwall. All other containers have a wildcard of their own each.
func BenchmarkBudgetHold(b *testing.B) {
	plain := newAsker(b, 3)
	for _, n := range []int{3, 1000} {
		held := newAsker(b, n)
		d, _ := held.whole(b)
		held.learns(b)
		took := pair.Figure{Case: "DNS answer held, question to answer", N: n, Unit: "ms", Beside: "no dockerwall"}
		more := pair.Figure{Case: "DNS answer held, what it takes more", N: n, Unit: "ms", Max: longestHeld}
		pair.Rounds(func(int) { took.Ours = append(took.Ours, held.ask(b).Median()) }, func(int) { took.Theirs = append(took.Theirs, plain.ask(b).Median()) })
		for i := range took.Ours {
			more.Ours = append(more.Ours, took.Ours[i]-took.Theirs[i])
		}
		d.stop()
		publish(b, took, more)
	}
}

// asker is a crowd whose first container asks over a socket of its own.
type asker struct {
	*crowd
	conn  net.Conn
	asked int
}

// newAsker gives each container of a crowd a wildcard more.
func newAsker(b *testing.B, n int) *asker {
	b.Helper()
	c := newCrowd(b, n)
	c.host(b, "nft", "table ip nat { chain out { type nat hook postrouting priority srcnat; ip saddr 172.30.0.0/16 ip daddr != 172.30.0.0/16 masquerade; }; }")
	c.DNS.SetBelow("held.example", func(name string) lab.Answer {
		var i int
		_, _ = fmt.Sscanf(name, "n%d.", &i)
		return lab.Answer{TTL: 600, Addrs: []netip.Addr{netip.AddrFrom4([4]byte{198, 19, byte(i >> 8), byte(i)})}}
	})
	for i := range n {
		name := fmt.Sprintf("c%d", i)
		wildcard := fmt.Sprintf("*.w%d.example", i)
		if i == 0 {
			wildcard = "*.held.example"
		}
		c.engine.PutContainer(docker.Container{
			ID: dockertest.ID(name), Name: name, Image: "app:1", ImageID: "sha256:" + dockertest.ID("app:1"), State: "running", NetworkMode: "crowd",
			Labels: map[string]string{"dockerwall.outbound": name + ".crowd.example, " + wildcard}, Networks: []string{dockertest.ID("crowd")},
		})
	}
	conn, err := c.boxes[0].ns.Dial(b.Context(), "udp", lab.DNSAddr+":53")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	return &asker{crowd: c, conn: conn}
}

// ask puts the questions and returns how long each answer took, in milliseconds.
func (a *asker) ask(b *testing.B) pair.Samples {
	b.Helper()
	var out pair.Samples
	con := dns.Conn{Conn: a.conn}
	for range questions {
		q := new(dns.Msg).SetQuestion(fmt.Sprintf("n%d.held.example.", a.asked), dns.TypeA)
		a.asked++
		began := time.Now()
		_ = a.conn.SetDeadline(began.Add(10 * time.Second))
		if err := con.WriteMsg(q); err != nil {
			b.Fatal(err)
		}
		r, err := con.ReadMsg()
		if err != nil || r.Id != q.Id || len(r.Answer) != 1 {
			b.Fatalf("no answer: %v, %v", r, err)
		}
		out = append(out, milliseconds(time.Since(began)))
	}
	return out
}

// learns waits until answers are held, and checks that what was asked for is allowed once it is answered.
func (a *asker) learns(b *testing.B) {
	b.Helper()
	eventually(b, func() error {
		a.ask(b)
		text, err := a.Host.Command(b.Context(), "nft", "list", "set", "inet", "dockerwall", "c_"+dockertest.ID("c0")[:12]+"_dns4").CombinedOutput()
		if want := fmt.Sprintf("n%d.held.example", a.asked-1); err != nil || !strings.Contains(string(text), want) {
			return errors.Join(fmt.Errorf("%s is not in the set", want), err)
		}
		return nil
	})
}
