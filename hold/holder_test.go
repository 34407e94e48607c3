package hold

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
)

func parseAddr(text string) netip.Addr { return netip.MustParseAddr(text) }

// asked is what a Learn was given: the first byte of each message.
type asked struct {
	mu    sync.Mutex
	calls []string
}

func (a *asked) note(messages []Message) {
	a.mu.Lock()
	defer a.mu.Unlock()
	call := ""
	for _, m := range messages {
		call += string(m.Data[:1])
	}
	a.calls = append(a.calls, call)
}

func (a *asked) all() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.calls)
}

// until is a Learn whose messages wait for ch; learned gets each.
func until(ch <-chan struct{}, learned chan<- Message) func([]Message) []<-chan struct{} {
	return func(messages []Message) []<-chan struct{} {
		waits := make([]<-chan struct{}, len(messages))
		for i, m := range messages {
			waits[i] = ch
			learned <- m
		}
		return waits
	}
}

// atOnce is a Learn that nothing waits for.
func atOnce(messages []Message) []<-chan struct{} { return make([]<-chan struct{}, len(messages)) }

func receive(t *testing.T, from <-chan Message) Message {
	t.Helper()
	select {
	case m := <-from:
		return m
	case <-time.After(patience):
		t.Fatal("nothing is learned")
		return Message{}
	}
}

func TestAReplyWaitsUntilItIsLearned(t *testing.T) {
	s := newSite(t, true)
	for _, server := range servers() {
		t.Run("udp from "+server, func(t *testing.T) {
			committed, learned := make(chan struct{}), make(chan Message, 1)
			h, stop := s.holding(t, Options{Learn: until(committed, learned), Limit: time.Hour})
			c := s.client(t, server)
			question := body('q', 40)
			c.ask(question)
			if m := receive(t, learned); !bytes.Equal(m.Data, question) || m.Unsure {
				t.Errorf("learned from %x, sure is %v", m.Data, !m.Unsure)
			}
			if c.reply(moment) != nil {
				t.Error("delivered before")
			}
			if n, _ := s.waiting(t); n != 1 {
				t.Errorf("%d wait", n)
			}
			close(committed)
			if got := c.reply(patience); !bytes.Equal(got, question) {
				t.Errorf("delivered %x, want %x", got, question)
			}
			stop()
			if n := h.Counts(); n.Packets != 1 || n.Released != 1 || n.HeldSum < moment || n.Held[len(n.Held)-1]+1 < n.Released {
				t.Errorf("%+v", n)
			}
		})
		t.Run("tcp from "+server, func(t *testing.T) {
			committed, learned := make(chan struct{}), make(chan Message, 2)
			h, stop := s.holding(t, Options{Learn: until(committed, learned), Limit: time.Hour})
			asks, answers := s.stream(t, server)
			message := body('m', 300)
			stream := frame(message)
			for piece := range slices.Chunk(stream, 100) {
				if _, err := answers.Write(piece); err != nil {
					t.Fatal(err)
				}
			}
			if m := receive(t, learned); !bytes.Equal(m.Data, message) || !m.Unsure {
				t.Errorf("learned from %x, sure is %v", m.Data, !m.Unsure)
			}
			early := read(t, asks, len(stream), moment)
			if len(early) == len(stream) {
				t.Error("delivered before")
			}
			close(committed)
			if got := append(early, read(t, asks, len(stream)-len(early), patience)...); !bytes.Equal(got, stream) {
				t.Errorf("delivered %x, want %x", got, stream)
			}
			stop()
			if n := h.Counts(); n.Released == 0 || n.Empty == 0 || n.Packets != n.Released+n.Empty+n.Late {
				t.Errorf("%+v", n)
			}
		})
	}
}

func TestAReplyOfWhichNothingIsLearnedGoesOnAtOnce(t *testing.T) {
	s := newSite(t, true)
	for name, learn := range map[string]func([]Message) []<-chan struct{}{
		"nothing to wait for": atOnce,
		"too few channels":    func([]Message) []<-chan struct{} { return nil },
		"a panic":             func([]Message) []<-chan struct{} { panic("as the test wants") },
	} {
		t.Run(name, func(t *testing.T) {
			h, stop := s.holding(t, Options{Learn: learn, Limit: time.Hour})
			c := s.client(t, "127.0.0.1")
			for range 3 {
				c.ask(body('q', 40))
				c.replies(1)
			}
			c.ask([]byte("no message")) // does not come to Learn
			c.replies(1)
			stop()
			n := h.Counts()
			if n.Packets != 4 || n.Released != 3 || n.Empty != 1 || (name == "a panic") != (n.Panics == 3) {
				t.Errorf("%+v", n)
			}
		})
	}
}

