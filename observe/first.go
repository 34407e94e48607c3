package observe

import (
	"net/netip"
	"time"

	"github.com/dockerwall/dockerwall/packet"
)

const (
	// learning is how long all that a subject reaches for is remembered without being news: a service that was just
	// started does everything for the first time.
	learning = time.Hour
	// Lines of the log about news in a minute.
	maxLinesEach = 10 // of one subject
	maxLines     = 60
)

// news is what a subject may reach for the first time.
type news struct {
	id      string   // of the container
	target  Target   // the zero value for a question
	names   []string // the latest first
	at      time.Time
	verdict string
}

// told is what the log was told in this minute.
type told struct {
	since time.Time
	lines int
	each  map[*observed]int
	left  uint64 // news without a line
}

// first says whether n is news of a subject, tells the log, and remembers. A name counts once, however often its addresses
// change; of several names of an address the one that the subject asked for, else the latest. Another name of an address
// that is known already is none: nobody can tell which was meant.
func (s *Store) first(h *observed, n news) bool {
	name := chosen(h, n.names)
	known := false
	look := func(key string) {
		if key != "" {
			_, there := h.reached[key]
			known = known || there
		}
	}
	for _, other := range n.names {
		look(other)
	}
	addr := text(n.target.Dst)
	look(addr)
	for _, key := range []string{name, addr} {
		if key != "" {
			note(h.reached, key, n.at, maxReached)
		}
	}
	if known || n.at.Sub(h.since) < learning {
		return false
	}
	h.firsts++
	if name == "" {
		name = addr
	}
	s.line(h, name, n)
	return true
}

// chosen is the name that a subject most likely meant.
func chosen(h *observed, names []string) string {
	for _, name := range names {
		if _, ok := h.asked[name]; ok {
			return name
		}
	}
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// line writes one, unless the minute has had enough.
func (s *Store) line(h *observed, name string, n news) {
	s.minute(n.at)
	if s.told.lines >= maxLines || s.told.each[h] >= maxLinesEach {
		s.told.left++
		return
	}
	s.told.lines++
	s.told.each[h]++
	attrs := []any{"container", h.subject.Name, "id", n.id[:min(len(n.id), 12)], "name", name}
	if n.target != (Target{}) {
		attrs = append(attrs, "port", n.target.Port, "protocol", packet.ProtocolName(n.target.Proto))
	}
	s.opt.Logger.Info("first seen", append(attrs, "verdict", n.verdict)...)
}

// minute begins a new one when the last is over.
func (s *Store) minute(now time.Time) {
	if s.told.each != nil && now.Sub(s.told.since).Abs() < time.Minute {
		return
	}
	if s.told.left > 0 {
		s.opt.Logger.Warn("more was seen for the first time than is told one by one", "count", s.told.left)
	}
	s.told = told{since: now, each: map[*observed]int{}}
}

// tell says what the last minute had no room for.
func (s *Store) tell(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told.left > 0 {
		s.minute(now)
	}
}

// Firsts is how often containers of a name and image reached for something for the first time, since the start.
func (s *Store) Firsts(subject Subject) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	subject = shortened(subject)
	if h := s.subjects[identity{subject.Name, subject.Image}]; h != nil {
		return h.firsts
	}
	return 0
}
