package main

import (
	"net"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// TestARepliesWayIsThatOfRoutes has a container on two networks asked at its address on one, and answer by the other, where
// its default route leads.
func TestARepliesWayIsThatOfRoutes(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.start(t)
	b := w.run(t, lab.RunSpec{Network: web, Labels: map[string]string{"dockerwall.outbound": "203.0.113.1"}})
	w.docker(t, "network", "connect", other, b.ID)
	b.reaches(t, "tcp 203.0.113.1:80")
	out, err := b.ns.Command(t.Context(), "ip", "-6", "route", "replace", "default", "via", "2001:db8:c:2::1").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	l := listen(t, b.ns, 9000)
	addr, err := b.Addr6(t.Context(), web)
	if err != nil {
		t.Fatal(err)
	}
	w.answers(t, net.JoinHostPort(addr.String(), l.port))
	b.isKeptFrom(t, "tcp [2001:db8:1::2]:80")
}
