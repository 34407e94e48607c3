package droplog

import (
	"container/list"
	"net/netip"
	"time"
)

// The bounds of what is remembered and written. An attacker chooses destinations and rates, so each
// container has a share of its own and nothing grows with traffic.
const (
	maxKeys        = 16384           // destinations remembered in all
	maxSubjectKeys = 1024            // of one container
	lineRate       = 10              // lines a second of one container
	lineBurst      = 50              // lines at once
	muteFor        = time.Minute     // how long new destinations go unlogged once the burst is spent
	repeatEvery    = time.Minute     // at most one line of repeats per destination
	forgetAfter    = 1 * time.Hour   // without a packet; the next one is a first again
	sweepEvery     = 5 * time.Second // how late a line of repeats may be
)

// key is what one line stands for.
type key struct {
	prefix Prefix
	dst    netip.Addr
	port   uint16
	proto  uint8
}

// lineKind says which of three things a line tells.
type lineKind uint8

const (
	lineFirst      lineKind = iota // the first packet to a destination
	lineAgain                      // further packets to it
	lineSuppressed                 // packets to new destinations that got no line
)

// line is one line to write.
type line struct {
	kind   lineKind
	prefix Prefix
	drop   Drop // an example
	count  uint64
}

// aggregate decides which lines to write. It is pure: the caller gives the time. Every packet
// observed ends in exactly one line's count.
type aggregate struct {
	subjects map[string]*subject
	recent   list.List // of *entry, most recently seen first
	lines    []line    // decided and not yet taken
}

// subject is who a limit applies to: a container, or the interface of packets from nobody we know.
type subject struct {
	name       string
	entries    map[key]*entry
	recent     list.List // of *entry, most recently seen first
	bucket     bucket
	mutedUntil time.Time
	suppressed line
}

// entry is a destination of a subject that has had its first line.
type entry struct {
	key           key
	subject       *subject
	drop          Drop
	pending       uint64 // packets since the last line
	lineAt        time.Time
	seenAt        time.Time
	inAll, inMine *list.Element
}

func newAggregate() *aggregate {
	return &aggregate{subjects: make(map[string]*subject)}
}

// take returns the lines decided since the last call.
func (a *aggregate) take() []line {
	lines := a.lines
	a.lines = nil
	return lines
}

// observe records one denied packet.
func (a *aggregate) observe(p Prefix, d Drop, now time.Time) {
	s := a.subject(p, d)
	k := key{prefix: p, dst: d.Dst, port: d.DstPort, proto: d.Proto}
	if e := s.entries[k]; e != nil {
		e.pending++
		e.seenAt = now
		a.recent.MoveToFront(e.inAll)
		s.recent.MoveToFront(e.inMine)
		return
	}
	if now.Before(s.mutedUntil) {
		s.suppress(p, d, 1)
		return
	}
	if !s.bucket.take(now, 0) {
		a.tellSuppressed(s) // of the last time: under a steady flood no sweep sees the gap
		s.mutedUntil = now.Add(muteFor)
		s.suppress(p, d, 1)
		return
	}
	a.lines = append(a.lines, line{kind: lineFirst, prefix: p, drop: d, count: 1})
	a.insert(&entry{key: k, subject: s, drop: d, lineAt: now, seenAt: now}, now)
}

// sweep decides the lines of repeats that are due, and forgets what is idle.
func (a *aggregate) sweep(now time.Time) {
	for _, s := range a.subjects {
		if !now.Before(s.mutedUntil) {
			a.tellSuppressed(s)
		}
	}
	for el := a.recent.Back(); el != nil; {
		e := el.Value.(*entry)
		el = el.Prev()
		if e.pending > 0 && now.Sub(e.lineAt) >= repeatEvery {
			a.tellAgain(e, now)
		}
		if e.pending == 0 && now.Sub(e.seenAt) >= forgetAfter {
			a.remove(e)
		}
	}
	for name, s := range a.subjects {
		if len(s.entries) == 0 && s.suppressed.count == 0 && !now.Before(s.mutedUntil) && s.bucket.full(now) {
			delete(a.subjects, name)
		}
	}
}

// finish decides the lines for all that is still untold, within the limits.
func (a *aggregate) finish(now time.Time) {
	for el := a.recent.Back(); el != nil; el = el.Prev() {
		if e := el.Value.(*entry); e.pending > 0 && !a.tellAgain(e, now) {
			e.subject.suppress(e.key.prefix, e.drop, e.pending)
			e.pending = 0
		}
	}
	for _, s := range a.subjects {
		a.tellSuppressed(s)
	}
}

func (a *aggregate) subject(p Prefix, d Drop) *subject {
	name := p.Chain
	if name == NoChain {
		name = NoChain + d.In
	}
	s := a.subjects[name]
	if s == nil {
		s = &subject{name: name, entries: make(map[key]*entry)}
		a.subjects[name] = s
	}
	return s
}

func (a *aggregate) insert(e *entry, now time.Time) {
	if s := e.subject; len(s.entries) >= maxSubjectKeys {
		a.evict(s.recent.Back().Value.(*entry), now)
	}
	if a.recent.Len() >= maxKeys {
		a.evict(a.recent.Back().Value.(*entry), now)
	}
	e.inAll, e.inMine = a.recent.PushFront(e), e.subject.recent.PushFront(e)
	e.subject.entries[e.key] = e
}

// evict makes room; repeats not yet told are told now, or as suppressed.
func (a *aggregate) evict(e *entry, now time.Time) {
	if e.pending > 0 && !a.tellAgain(e, now) {
		e.subject.suppress(e.key.prefix, e.drop, e.pending)
	}
	a.remove(e)
}

func (a *aggregate) remove(e *entry) {
	a.recent.Remove(e.inAll)
	e.subject.recent.Remove(e.inMine)
	delete(e.subject.entries, e.key)
}

// tellAgain decides a line of repeats. Repeats leave half the burst to first packets.
func (a *aggregate) tellAgain(e *entry, now time.Time) bool {
	if !e.subject.bucket.take(now, lineBurst/2) {
		return false
	}
	a.lines = append(a.lines, line{kind: lineAgain, prefix: e.key.prefix, drop: e.drop, count: e.pending})
	e.pending, e.lineAt = 0, now
	return true
}

func (a *aggregate) tellSuppressed(s *subject) {
	if s.suppressed.count > 0 {
		a.lines = append(a.lines, s.suppressed)
		s.suppressed = line{}
	}
}

func (s *subject) suppress(p Prefix, d Drop, n uint64) {
	s.suppressed.kind, s.suppressed.prefix, s.suppressed.drop = lineSuppressed, p, d
	s.suppressed.count += n
}
