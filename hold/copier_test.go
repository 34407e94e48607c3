package hold

import (
	"bytes"
	"errors"
	"runtime"
	"testing"
	"time"
)

// copying runs a Copier at the site.
func (s *site) copying(t *testing.T, opt Options) (c *Copier, stop func()) {
	t.Helper()
	bound := make(chan bool, 8)
	opt.Number, opt.NetNS, opt.Bound = queueNumber, s.FD(), func(b bool) { bound <- b }
	c, err := NewCopier(opt)
	if err != nil {
		t.Fatal(err)
	}
	return c, start(t, c, bound)
}

func TestACopyIsLearnedFromAndItsReplyPasses(t *testing.T) {
	s := newSite(t, false)
	for _, server := range servers() {
		t.Run(server, func(t *testing.T) {
			gate, learned := make(chan struct{}), make(chan Message, 8)
			copier, stop := s.copying(t, Options{Learn: func(m []Message) []<-chan struct{} { <-gate; return until(nil, learned)(m) }})
			c := s.client(t, server)
			question := body('q', 40)
			c.ask(question)
			if got := c.reply(patience); !bytes.Equal(got, question) {
				t.Errorf("delivered %x, want %x", got, question)
			}
			close(gate)
			if m := receive(t, learned); !bytes.Equal(m.Data, question) || m.Unsure {
				t.Errorf("learned from %x, sure is %v", m.Data, !m.Unsure)
			}
			asks, answers := s.stream(t, server)
			message := body('m', 30_000)
			if _, err := answers.Write(frame(message)); err != nil {
				t.Fatal(err)
			}
			if m := receive(t, learned); !bytes.Equal(m.Data, message) || !m.Unsure {
				t.Errorf("learned from %d bytes, sure is %v", len(m.Data), !m.Unsure)
			}
			if got := read(t, asks, 30_002, patience); !bytes.Equal(got, frame(message)) {
				t.Errorf("%d bytes are delivered", len(got))
			}
			stop()
			n := copier.Counts()
			if n.Released < 2 || n.Empty == 0 || n.Packets != n.Released+n.Empty || n.HeldSum != 0 {
				t.Errorf("%+v", n)
			}
		})
	}
}

func TestACopierSurvivesWhatItsLearnDoes(t *testing.T) {
	s := newSite(t, false)
	learned := make(chan Message, 8)
	copier, stop := s.copying(t, Options{Learn: func(m []Message) []<-chan struct{} {
		if m[0].Data[0] == 'x' {
			panic("as the test wants")
		}
		return until(nil, learned)(m)
	}})
	c := s.client(t, "127.0.0.1")
	c.ask(body('x', 40))
	c.ask(body('q', 40))
	c.ask([]byte("no message"))
	receive(t, learned)
	eventually(t, "not read", func() bool { return copier.Counts().Packets == 3 })
	stop()
	if n := copier.Counts(); n.Panics != 1 || n.Released != 2 || n.Empty != 1 {
		t.Errorf("%+v", n)
	}
}

func TestAGroupThatIsTakenIsSaidSo(t *testing.T) {
	s := newSite(t, false)
	_, stop := s.copying(t, Options{Learn: atOnce})
	second, err := NewCopier(Options{
		Number: queueNumber, NetNS: s.FD(), Learn: atOnce,
		Bound: func(bound bool) { t.Errorf("bound: %v", bound) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(t.Context()); !errors.Is(err, ErrTaken) {
		t.Errorf("second reader: %v", err)
	}
	stop()
	learned := make(chan Message, 1)
	_, _ = s.copying(t, Options{Learn: until(nil, learned)}) // given back
	s.client(t, "127.0.0.1").ask(body('q', 40))
	receive(t, learned)
}

func TestACopierEndsWhileCopiesCome(t *testing.T) {
	s := newSite(t, false)
	goroutines := runtime.NumGoroutine()
	for i := range 10 {
		copier, stop := s.copying(t, Options{Learn: atOnce})
		f := s.flood(t, i, patience)
		eventually(t, "nothing is read", func() bool { return copier.Counts().Packets >= 100 })
		began := time.Now()
		stop()
		if took := time.Since(began); took > patience/2 {
			t.Errorf("took %v", took)
		}
		n := copier.Counts()
		f.answers(t, 200)
		f.stop()
		if later := copier.Counts(); later.Packets != n.Packets || f.lost.Load() != 0 {
			t.Errorf("%d packets, %d after the end, %d lost", n.Packets, later.Packets, f.lost.Load())
		}
	}
	eventually(t, "goroutines are left", func() bool { return runtime.NumGoroutine() <= goroutines })
}