func TestAPanicSpoilsItsOwnPacketOnly(t *testing.T) {
	s := newSite(t, true)
	gate, called := make(chan struct{}), make(chan struct{}, 8)
	var given asked
	h, stop := s.holding(t, Options{Limit: time.Hour, Learn: func(messages []Message) []<-chan struct{} {
		given.note(messages)
		called <- struct{}{}
		<-gate
		if slices.ContainsFunc(messages, func(m Message) bool { return m.Data[0] == 'x' }) {
			panic("as the test wants")
		}
		return atOnce(messages)
	}})
	c := s.client(t, "127.0.0.1")
	c.ask(body('a', 40))
	<-called // the others come together
	for _, which := range []byte{'b', 'x', 'c'} {
		c.ask(body(which, 40))
	}
	eventually(t, "the packets do not come", func() bool { return h.Counts().Packets == 4 })
	close(gate)
	c.replies(4)
	stop()
	if got, want := given.all(), []string{"a", "bxc", "b", "x", "c"}; !slices.Equal(got, want) {
		t.Errorf("Learn was given %q, want %q", got, want)
	}
	if n := h.Counts(); n.Panics != 2 || n.Released != 4 {
		t.Errorf("%+v", n)
	}
}

func TestAReplyGoesOnWhenItsLimitIsOver(t *testing.T) {
	s := newSite(t, true)
	for name, learn := range map[string]func(never <-chan struct{}) func([]Message) []<-chan struct{}{
		"the channel stays open": func(never <-chan struct{}) func([]Message) []<-chan struct{} {
			return until(never, make(chan Message, 8))
		},
		"Learn does not return": func(never <-chan struct{}) func([]Message) []<-chan struct{} {
			return func([]Message) []<-chan struct{} { <-never; return nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			const limit = 300 * time.Millisecond
			never := make(chan struct{})
			h, stop := s.holding(t, Options{Learn: learn(never), Limit: limit})
			defer stop()
			defer close(never)
			c := s.client(t, "127.0.0.1")
			for range 3 {
				sent := time.Now()
				c.ask(body('q', 40))
				c.replies(1)
				if took := time.Since(sent); took < limit {
					t.Errorf("delivered after %v", took)
				}
			}
			eventually(t, "not counted", func() bool { return h.Counts().Late == 3 && h.Counts().Released == 0 })
			if n, _ := s.waiting(t); n != 0 {
				t.Errorf("%d wait", n)
			}
		})
	}
}

func TestAQueueThatIsTakenIsSaidSo(t *testing.T) {
	s := newSite(t, true)
	learned := make(chan Message, 1)
	_, stop := s.holding(t, Options{Learn: until(make(chan struct{}), learned), Limit: time.Hour})
	c := s.client(t, "127.0.0.1")
	c.ask(body('q', 40))
	receive(t, learned)
	second, err := New(Options{
		Number: queueNumber, NetNS: s.FD(), Learn: atOnce,
		Bound: func(bound bool) { t.Errorf("bound: %v", bound) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(t.Context()); !errors.Is(err, ErrTaken) {
		t.Errorf("second reader: %v", err)
	}
	if n, bound := s.waiting(t); n != 1 || !bound {
		t.Errorf("the second reader let go what waits for the first: %d wait, bound is %v", n, bound)
	}
	stop()
	c.replies(1)
	_, _ = s.holding(t, Options{Learn: atOnce}) // given back
	c.ask(body('q', 40))
	c.replies(1)
}

func TestRunMayBeCalledAgain(t *testing.T) {
	s := newSite(t, true)
	bound := make(chan bool, 8)
	h, err := New(Options{Number: queueNumber, NetNS: s.FD(), Learn: atOnce, Bound: func(b bool) { bound <- b }})
	if err != nil {
		t.Fatal(err)
	}
	c := s.client(t, "127.0.0.1")
	for i := range uint64(3) {
		stop := start(t, h, bound)
		c.ask(body('q', 40))
		c.replies(1)
		stop()
		select {
		case b := <-bound:
			if b {
				t.Error("told that it reads")
			}
		default:
			t.Error("not told that nobody reads")
		}
		if n := h.Counts(); n.Packets != i+1 || n.Released != i+1 {
			t.Errorf("%+v", n)
		}
		if _, bound := s.waiting(t); bound {
			t.Error("the queue is not given back")
		}
	}
}

func TestWithoutAReaderRepliesPass(t *testing.T) {
	s := newSite(t, true)
	c := s.client(t, "127.0.0.1")
	c.ask(body('q', 40))
	c.replies(1)
}

func TestAHolderNeedsALearn(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("New")
	}
	if _, err := NewCopier(Options{}); err == nil {
		t.Error("NewCopier")
	}
}
