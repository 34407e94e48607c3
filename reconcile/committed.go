package reconcile

import (
	"context"
	"errors"
)

var errEnded = errors.New("the daemon ends")

// Committed asks for a run and waits until it has ended: nil says that the table in the kernel was made from what Gather's
// functions say now, or have said since. While the Engine does not answer, it is made from what the Engine said last.
func (l *Loop) Committed(ctx context.Context) error {
	done := make(chan error, 1)
	l.mu.Lock()
	if l.asked == nil {
		l.mu.Unlock()
		return errEnded
	}
	l.asked = append(l.asked, done)
	l.mu.Unlock()
	l.Changed()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin returns who waits for the run that begins now.
func (l *Loop) begin() []chan error {
	l.mu.Lock()
	defer l.mu.Unlock()
	asked := l.asked
	l.asked = []chan error{}
	return asked
}

// unmet is why what was asked for does not count after a run, nil if it does.
func (l *Loop) unmet(o Outcome) error {
	if _, good := l.Last(); o.Err != nil && !o.Refused && good && l.held {
		return nil
	}
	return o.Err
}

// leave lets go who waits for a run that will not come.
func (l *Loop) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	tell(l.asked, errEnded)
	l.asked = nil
}

// tell tells each; they have room for it.
func tell(asked []chan error, err error) {
	for _, done := range asked {
		done <- err
	}
}
