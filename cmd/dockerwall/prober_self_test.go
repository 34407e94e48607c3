package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// TestTheProberSeesOnePacket lets one packet of each line through that is denied, and stops one of each that is allowed, by
// rules for one.
func TestTheProberSeesOnePacket(t *testing.T) {
	t.Parallel()
	w := &world{Lab: lab.ForTest(t)}
	b := w.bridge(t, "br-0123456789ab")
	lab.Nft(t, w.Host, `table ip one {
	chain once { }
	chain forward {
		type filter hook forward priority 0; policy accept;
		iifname "br-*" jump once
		iifname "br-*" ip daddr { 203.0.113.61-203.0.113.69 } drop
	}
}
`, "-f", "-")
	p := w.prober(t)
	p.allowed(b, "udp 203.0.113.1:6000", "echo 203.0.113.1:6001", "ping 203.0.113.2", "tcp 203.0.113.1:80", "stream 203.0.113.1:7")
	p.denied(b, "udp 203.0.113.61:6000", "echo 203.0.113.62:6001", "ping 203.0.113.63", "tcp 203.0.113.64:80")
	p.start()
	p.goesOn(25)
	for _, l := range p.lines {
		if n := l.wrong(); l.want == mustNot && n != 0 {
			t.Errorf("%s: %d wrong before anything was", l.act, n)
		}
	}
	fault := time.Now()
	var rules strings.Builder
	for _, match := range []string{
		"ip daddr 203.0.113.61 %s accept", "ip daddr 203.0.113.62 %s accept", "ip daddr 203.0.113.63 %s accept", "ip daddr 203.0.113.64 %s accept",
		"ip daddr 203.0.113.1 udp dport 6000 %s drop", "ip daddr 203.0.113.1 udp dport 6001 %s drop", "ip daddr 203.0.113.2 %s drop",
		"ip daddr 203.0.113.1 tcp dport 80 tcp flags syn %s drop", "ip daddr 203.0.113.1 tcp dport 7 tcp flags & psh == psh %s drop",
	} {
		fmt.Fprintf(&rules, "add rule ip one once "+match+"\n", "limit rate 1/hour burst 1 packets")
	}
	lab.Nft(t, w.Host, rules.String(), "-f", "-")
	p.goesOn(25)
	s := p.stop()
	t.Logf("mended after %v; %s", s.mended(fault, time.Now()), s)
	if s.mended(fault, time.Now()) == 0 || s.Leaked != 4 || s.Lost != 5 {
		t.Error("that is not one of each line")
	}
	for _, l := range p.lines {
		if n := l.wrong(); n != 1 {
			t.Errorf("%s: %d wrong, want 1", l.act, n)
		}
	}
}
