package overlay

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/dockerwall/dockerwall/policy"
)

// FileName is the name of the file in the directory of state.
const FileName = "overlay.json"

// latest is how long Run sleeps at most while something has an end: timers of Go stand still while the host sleeps.
const latest = 15 * time.Second

// Options are the options of a [Store]. The zero value keeps in memory only, and tells nobody.
type Options struct {
	Path   string // of its file; "" for none
	Boot   string // tells one boot of the host from another; "" when that is not known
	DryRun bool   // what the settings say of the whole host
	// Changed is told, without the Store's lock, that Now tells something else. It must not block.
	Changed   func()
	Now       func() time.Time                     // the wall clock; nil is time.Now
	SinceBoot func() (time.Duration, error)        // a clock that nobody sets; nil is CLOCK_BOOTTIME
	Logger    *slog.Logger                         // nil discards
	write     func(path string, text []byte) error // of tests; nil is disk.Replace
}

// Store keeps what was changed at run time. Its methods may be called from anywhere, at any time.
type Store struct {
	opt     Options
	wake    chan struct{}
	problem error // why nothing is kept in the file

	changing sync.Mutex // held for a whole change, its write included
	mu       sync.Mutex // guards what follows
	content  content
	seen     *Overlay // of content, nil if it is to be made
	next     time.Duration
	unsaved  bool            // the file has what is over
	gone     map[string]bool // IDs of containers that are not there any more
}

// New reads what an earlier Store wrote, without what has run out. A file that is broken is kept aside, as PATH.bad; one
// of a newer version, or that cannot be read, is left alone, and changes are kept in memory only. Nothing of either counts,
// and [Store.Err] tells of it.
func New(opt Options) (*Store, error) {
	setDefaults(&opt)
	s := &Store{opt: opt, wake: make(chan struct{}, 1)}
	now, err := s.now()
	if err != nil {
		return nil, err
	}
	if opt.Path == "" {
		return s, nil
	}
	read, err := readFile(opt.Path, opt.Boot, now)
	if errors.Is(err, errBroken) {
		opt.Logger.Error("what was changed at run time cannot be understood and does not count; it is kept aside", "err", err, "kept", opt.Path+".bad")
		err = os.Rename(opt.Path, opt.Path+".bad")
	}
	if err != nil {
		opt.Logger.Error("what was changed at run time before does not count, and changes are kept in memory only", "err", err)
		s.problem = err
	}
	s.content = read.under(opt.DryRun)
	s.next = s.content.next()
	return s, nil
}

// Read is what counts now of what a Store wrote to Path. It leaves the file as it is, whatever is wrong with it, and is
// for programs beside the Store's.
func Read(opt Options) (Overlay, error) {
	setDefaults(&opt)
	since, err := opt.SinceBoot()
	if err != nil {
		return Overlay{}, err
	}
	c, err := readFile(opt.Path, opt.Boot, instant{opt.Now(), since})
	if err != nil {
		return Overlay{}, err
	}
	return c.under(opt.DryRun).overlay(), nil
}

// under is c where the settings have come to say of the host what was said at run time, too.
func (c content) under(dryRun bool) content {
	if h := c.host.set; h != nil && (h.Mode == policy.ModeAudit) == dryRun {
		c.host.set = nil
	}
	return c
}

func setDefaults(opt *Options) {
	if opt.Changed == nil {
		opt.Changed = func() {}
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.SinceBoot == nil {
		opt.SinceBoot = sinceBoot
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	if opt.write == nil {
		opt.write = replace
	}
}

func (s *Store) now() (instant, error) {
	since, err := s.opt.SinceBoot()
	return instant{s.opt.Now(), since}, err
}

// Kept says whether a change outlives the daemon.
func (s *Store) Kept() bool { return s.opt.Path != "" && s.problem == nil }

// Err is what is wrong with the file, nil if nothing is; that an earlier one was broken is wrong until PATH.bad is removed.
func (s *Store) Err() error {
	switch {
	case s.opt.Path == "":
		return nil
	case s.problem != nil:
		return errors.Join(ErrLost, s.problem)
	}
	if _, err := os.Lstat(s.opt.Path + ".bad"); !errors.Is(err, fs.ErrNotExist) {
		return ErrLost
	}
	return nil
}

// ErrLost says that what was said before does not count.
var ErrLost = errors.New("what was changed at run time before is lost, denials too")

// Now is what counts. It is shared: nobody may change it.
func (s *Store) Now() Overlay {
	now, err := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.expire(now)
	}
	if s.seen == nil {
		seen := s.content.overlay()
		s.seen = &seen
	}
	return *s.seen
}

// expire takes out what is over, and says so. The caller holds mu.
func (s *Store) expire(now instant) (some bool) {
	if s.next == 0 || now.since < s.next {
		return false
	}
	left, over := s.content.without(now)
	s.swap(left)
	s.unsaved = true
	for _, e := range over {
		s.opt.Logger.Info("ran out: changed at run time for a while", e.attrs()...)
	}
	return len(over) > 0
}

func (s *Store) swap(c content) { s.content, s.seen, s.next = c, nil, c.next() }

// Run ends what runs out, until ctx is done; then it returns nil.
func (s *Store) Run(ctx context.Context) error {
	for {
		timer := time.NewTimer(s.sleep())
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-s.wake:
			timer.Stop()
		case <-timer.C:
		}
		s.tidy()
	}
}

// sleep is how long nothing runs out.
func (s *Store) sleep() time.Duration {
	now, err := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil && s.next == 0 && !s.unsaved:
		return time.Hour // or until a change
	case err == nil && s.next != 0:
		return min(max(s.next-now.since, 0), latest)
	}
	return latest
}

// tidy takes what is over out of what counts, and out of the file.
func (s *Store) tidy() {
	s.changing.Lock()
	defer s.changing.Unlock()
	now, err := s.now()
	if err != nil {
		s.opt.Logger.Error("it is not known what has run out", "err", err)
		return
	}
	s.mu.Lock()
	s.expire(now)
	s.bury()
	unsaved, c := s.unsaved, s.content
	s.mu.Unlock()
	if !unsaved {
		return
	}
	s.opt.Changed() // also if somebody has asked since it was over, and seen it
	if err := s.save(c); err != nil {
		s.opt.Logger.Warn("what has run out is still in the file, where it does not count", "err", err)
	}
	s.mu.Lock()
	s.unsaved = false // the next write has it
	s.mu.Unlock()
}

// change makes another content of what counts, writes it down, and only then has it count. After an error nothing has
// changed.
func (s *Store) change(next func(content, instant) (content, error)) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	now, err := s.now()
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.expire(now)
	c := s.content
	s.mu.Unlock()
	if c, err = next(c, now); err != nil {
		return err
	}
	if err := s.save(c); err != nil {
		return err
	}
	s.mu.Lock()
	s.swap(c)
	s.unsaved = false
	s.mu.Unlock()
	s.rouse()
	s.opt.Changed()
	return nil
}

func (s *Store) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// save writes a content down, where there is a file.
func (s *Store) save(c content) error {
	if !s.Kept() {
		return nil
	}
	text, err := encode(c, s.opt.Boot)
	if err != nil {
		return err
	}
	return s.opt.write(s.opt.Path, text)
}

// Before is the mode that was set for good of a container, or of the host with "", nil if none was: what a pause or a mode
// that is not confirmed goes back to.
func (s *Store) Before(id string) *Switch {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id == "" {
		return s.content.host.set
	}
	return s.content.containers[id].mode.set
}
