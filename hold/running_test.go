package hold

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/florianl/go-nfqueue/v2"
)

// passing is a Holder at its end, without a queue: packets pass, and get no verdict of their own.
func passing(t *testing.T, room int) *running {
	t.Helper()
	h, err := New(Options{Learn: atOnce, Limit: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	r := &running{Holder: h, items: make(chan *item, room), stopped: make(chan struct{})}
	close(r.stopped)
	return r
}

func arrival(id uint32, payload []byte) nfqueue.Attribute {
	return nfqueue.Attribute{PacketID: &id, Payload: &payload}
}

func TestAPacketGoesOnOnce(t *testing.T) {
	r := passing(t, 1)
	r.receive(arrival(1, udpPacket(body('q', 40))))
	it := <-r.items
	var group sync.WaitGroup
	for _, as := range []*atomic.Uint64{&r.counts.late, &r.counts.released, &r.counts.late, &r.counts.released} {
		group.Go(func() { r.release(it, as) })
	}
	group.Wait()
	if n := r.Counts(); n.Late+n.Released != 1 || n.Empty != 0 {
		t.Errorf("%+v", n)
	}
	select {
	case <-it.gone:
	default:
		t.Error("not told that it is gone")
	}
	if it.timer.Stop() {
		t.Error("its limit still runs, and keeps it in memory")
	}
}

func TestThereIsAlwaysRoomForTheNextPacket(t *testing.T) {
	r := passing(t, 2)
	for id := range uint32(5) {
		r.receive(arrival(id, udpPacket(body('q', 40))))
	}
	r.receive(arrival(5, []byte("no packet")))
	r.receive(nfqueue.Attribute{PacketID: new(uint32)})
	if n := r.Counts(); n.Packets != 7 || n.Late != 3 || n.Empty != 2 || len(r.items) != 2 {
		t.Errorf("%+v, %d wait", n, len(r.items))
	}
}

func TestWhatWaitsPassesWhenReadingFails(t *testing.T) {
	s := newSite(t, true)
	learned := make(chan Message, 8)
	h, err := New(Options{Number: queueNumber, NetNS: s.FD(), Limit: time.Hour, Learn: until(make(chan struct{}), learned)})
	if err != nil {
		t.Fatal(err)
	}
	r, err := h.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	worked := make(chan error, 1)
	go func() { worked <- r.work(t.Context()) }()
	c := s.client(t, "127.0.0.1")
	for range 3 {
		c.ask(body('q', 40))
		receive(t, learned)
	}
	if err := r.con.Con.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	c.replies(3)
	select {
	case err := <-worked:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("work: %v", err)
		}
	case <-time.After(patience):
		t.Error("nobody hears of the failure")
	}
	r.close()
}

func TestBeatsComeWhileRepliesAreHandled(t *testing.T) {
	s := newSite(t, true)
	var beats atomic.Int64
	hang, called := make(chan struct{}), make(chan struct{})
	_, stop := s.holding(t, Options{Beat: func() { beats.Add(1) }, Learn: func(m []Message) []<-chan struct{} {
		close(called)
		<-hang
		return atOnce(m)
	}})
	defer stop()
	eventually(t, "no beats", func() bool { return beats.Load() >= 2 })
	s.client(t, "127.0.0.1").ask(body('q', 40))
	<-called
	before := beats.Load()
	hung := time.NewTimer(2*beatEvery + moment)
	<-hung.C
	if beats.Load() != before {
		t.Error("beats come while Learn hangs")
	}
	close(hang)
	eventually(t, "no beats after Learn", func() bool { return beats.Load() > before })
}
