package overlay

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Time runs out by the clock that nobody can set: CLOCK_BOOTTIME (clock_gettime(2)), which goes on while the host sleeps.
// Within one boot of the host neither a wall clock that is put back nor one that is put forward changes when something
// ends. Across boots there is only the wall clock: what ended by it is over; what did not has at most as long as it was
// given at first; and where the wall clock stands before the moment at which something was said, it is wrong, and what
// opens does not count any more, while denials do.

// sinceBoot is CLOCK_BOOTTIME.
func sinceBoot() (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0, fmt.Errorf("read CLOCK_BOOTTIME: %w", err)
	}
	return time.Duration(t.Nano()), nil
}

// instant is one moment by both clocks.
type instant struct {
	wall  time.Time
	since time.Duration // the boot
}

// end is the moment after d by the clock that runs since boot; 0 is never, which d 0 means.
func (now instant) end(d time.Duration) time.Duration {
	if d == 0 {
		return 0
	}
	return now.since + d
}

// stamp is what somebody says now.
func (now instant) stamp(w Wish) Stamp {
	out := Stamp{By: w.By, At: now.wall.UTC().Truncate(time.Second)}
	if w.For != 0 {
		out.Until = now.wall.Add(w.For).UTC().Truncate(time.Second)
	}
	return out
}

// over says whether an end has come.
func (now instant) over(end time.Duration) bool { return end != 0 && now.since >= end }

// resume is when what was said in an earlier boot ends in this one, and whether it still counts.
func (now instant) resume(s Stamp, opens bool) (end time.Duration, counts bool) {
	if opens && now.wall.Before(s.At) {
		return 0, false
	}
	if s.Until.IsZero() {
		return 0, true
	}
	left := min(s.Until.Sub(now.wall), s.Until.Sub(s.At))
	return now.since + left, left > 0
}
