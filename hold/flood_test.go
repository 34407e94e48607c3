package hold

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// flood is clients that ask on and on.
type flood struct {
	answered, lost atomic.Int64
	done           chan struct{}
	clients        sync.WaitGroup
}

// flood starts eight, each of which waits so long for an answer. Their addresses are those of a number, as the rules
// let one address's answers pass unread when they are too many.
func (s *site) flood(t *testing.T, number int, wait time.Duration) *flood {
	t.Helper()
	f := &flood{done: make(chan struct{})}
	for i := range 8 {
		d := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.IPv4(127, 1, byte(number), byte(i+1))}}
		var con net.Conn
		err := s.Do(func() (err error) { con, err = d.DialContext(t.Context(), "udp", "127.0.0.1:53"); return err })
		if err != nil {
			t.Fatal(err)
		}
		f.clients.Go(func() { f.ask(con, wait) })
	}
	t.Cleanup(f.stop)
	return f
}

func (f *flood) ask(con net.Conn, wait time.Duration) {
	defer func() { _ = con.Close() }()
	question, buffer := body('q', 40), make([]byte, 64)
	for {
		select {
		case <-f.done:
			return
		default:
		}
		_ = con.SetReadDeadline(time.Now().Add(wait))
		_, _ = con.Write(question)
		if _, err := con.Read(buffer); err != nil {
			f.lost.Add(1)
		} else {
			f.answered.Add(1)
		}
	}
}

// answers waits for n more answers.
func (f *flood) answers(t *testing.T, n int64) {
	t.Helper()
	n += f.answered.Load()
	eventually(t, "nobody is answered", func() bool { return f.answered.Load() >= n })
}

func (f *flood) stop() {
	select {
	case <-f.done:
	default:
		close(f.done)
	}
	f.clients.Wait()
}

func TestNoReplyIsLostWhenItsReaderEnds(t *testing.T) {
	s := newSite(t, true)
	for i := range 20 {
		h, stop := s.holding(t, Options{Learn: atOnce})
		f := s.flood(t, i, patience)
		f.answers(t, 200)
		stop()
		f.answers(t, 200)
		f.stop()
		if n := f.lost.Load(); n != 0 {
			t.Fatalf("%d lost, %d answered", n, f.answered.Load())
		}
		if n := h.Counts(); n.Packets < 200 || n.Packets != n.Released+n.Late || n.Errors != 0 {
			t.Errorf("%+v", n)
		}
	}
}

func TestAQueueIsBoundWhileRepliesCome(t *testing.T) {
	s := newSite(t, true)
	for i := range 100 {
		f := s.flood(t, i, 50*time.Microsecond) // what is lost does not hold up the others
		f.answers(t, 20)
		h, stop := s.holding(t, Options{Learn: atOnce})
		eventually(t, "nothing is read", func() bool { return h.Counts().Packets >= 20 })
		f.stop()
		eventually(t, "packets wait that are not seen", func() bool { n, _ := s.waiting(t); return n == 0 })
		stop()
		if n := h.Counts(); n.Packets != n.Released+n.Late || n.Errors != 0 {
			t.Errorf("%+v", n)
		}
	}
}
