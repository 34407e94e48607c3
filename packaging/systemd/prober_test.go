package systemd

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

const (
	allowed = "203.0.113.1"  // what the containers' labels open
	denied  = "203.0.113.66" // what nobody may reach: its arrivals are leaks
)

// undisturbed has a container send while something happens: a flow of a thousand packets a second that is allowed, as many
// that are denied, and new connections one after the other. No packet may be lost, none may leak, and each connection must stand at
// its first SYN.
func undisturbed(t *testing.T, c container, happens func()) {
	t.Helper()
	p := newProber(t, c)
	p.denies = true
	p.sends(denied)
	p.whileIt(happens)
}

// onlyAllowed is that without the denied.
func onlyAllowed(t *testing.T, c container, happens func()) {
	t.Helper()
	newProber(t, c).whileIt(happens)
}

// prober is what a container sends until it is told to stop.
type prober struct {
	t       *testing.T
	c       container
	ns      *lab.Namespace
	sending sync.WaitGroup
	stopped atomic.Bool
	denies  bool // it sends what is denied, too

	answered, dropped, connected atomic.Int64
}

func newProber(t *testing.T, c container) *prober {
	p := &prober{t: t, c: c, ns: c.namespace(t)}
	p.sends(allowed)
	p.sending.Go(func() {
		for !p.stopped.Load() {
			if r := p.act("tcp", allowed+":80"); r.Outcome != result.OK || r.Retransmits > 0 {
				t.Errorf("connection %d: %+v", p.connected.Load(), r)
			}
			p.connected.Add(1)
		}
	})
	return p
}

// act does not end with the test's context, which may be over while it is to be told to stop.
func (p *prober) act(words ...string) lab.Result {
	return act(p.ns.Command(context.WithoutCancel(p.t.Context()), p.c.m.probe, words...))
}

// sends sends packets in runs of half a second.
func (p *prober) sends(to string) {
	const packets = 500
	want, wait, counted := packets, "1s", &p.answered
	if to == denied {
		want, wait, counted = 0, "0s", &p.dropped
	}
	p.sending.Go(func() {
		for !p.stopped.Load() {
			r := p.act("udp", to+":5000", "-count", strconv.Itoa(packets), "-rate", "1000", "-wait", wait)
			if r.Sent != packets || r.Received != want {
				p.t.Errorf("udp to %s: %d sent, %d answered, want %d: %s", to, r.Sent, r.Received, want, r.Error)
			}
			counted.Add(int64(r.Sent))
		}
	})
}

func (p *prober) whileIt(happens func()) {
	t, leak := p.t, netip.MustParseAddr(denied)
	t.Helper()
	before := p.c.m.Arrived(leak)
	func() {
		defer p.sending.Wait()
		defer p.stopped.Store(true) // also where the test fails for good
		eventually(t, func() error {
			if p.connected.Load() == 0 {
				return errors.New("nothing was connected yet")
			}
			return nil
		})
		happens()
	}()
	// Without the denied, what arrives is the end of a connection from before there was a fence.
	if n := p.c.m.Arrived(leak) - before; n > 0 && p.denies {
		t.Errorf("%d denied packets arrived", n)
	}
	if p.answered.Load() == 0 || p.denies && p.dropped.Load() == 0 {
		t.Error("nothing was sent")
	}
	t.Logf("%d packets and %d connections allowed, %d packets denied", p.answered.Load(), p.connected.Load(), p.dropped.Load())
}
