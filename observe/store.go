package observe

import (
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/sortby"
)

// maxQuestions is how many names that were asked for wait to be remembered; more are lost.
const maxQuestions = 1024

// StoreOptions are the options of a [Store]. The zero value remembers in memory only, and tells nobody.
type StoreOptions struct {
	Dir string // where its file is; "" for none
	// Boot tells one boot of the host from another: counters of an earlier one say nothing. See [BootID].
	Boot   string
	Every  time.Duration // between writes; default one minute
	Now    func() time.Time
	Logger *slog.Logger // nil discards
	// Running are the containers that run now; it is called before each write. Nil knows none.
	Running func() []Running
	// Whose says who asked a question, false when that is nobody we know. It is called from Run. Nil knows nobody.
	Whose func(Question) (Asker, bool)
	// Settled is [Observer.Settled]. Nil knows nothing of the kernel's counters.
	Settled func(func(Baseline))
}

// Running is a container that runs.
type Running struct {
	Subject
	ID       string // 64 hex digits
	Outbound string // its label, without what its image brought along
}

// Question is a name that somebody asked for and got an answer about.
type Question struct {
	To   netip.Addr // who asked
	Name string
	Time time.Time
}

// Asker is the container that asked.
type Asker struct {
	Subject
	ID      string // 64 hex digits
	Allowed bool   // its policy names what it asked for
}

// Store remembers what containers sent without being allowed to, and what they asked for. Its methods may be called from
// anywhere, at any time.
type Store struct {
	opt       StoreOptions
	file      file
	questions chan Question

	mu       sync.Mutex
	room     int // for bytes, see maxBytes
	subjects map[identity]*observed
	told     told
	baseline *Baseline // as it was read
	dirty    bool
	stale    time.Time // since when contacts go on that the file has with lower counts; zero if it has all
	failed   string    // why writing does not work, as it was said last
}

