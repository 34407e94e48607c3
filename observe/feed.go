package observe

import (
	"context"
	"errors"
	"sync"
)

// The bounds of a [Feed].
const (
	MaxDenials   = 10_000  // remembered
	maxFeedBytes = 8 << 20 // that they take
	denialBytes  = 320     // that one takes without its texts
	maxBacklog   = 1_000   // Denials that a subscriber may be behind
	maxFollowers = 100
)

// ErrCrowded is returned by [Feed.Follow] when 100 follow already.
var ErrCrowded = errors.New("too many follow denials already")

// Feed remembers the latest Denials and hands on further ones to those who follow. It never waits for them. It may be
// used by many goroutines at once.
type Feed struct {
	joined func()

	mu        sync.Mutex
	id        uint64
	ring      []Denial // oldest first
	bytes     int
	followers map[*follower]struct{}
}

// NewFeed makes one; joined is told, at once, of each who begins to follow, and must not block. Nil is allowed.
func NewFeed(joined func()) *Feed {
	if joined == nil {
		joined = func() {}
	}
	return &Feed{joined: joined, followers: map[*follower]struct{}{}}
}

// Publish numbers Denials, remembers them and hands them on.
func (f *Feed) Publish(denials []Denial) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range denials {
		f.id++
		denials[i].ID = f.id
		f.remember(denials[i])
		for to := range f.followers {
			to.put(denials[i])
		}
	}
}

func (f *Feed) remember(d Denial) {
	f.ring = append(f.ring, d)
	f.bytes += sizeOf(d)
	for len(f.ring) > MaxDenials || f.bytes > maxFeedBytes {
		f.bytes -= sizeOf(f.ring[0])
		f.ring[0] = Denial{} // its texts are let go before the array is
		f.ring = f.ring[1:]
	}
}

// Last is the latest n Denials, oldest first.
func (f *Feed) Last(n int) []Denial {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last(n)
}

func (f *Feed) last(n int) []Denial {
	return append([]Denial(nil), f.ring[len(f.ring)-min(max(n, 0), len(f.ring)):]...)
}

// Watched says whether anybody follows.
func (f *Feed) Watched() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.followers) > 0
}

// Follow sends the latest n Denials, oldest first, and then, with follow, each further one until ctx is done, which is no
// error, or send returns an error, which is returned. Who is more than 1,000 behind loses the oldest; the next Denial
// says how many.
func (f *Feed) Follow(ctx context.Context, n int, follow bool, send func(Denial) error) error {
	if !follow {
		return sendAll(f.Last(n), send)
	}
	me, replay, err := f.join(n)
	if err != nil {
		return err
	}
	defer f.leave(me)
	f.joined()
	if err := sendAll(replay, send); err != nil {
		return err
	}
	for {
		if err := sendAll(f.taken(me), send); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-me.wake:
		}
	}
}

func sendAll(denials []Denial, send func(Denial) error) error {
	for _, d := range denials {
		if err := send(d); err != nil {
			return err
		}
	}
	return nil
}

// join returns the latest n too: there is no gap between them and those that follow.
func (f *Feed) join(n int) (*follower, []Denial, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.followers) >= maxFollowers {
		return nil, nil, ErrCrowded
	}
	me := &follower{wake: make(chan struct{}, 1)}
	f.followers[me] = struct{}{}
	return me, f.last(n), nil
}

func (f *Feed) leave(me *follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.followers, me)
}

func (f *Feed) taken(me *follower) []Denial {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := me.backlog
	if len(out) > 0 {
		out[0].Lost, me.lost = me.lost, 0
	}
	me.backlog = nil
	return out
}

// follower is one who follows. The Feed's lock guards it.
type follower struct {
	wake    chan struct{}
	backlog []Denial
	lost    uint64 // before the backlog
}

func (w *follower) put(d Denial) {
	w.backlog = append(w.backlog, d)
	if more := len(w.backlog) - maxBacklog; more > 0 {
		w.lost += uint64(more)
		w.backlog = w.backlog[more:]
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// sizeOf is about what a Denial takes in memory, in bytes.
func sizeOf(d Denial) int {
	n := denialBytes + len(d.Subject.Name) + len(d.Subject.Image) + len(d.Subject.Project) + len(d.Subject.Service) + len(d.Token) + len(d.Interface)
	for _, name := range d.Names {
		n += len(name) + 16
	}
	return n
}
