package nfgroup

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/florianl/go-nflog/v2"

	"github.com/dockerwall/dockerwall/internal/lab"
)

const (
	number   = 5300
	patience = 20 * time.Second
)

// logging is a namespace whose packets to port 4242 are copied to the group.
func logging(t *testing.T) *lab.Namespace {
	t.Helper()
	ns := lab.NamespaceForTest(t)
	lab.Nft(t, ns, `table ip test {
		chain input { type filter hook input priority 0; udp dport 4242 log group 5300 queue-threshold 1 drop; }
	}`, "-f", "-")
	return ns
}

// sender is a socket whose packets are logged.
func sender(t *testing.T, ns *lab.Namespace) net.Conn {
	t.Helper()
	con, err := ns.Dial(t.Context(), "udp", "127.0.0.1:4242")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = con.Close() })
	return con
}

// counting are options of a group whose packets are counted.
func counting(ns *lab.Namespace) (opt Options, packets *atomic.Int64) {
	packets = new(atomic.Int64)
	return Options{
		Number: number, NetNS: ns.FD(), CopyRange: 100,
		Packet: func(nflog.Attribute) { packets.Add(1) }, Overrun: func() {},
	}, packets
}

func eventually(t *testing.T, complaint string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !is(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal(complaint)
		}
	}
}

// wait is Wait with a cancelled context; it fails unless Wait returns nil, soon.
func wait(t *testing.T, g *Group) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ended := make(chan error, 1)
	go func() { ended <- g.Wait(ctx) }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("Wait: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Wait does not return")
	}
}

func TestAGroupHasOneReader(t *testing.T) {
	ns := logging(t)
	opt, packets := counting(ns)
	first, err := Open(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), opt); !errors.Is(err, ErrTaken) {
		t.Errorf("second reader: %v", err)
	}
	con := sender(t, ns)
	read := func() bool { _, _ = con.Write([]byte("x")); return packets.Load() > 0 }
	eventually(t, "the second reader took the group from the first", read)
	wait(t, first)
	first.Close()
	packets.Store(0)
	again, err := Open(t.Context(), opt)
	if err != nil {
		t.Fatalf("the group was not given back: %v", err)
	}
	defer again.Close()
	eventually(t, "nothing is read", read)
}

func TestNothingIsCalledAfterWait(t *testing.T) {
	ns := logging(t)
	goroutines := runtime.NumGoroutine()
	stop := flood(t, ns)
	for range 20 {
		opt, packets := counting(ns)
		g, err := Open(t.Context(), opt)
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "nothing is read", func() bool { return packets.Load() > 100 })
		wait(t, g)
		n, socket := packets.Load(), g.Socket()
		if socket == nil {
			t.Error("closed already")
		}
		g.Close()
		if g.Socket() != nil {
			t.Error("not closed")
		}
		if later := packets.Load(); later != n {
			t.Errorf("%d packets, then %d", n, later)
		}
	}
	stop()
	eventually(t, "goroutines are left", func() bool { return runtime.NumGoroutine() <= goroutines })
}

// flood sends packets until it is stopped.
func flood(t *testing.T, ns *lab.Namespace) (stop func()) {
	con := sender(t, ns)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			default:
				_, _ = con.Write([]byte("x"))
			}
		}
	}()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			close(done)
			<-ended
		}
	}
	t.Cleanup(stop)
	return stop
}