// OpenStore reads what an earlier Store wrote. A file that is broken is put aside, one of a newer version, or that cannot
// be read, is left alone; each is logged, and the Store begins empty.
func OpenStore(opt StoreOptions) *Store {
	if opt.Every == 0 {
		opt.Every = time.Minute
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{opt: opt, room: maxBytes, questions: make(chan Question, maxQuestions), subjects: map[identity]*observed{}}
	if opt.Dir != "" {
		s.file = fileIn(opt.Dir)
		s.load()
	}
	return s
}

// load reads the file, once.
func (s *Store) load() {
	content, err := s.file.read(s.opt.Now())
	switch {
	case errors.Is(err, errBroken):
		s.opt.Logger.Error("observations cannot be understood; they are put aside and begun anew", "err", err, "kept", s.file.path+".bad")
		err = s.file.putAside()
	case err != nil:
	default:
		s.subjects = content.subjects
		if content.boot == s.opt.Boot {
			s.baseline = content.baseline
		}
		for _, h := range s.subjects {
			h.weigh()
		}
		s.shrink()
		s.lighten()
	}
	if err != nil {
		s.opt.Logger.Error("observations are not kept: they are in memory only", "err", err)
		s.file = file{}
	}
}

// Baseline is what an earlier daemon told of the kernel's counters, nil when that is not known.
func (s *Store) Baseline() *Baseline {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.baseline
}

// Add remembers denials, and marks those that are their subject's first to a name or address.
func (s *Store) Add(denials []Denial) {
	s.mu.Lock()
	defer s.mu.Unlock()
	grown := map[*observed]bool{}
	for i := range denials {
		if h := s.add(&denials[i]); h != nil {
			grown[h] = true
		}
	}
	for h := range grown {
		if len(h.records) > maxOwn {
			h.trim(maxOwn * 7 / 8) // more than it must, to be done for a while
		}
		h.weigh()
	}
	if len(denials) > 0 { // also those of nobody: what is told of the counters has changed
		s.dirty = true
	}
	if len(grown) > 0 {
		s.shrink()
		s.lighten()
	}
}

// add returns what has grown. What no policy could allow is not remembered.
func (s *Store) add(d *Denial) *observed {
	if d.Subject == (Subject{}) || d.Reason != string(nft.Denied) && d.Reason != api.ReasonOther {
		return nil
	}
	h := s.of(d.Subject, d.Time)
	target := d.Target
	target.Dst = target.Dst.Unmap().WithZone("")
	names := h.namesOf(target, d.Names)
	if reachable(target.Dst) {
		d.First = s.first(h, news{
			id: d.ContainerID, target: target, names: names, at: d.Time, verdict: verdict(d.Audit),
		})
	}
	h.add(target, *d, names)
	return h
}

func verdict(audit bool) string {
	if audit {
		return api.VerdictAudit
	}
	return api.VerdictDenied
}

// of is what is remembered of a subject, begun at its first mention.
func (s *Store) of(subject Subject, now time.Time) *observed {
	subject = shortened(subject)
	key := identity{subject.Name, subject.Image}
	h := s.subjects[key]
	if h == nil {
		if len(s.subjects) >= maxSubjects {
			s.forgetOldest()
		}
		h = newObserved(subject, now)
		s.subjects[key], s.dirty = h, true
	}
	h.subject = subject
	return h
}

func (s *Store) forgetOldest() {
	var oldest identity
	for key, h := range s.subjects {
		if o := s.subjects[oldest]; o == nil || h.last.Before(o.last) {
			oldest = key
		}
	}
	delete(s.subjects, oldest)
}

// shrink takes records from whoever has most until all are few enough: nobody loses his to somebody with more.
func (s *Store) shrink() {
	s.level(func(h *observed) int { return len(h.records) }, (*observed).trim)
}

// level trims whoever has most of something until there are few enough of it in all.
func (s *Store) level(count func(*observed) int, trim func(*observed, int)) {
	total := 0
	for _, h := range s.subjects {
		total += count(h)
	}
	for total > maxAll {
		var most *observed
		for _, h := range s.subjects {
			if most == nil || count(h) > count(most) {
				most = h
			}
		}
		before := count(most)
		trim(most, before*9/10)
		total -= before - count(most)
	}
}

// lighten takes from whoever has most bytes, whatever was not seen for longest, until what is written can be read again.
func (s *Store) lighten() {
	total := 0
	for _, h := range s.subjects {
		total += h.bytes
	}
	for total > s.room {
		var most *observed
		for _, h := range s.subjects {
			if most == nil || h.spare() > most.spare() {
				most = h
			}
		}
		if most.spare() == 0 {
			return
		}
		before := most.bytes
		most.trim(len(most.records) * 7 / 8)
		most.trimContacts(len(most.contacts) * 7 / 8)
		trimNames(most.asked, len(most.asked)*7/8)
		trimNames(most.reached, len(most.reached)*7/8)
		most.weigh()
		total -= before - most.bytes
	}
}

// Asked remembers, once Run comes to it, that an address asked for a name. It never waits: when too much is on its way, a
// question is lost.
func (s *Store) Asked(to netip.Addr, name string) {
	select {
	case s.questions <- Question{to, name, s.opt.Now()}:
	default:
	}
}

func (s *Store) asked(q Question) {
	name := canonical(q.Name)
	if name == "" || s.opt.Whose == nil {
		return
	}
	asker, known := s.opt.Whose(q)
	if !known || asker.Subject == (Subject{}) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.of(asker.Subject, q.Time)
	s.dirty = true
	h.last = later(h.last, q.Time)
	names := len(h.asked) + len(h.reached)
	note(h.asked, name, q.Time, maxAsked)
	h.askedLast = later(h.askedLast, q.Time)
	verdict := "asked"
	if asker.Allowed {
		verdict = "allowed"
	}
	s.first(h, news{id: asker.ID, names: []string{name}, at: q.Time, verdict: verdict})
	if len(h.asked)+len(h.reached) != names { // a new one changes it, with or without room
		h.weigh()
		s.lighten()
	}
}

// Observed are all that is remembered, sorted by the subjects' names and images.
func (s *Store) Observed() []Observed {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Observed, 0, len(s.subjects))
	for _, h := range s.subjects {
		out = append(out, h.export())
	}
	sortby.Func(out, func(a, b Observed) int {
		if n := strings.Compare(a.Subject.Name, b.Subject.Name); n != 0 {
			return n
		}
		return strings.Compare(a.Subject.Image, b.Subject.Image)
	})
	return out
}
