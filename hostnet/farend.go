package hostnet

import (
	"fmt"
	"time"
)

// retries is how often and how long after a failure the other end of a veth is read again: it may just be moving from
// one namespace to another. After the last the next change of the veth makes another try.
func retries() []time.Duration {
	return []time.Duration{5 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second}
}

// readFar reads the MAC of a veth's other end, if it is to be read now.
func (f *follower) readFar(v *member) {
	if v.known || !v.carrier || v.master == 0 {
		return
	}
	far, err := getLink(f.asks, v.peer, v.peerNet)
	if err == nil && far.peer != v.index { // its namespace went, and its number is another's now
		err = fmt.Errorf("interface %d there is another's", v.peer)
	}
	if err != nil {
		f.putOff(v, err)
		return
	}
	delete(f.late, v.index)
	v.known, v.far, f.mute = true, far.mac, false
}

func (f *follower) putOff(v *member, err error) {
	r := f.late[v.index]
	waits := retries()
	if r.failures < len(waits) {
		f.late[v.index] = retry{failures: r.failures + 1, due: time.Now().Add(waits[r.failures])}
		return
	}
	delete(f.late, v.index)
	if !f.mute {
		f.mute = true
		f.options.Logger.Warn("who is behind a bridge port is not known: its addresses are not bound to it", "port", v.name, "err", err)
	}
}

// nextRetry is when readLate has something to do; the zero time is never.
func (f *follower) nextRetry() (next time.Time) {
	for _, r := range f.late {
		if next.IsZero() || r.due.Before(next) {
			next = r.due
		}
	}
	return next
}

// readLate reads the veths that are due again, where their other ends are now.
func (f *follower) readLate(now time.Time) {
	for index, r := range f.late {
		if r.due.After(now) {
			continue
		}
		l, err := getLink(f.asks, index, here)
		if err != nil { // it has gone, of which we shall hear
			delete(f.late, index)
			continue
		}
		f.put(l)
	}
}
