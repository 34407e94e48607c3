package hold

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/florianl/go-nfqueue/v2"
	"github.com/vishvananda/netlink"
)

// Tests that DNS goes on, whatever becomes of its reader.

func TestRepliesPassWhenTooManyWait(t *testing.T) {
	s := newSite(t, true)
	h, stop := s.holding(t, Options{Learn: until(make(chan struct{}), make(chan Message, queueLength)), Limit: time.Hour})
	c := s.client(t, "127.0.0.1")
	delivered := c.count()
	const more = 44
	for range queueLength + more {
		c.ask(body('q', 40))
	}
	eventually(t, "replies do not pass a full queue", func() bool { return delivered.Load() >= more })
	if n, _ := s.waiting(t); n != queueLength || delivered.Load() != more {
		t.Errorf("%d wait, %d are delivered", n, delivered.Load())
	}
	stop()
	eventually(t, "what waited is lost", func() bool { return delivered.Load() == queueLength+more })
	if n := h.Counts(); n.Packets != queueLength || n.Late != queueLength || n.Released != 0 || n.Errors != 0 {
		t.Errorf("%+v", n)
	}
}

func TestRepliesPassAReaderThatHangs(t *testing.T) {
	for name, size := range map[string]int{
		"its queue is full":  40,
		"its socket is full": 40_000,
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, true)
			s.hang(t)
			c := s.client(t, "127.0.0.1")
			delivered := c.count()
			const all = queueLength + 44
			for range all {
				c.ask(body('q', size))
			}
			waiting := func() int64 { n, _ := s.waiting(t); return int64(n) }
			eventually(t, "replies are lost", func() bool { return delivered.Load()+waiting() == all })
			if n := waiting(); n > queueLength || n == 0 || (size > 1000) != (n < queueLength) {
				t.Errorf("%d wait", n)
			}
		})
	}
}

// hang reads the queue as a Holder does, up to the first packet.
func (s *site) hang(t *testing.T) {
	t.Helper()
	h, err := New(Options{Number: queueNumber, NetNS: s.FD(), Learn: atOnce})
	if err != nil {
		t.Fatal(err)
	}
	con, err := nfqueue.Open(h.config())
	if err != nil {
		t.Fatal(err)
	}
	if err := con.Con.SetReadBuffer(readBuffer); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(func() { cancel(); _ = con.Close() })
	err = con.RegisterWithErrorFunc(ctx, func(nfqueue.Attribute) int { <-ctx.Done(); return 1 }, func(error) int { return 1 })
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhatWaitsIsDeliveredAtTheEnd(t *testing.T) {
	s := newSite(t, true)
	goroutines := runtime.NumGoroutine()
	learned := make(chan Message, 8)
	h, stop := s.holding(t, Options{Learn: until(make(chan struct{}), learned), Limit: time.Hour})
	c := s.client(t, "127.0.0.1")
	for range 5 {
		c.ask(body('q', 40))
		receive(t, learned)
	}
	if n, _ := s.waiting(t); n != 5 {
		t.Errorf("%d wait", n)
	}
	stop()
	c.replies(5)
	if n := h.Counts(); n.Late != 5 || n.Errors != 0 {
		t.Errorf("%+v", n)
	}
	eventually(t, "goroutines are left", func() bool { return runtime.NumGoroutine() <= goroutines })
}

func TestLargeRepliesPassWhole(t *testing.T) {
	s := newSite(t, true)
	err := s.Do(func() error { // so that the kernel sends what is to be cut later (GSO)
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.LinkSetMTU(lo, 1500)
	})
	if err != nil {
		t.Fatal(err)
	}
	learned := make(chan Message, 64)
	h, stop := s.holding(t, Options{Learn: until(nil, learned)})
	asks, answers := s.stream(t, "127.0.0.1")
	var bodies [][]byte
	for i, n := range []int{65_535, 60_000, 12, 65_535, 1500, 40_000} {
		bodies = append(bodies, body('a'+byte(i), n))
	}
	stream := frame(bodies...)
	go func() { _, _ = answers.Write(stream) }()
	if !bytes.Equal(read(t, asks, len(stream), patience), stream) {
		t.Fatal("the stream is delivered otherwise")
	}
	for i, want := range bodies {
		m := receive(t, learned)
		for slices.ContainsFunc(bodies[:i], func(b []byte) bool { return bytes.Equal(b, m.Data) }) { // sent again
			m = receive(t, learned)
		}
		if !bytes.Equal(m.Data, want) || !m.Unsure {
			t.Errorf("message %d of %d bytes is not learned from, but %d bytes, sure is %v", i, len(want), len(m.Data), !m.Unsure)
		}
	}
	stop()
	if n := h.Counts(); n.Packets > uint64(len(stream)/1500) {
		t.Errorf("%d packets for %d bytes: they are cut", n.Packets, len(stream))
	}
}

func TestBoundIsToldBeforeAndAfterLearn(t *testing.T) {
	s := newSite(t, true)
	var mu sync.Mutex
	var events []string
	note := func(event string) { mu.Lock(); defer mu.Unlock(); events = append(events, event) }
	bound := make(chan bool, 2)
	h, err := New(Options{
		Number: queueNumber, NetNS: s.FD(),
		Learn: func(m []Message) []<-chan struct{} { note("learn"); return atOnce(m) },
		Bound: func(b bool) {
			if _, reads := s.waiting(t); !reads {
				note("not read")
			}
			note(fmt.Sprint(b))
			bound <- b
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := start(t, h, bound)
	c := s.client(t, "127.0.0.1")
	c.ask(body('q', 40))
	c.replies(1)
	stop()
	if want := []string{"true", "learn", "false"}; !slices.Equal(events, want) {
		t.Errorf("%q, want %q", events, want)
	}
}
