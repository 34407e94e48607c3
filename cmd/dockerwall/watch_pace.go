package main

import (
	"net/netip"
	"time"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/sortby"
)

// paceEvery is the least time between two lines about the same.
const paceEvery = time.Second

// pace holds denials back that come within a second of the line about the same, and adds them up. It is pure: the caller
// gives the time. Its size follows that of the daemon's readings, which are bounded.
type pace struct{ lines map[paceKey]*paced }

// paceKey is what a line is about.
type paceKey struct {
	container, id, source, iface, protocol, reason, verdict string
	destination                                             netip.Addr
	port                                                    uint16
}

type paced struct {
	shown time.Time
	held  *api.Denial
}

func newPace() *pace { return &pace{lines: map[paceKey]*paced{}} }

// add returns what is to be shown at once.
func (p *pace) add(d api.Denial, now time.Time) []api.Denial {
	key := paceKey{d.Container, d.ContainerID, d.Source, d.Interface, d.Protocol, d.Reason, d.Verdict, d.Destination, d.Port}
	line := p.lines[key]
	switch {
	case line == nil:
		p.lines[key] = &paced{shown: now}
		return []api.Denial{d}
	case line.held == nil && now.Sub(line.shown) >= paceEvery:
		line.shown = now
		return []api.Denial{d}
	case line.held == nil:
		line.held = &d
	default:
		line.held.ID, line.held.Time, line.held.Names, line.held.Token = d.ID, d.Time, d.Names, d.Token
		line.held.Packets, line.held.Bytes = line.held.Packets+d.Packets, line.held.Bytes+d.Bytes
		line.held.First = line.held.First || d.First
	}
	return nil
}

// due returns what has been held back for long enough, and forgets lines of which nothing is.
func (p *pace) due(now time.Time) []api.Denial {
	return p.release(func(line *paced) bool { return now.Sub(line.shown) >= paceEvery }, now)
}

// rest returns all that is held back.
func (p *pace) rest() []api.Denial {
	return p.release(func(*paced) bool { return true }, time.Time{})
}

func (p *pace) release(ready func(*paced) bool, now time.Time) (out []api.Denial) {
	for key, line := range p.lines {
		switch {
		case !ready(line):
		case line.held == nil:
			delete(p.lines, key)
		default:
			out = append(out, *line.held)
			line.shown, line.held = now, nil
		}
	}
	sortby.Func(out, func(a, b api.Denial) int { return int(int64(a.ID) - int64(b.ID)) })
	return out
}

// wait is how long until something may be due.
func (p *pace) wait(now time.Time) time.Duration {
	wait := time.Hour
	for _, line := range p.lines {
		wait = min(wait, paceEvery-now.Sub(line.shown))
	}
	return max(wait, time.Millisecond)
}
