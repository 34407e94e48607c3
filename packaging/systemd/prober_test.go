package systemd

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

const (
	allowed = "203.0.113.1"  // what the containers' labels open
	denied  = "203.0.113.66" // what nobody may reach: its arrivals are leaks
)

// undisturbed has a container send while something happens: an unbroken flow of 1000 packets a second that is allowed, as
// many that are denied, and new connections one after the other. No packet may be lost, none may leak, and each connection must stand
// at its first SYN.
func undisturbed(t *testing.T, c container, happens func()) {
	t.Helper()
	ns := c.namespace(t)
	before := c.m.Arrived(netip.MustParseAddr(denied))
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	defer stop()
	var goOn atomic.Bool
	goOn.Store(true)
	var sending sync.WaitGroup
	var sent, shut, connected atomic.Int64
	udp := func(to string, want bool, counted *atomic.Int64) {
		for goOn.Load() {
			const packets = 500
			r := act(ns.Command(ctx, c.m.probe, "udp", to, "-count", strconv.Itoa(packets), "-rate", "1000", "-wait", map[bool]string{true: "1s", false: "0s"}[want]))
			counted.Add(int64(r.Sent))
			if r.Sent != packets || want && r.Received != packets || !want && r.Received > 0 {
				t.Errorf("udp to %s: %d sent, %d answered: %s", to, r.Sent, r.Received, r.Error)
			}
		}
	}
	sending.Go(func() { udp(allowed+":5000", true, &sent) })
	sending.Go(func() { udp(denied+":5000", false, &shut) })
	sending.Go(func() {
		for goOn.Load() {
			if r := act(ns.Command(ctx, c.m.probe, "tcp", allowed+":80")); r.Outcome != result.OK || r.Retransmits > 0 {
				t.Errorf("connection %d: %+v", connected.Load(), r)
			}
			connected.Add(1)
		}
	})
	eventually(t, func() error {
		if connected.Load() == 0 {
			return errors.New("nothing was connected yet")
		}
		return nil
	})
	happens()
	goOn.Store(false)
	sending.Wait()
	if sent.Load() == 0 || shut.Load() == 0 {
		t.Error("nothing was sent")
	}
	if n := c.m.Arrived(netip.MustParseAddr(denied)) - before; n > 0 {
		t.Errorf("%d of %d denied packets arrived", n, shut.Load())
	}
	t.Logf("%d packets and %d connections allowed, %d packets denied", sent.Load(), connected.Load(), shut.Load())
}
