package main

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// siege is a host with a daemon and containers of every kind of policy, which send without a pause.
type siege struct {
	*world
	t        *testing.T // of the host, which outlives those of the faults
	d        *wall
	settings []string // of the daemon
	a, b, c  *box     // with a label that has literals, a name and a wildcard; one of IPv6 and a port; none
	unfenced *box
	p        *prober
}

// besiege makes the host. Docker adds no rules of its own: what a flush takes of those is not ours to answer for.
func besiege(t *testing.T) *siege {
	t.Helper()
	w := newWorld(t, lab.DockerOptions{Args: []string{"--iptables=false", "--ip6tables=false"}})
	w.names()
	fresh(w.DNS, "fresh.example")
	w.network(t, "open", "172.30.4.0/24", "2001:db8:c:4::/64")
	s := &siege{world: w, t: t, settings: []string{"GATEWAY_NETWORKS=!open", "DEFAULT_OUTBOUND=203.0.113.40, db.example.com"}}
	s.a = w.labelled(t, "203.0.113.0/29, www.example.com, *.fresh.example")
	s.b = w.run(t, lab.RunSpec{Network: other, Labels: map[string]string{"dockerwall.outbound": "2001:db8:1::1, 203.0.113.20:6000/udp"}})
	s.c = w.run(t, lab.RunSpec{Network: web})
	s.unfenced = w.run(t, lab.RunSpec{Network: "open"})
	return s
}

// again starts a daemon, with settings besides the host's, and does not wait for it.
func (s *siege) again(more ...string) {
	s.d = s.launch(s.t, append(more, s.settings...)...)
}

// begin starts the daemon.
func (s *siege) begin(t *testing.T) {
	t.Helper()
	s.again()
	s.healthy(t, s.d)
	s.a.reaches(t, "udp 203.0.113.10:5000")
	s.d.says(t, "DNS answers are learned from")
}

// attack has the daemon learn a name from an answer, and sends what the policies allow and what they deny, by literal, by
// names and by default.
func (s *siege) attack(t *testing.T) {
	t.Helper()
	eventually(t, func() error {
		r, err := s.a.Probe(t.Context(), "lookup", "n5.fresh.example", "-timeout", "1s")
		if err != nil || len(r.Addrs) == 0 {
			return fmt.Errorf("lookup: %+v, %w", r, err)
		}
		return nil
	})
	s.a.reaches(t, act("tcp "+netip.AddrPortFrom(freshAddr(5), 80).String()))
	s.p = s.prober(t)
	s.p.allowed(s.a, "udp 203.0.113.1:6000", "echo 203.0.113.2:6001", "udp 203.0.113.10:6002", "udp 198.18.0.5:6004", "tcp 203.0.113.3:80", "stream 203.0.113.4:7", "ping 203.0.113.5")
	s.p.denied(s.a, "udp 203.0.113.77:6000", "echo 203.0.113.78:6001", "echo [2001:db8:1::78]:6001", "ping 203.0.113.79", "tcp 203.0.113.80:80")
	s.p.allowed(s.b, "udp [2001:db8:1::1]:6000", "echo 203.0.113.20:6000")
	s.p.denied(s.b, "udp 203.0.113.1:6005", "udp 198.18.0.5:6006", "tcp [2001:db8:1::80]:80")
	s.p.allowed(s.c, "udp 203.0.113.40:6000", "echo 203.0.113.12:6003")
	s.p.denied(s.c, "udp 203.0.113.10:6005", "echo 203.0.113.81:6000")
	s.p.control(s.unfenced, "udp 203.0.113.50:6000", "tcp 203.0.113.51:80", "stream 203.0.113.52:7", "ping 203.0.113.53")
	s.p.start()
}
