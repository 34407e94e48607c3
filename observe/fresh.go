package observe

import (
	"context"
	"sync"
)

// rounds are those who wait for a reading. However many they are, and however long it takes, they share one channel.
type rounds struct {
	mu   sync.Mutex
	next chan struct{} // closed at the end of the reading that begins next; nil when nobody waits
}

// begin is the beginning of a reading; what it returns is its end.
func (r *rounds) begin() (end func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	waited := r.next
	r.next = nil
	return func() {
		if waited != nil {
			close(waited)
		}
	}
}

func (r *rounds) wait() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == nil {
		r.next = make(chan struct{})
	}
	return r.next
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
