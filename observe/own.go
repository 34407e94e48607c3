package observe

import (
	"slices"
	"time"
)

// askedOfLate is how long before a record a question may be for it to be known that the container asks by itself.
const askedOfLate = 24 * time.Hour

// ownNames are those of an address's names that may stand in a token. Names are whoever's who asked for them, and whoever
// runs a zone gives it any address: where it is known of late what the container asks for, no other name counts, so that
// nobody's neighbour can have his own name suggested. Where that is not known, others do too, behind those that it ever
// asked for: some programs ask once, and connect for days.
func ownNames(names []string, asked func(string) bool, late bool) []string {
	own := make([]string, 0, len(names))
	for _, name := range names {
		if asked(name) {
			own = append(own, name)
		}
	}
	if late {
		return own
	}
	return append(own, slices.DeleteFunc(slices.Clone(names), asked)...)
}

// Own are those of an address's names that may stand in a token for a subject, the best first.
func (s *Store) Own(subject Subject, names []string) []string {
	subject = shortened(subject)
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.subjects[identity{subject.Name, subject.Image}]
	if h == nil || len(names) == 0 {
		return names
	}
	return ownNames(names, func(name string) bool {
		_, asked := h.asked[canonical(name)]
		return asked
	}, s.opt.Now().Sub(h.askedLast) <= askedOfLate)
}
