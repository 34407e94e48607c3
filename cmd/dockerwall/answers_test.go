package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

// fresh makes every name "n<i>.<suffix>" mean an address of its own in 198.18.0.0/16.
func fresh(d *lab.DNS, suffix string) {
	d.SetBelow(suffix, func(name string) lab.Answer {
		n, _ := strconv.Atoi(strings.TrimPrefix(strings.SplitN(name, ".", 2)[0], "n"))
		return lab.Answer{Addrs: []netip.Addr{netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)})}, TTL: 60}
	})
}

func TestFirstContactsWithFreshNames(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.start(t)
	fresh(w.DNS, "fresh.example")
	b := w.labelled(t, "*.fresh.example")
	r, err := b.Probe(t.Context(), "contacts", "fresh.example", "-count", "2000", "-parallel", "50")
	if err != nil {
		t.Fatal(err)
	}
	t.Log(contactsLine(r))
	if r.Outcome != result.OK || r.Received != 2000 || r.Retransmits != 0 {
		t.Errorf("%+v", r)
	}
}

func contactsLine(r lab.Result) string {
	return fmt.Sprintf("%d of %d connected, %d SYN retransmissions, %d late, %d unresolved; DNS p50 %.2f ms p99 %.2f ms; connect p50 %.2f ms p99 %.2f ms",
		r.Received, r.Sent, r.Retransmits, r.Late, r.Unresolved, r.DNSP50, r.DNSP99, r.ConnectP50, r.ConnectP99)
}
