package observe

import (
	"context"
	"maps"
	"time"
)

// Run remembers what is asked for and keeps the file until ctx is done; then it writes once more and returns nil.
func (s *Store) Run(ctx context.Context) error {
	tick := time.NewTicker(s.opt.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.drain()
			s.settle()
			s.Write()
			return nil
		case q := <-s.questions:
			s.asked(q)
		case <-tick.C:
			s.Write()
		}
	}
}

func (s *Store) drain() {
	for range maxQuestions {
		select {
		case q := <-s.questions:
			s.asked(q)
		default:
			return
		}
	}
}

// Write does Refresh, and writes the file if anything changed. That it cannot is logged once for each reason.
func (s *Store) Write() {
	now := s.opt.Now()
	s.Refresh()
	s.tell(now)
	if s.file.path == "" {
		return
	}
	content, changed := s.content(now)
	if !changed {
		return
	}
	err := s.file.write(content)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		s.dirty = true
		if s.failed != err.Error() {
			s.opt.Logger.Error("observations are not kept: they are in memory only for now", "err", err)
		}
		s.failed = err.Error()
	case s.failed != "":
		s.opt.Logger.Info("observations are kept again", "file", s.file.path)
		s.failed = ""
	}
}

// presence is how exactly it is known when a subject was last seen to run: each change is a write.
const presence = 6 * time.Hour

// Refresh takes in what runs, and forgets what is too old.
func (s *Store) Refresh() {
	now := s.opt.Now()
	var running []Running
	if s.opt.Running != nil {
		running = s.opt.Running()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	labels := 0 // and other texts; half the room is theirs
	for _, h := range s.subjects {
		labels += h.fixed
	}
	for _, r := range running {
		h := s.of(r.Subject, now)
		outbound := r.Outbound
		if len(outbound) > maxLabel || outbound != h.outbound && labels+jsonBytes(outbound) > s.room/2 {
			outbound = ""
		}
		if outbound != h.outbound {
			labels += jsonBytes(outbound)
		}
		if h.outbound != outbound || now.Sub(h.last) >= presence {
			h.outbound, h.last, s.dirty = outbound, later(h.last, now), true
		}
	}
	defer s.lighten()
	for key, h := range s.subjects {
		if h.forget(now.Add(-keepFor)) {
			s.dirty = true
		}
		h.weigh()
		if now.Sub(h.last) > keepFor {
			delete(s.subjects, key)
			s.dirty = true
		}
	}
}

// content is what is to be written, if anything changed since it last was.
func (s *Store) content(now time.Time) (c content, changed bool) {
	take := func(b *Baseline) {
		s.mu.Lock()
		defer s.mu.Unlock()
		changed = s.dirty || !s.stale.IsZero() && now.Sub(s.stale).Abs() >= staleFor
		s.dirty = s.dirty && !changed
		if !changed {
			return
		}
		s.stale = time.Time{}
		c = content{at: now, boot: s.opt.Boot, baseline: b, subjects: make(map[identity]*observed, len(s.subjects))}
		for key, h := range s.subjects {
			c.subjects[key] = h.clone()
		}
	}
	if s.opt.Settled != nil {
		s.opt.Settled(func(b Baseline) { take(&b) })
	} else {
		take(nil)
	}
	return c, changed
}

// clone shares nothing that changes.
func (h *observed) clone() *observed {
	out := *h
	out.asked, out.reached = maps.Clone(h.asked), maps.Clone(h.reached)
	out.contacts = make(map[route]*Contact, len(h.contacts))
	for r, c := range h.contacts {
		copied := *c
		out.contacts[r] = &copied
	}
	out.records = make(map[Target]*Record, len(h.records))
	for t, r := range h.records {
		copied := *r
		out.records[t] = &copied
	}
	return &out
}
