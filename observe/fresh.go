package observe

import (
	"context"
	"sync"
)

// rounds are those who wait for a reading.
type rounds struct {
	mu      sync.Mutex
	waiting []chan struct{}
}

// begin is the beginning of a reading; what it returns is its end.
func (r *rounds) begin() (end func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	waiting := r.waiting
	r.waiting = nil
	return func() {
		for _, w := range waiting {
			close(w)
		}
	}
}

func (r *rounds) wait() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := make(chan struct{})
	r.waiting = append(r.waiting, w)
	return w
}

// Fresh waits for a reading that begins after the call, or until ctx is done: then sinks have all that was denied before
// it, but for the packets that are on their way from one of the kernel's counters to the other.
func (o *Observer) Fresh(ctx context.Context) {
	done := o.rounds.wait()
	o.Kick()
	select {
	case <-done:
	case <-ctx.Done():
	}
}
