package operator

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/fsnotify/fsnotify"
)

// How long a directory has to be quiet before it is read, how long that can be put off by who writes without end, and how
// often is looked for what no event tells: a directory made later, and files that links lead to.
const (
	quiet   = 100 * time.Millisecond
	patient = time.Second
	lookout = 5 * time.Second
)

// Run keeps up with the directory until ctx is done.
func (s *Store) Run(ctx context.Context) error {
	if s.options.Dir == "" {
		<-ctx.Done()
		return nil
	}
	s.log(nil, s.Problems())
	s.Reload() // has the copies written
	w := watcher{store: s}
	defer w.close()
	w.open()
	tick := time.NewTicker(s.lookout)
	defer tick.Stop()
	settled := time.NewTimer(0)
	settled.Stop()
	var first time.Time // of the events since the last look
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-w.events():
			if !ok {
				w.close()
				continue
			}
			now := time.Now()
			if first.IsZero() {
				first = now
			}
			settled.Reset(min(quiet, max(0, first.Add(patient).Sub(now))))
		case err := <-w.errors(): // events may be lost
			w.report(err)
			settled.Reset(quiet)
		case <-settled.C:
			first = time.Time{}
			w.open() // there may be another directory
			s.Reload()
		case <-tick.C:
			w.open()
			if s.seen() != fingerprint(s.options.Dir) {
				s.Reload()
			}
		}
	}
}

// seen is the fingerprint of the last look.
func (s *Store) seen() string {
	s.looking.Lock()
	defer s.looking.Unlock()
	return s.print
}

// watcher hears of changes in the directory, as long as it is there.
type watcher struct {
	store   *Store
	watch   *fsnotify.Watcher
	at      os.FileInfo // the directory that is watched
	refused string      // why none is, as it was reported
}

func (w *watcher) events() chan fsnotify.Event {
	if w.watch == nil {
		return nil
	}
	return w.watch.Events
}

func (w *watcher) errors() chan error {
	if w.watch == nil {
		return nil
	}
	return w.watch.Errors
}

// open watches the directory that is there now.
func (w *watcher) open() {
	dir := w.store.options.Dir
	at, err := os.Stat(dir)
	if err != nil {
		w.close()
		return
	}
	if w.watch != nil && os.SameFile(at, w.at) {
		return
	}
	w.close()
	watch, err := fsnotify.NewWatcher()
	if err == nil {
		if err = watch.Add(dir); err != nil {
			err = errors.Join(err, watch.Close())
		}
	}
	if err != nil {
		w.report(err)
		return
	}
	w.watch, w.at, w.refused = watch, at, ""
}

func (w *watcher) close() {
	if w.watch != nil {
		_ = w.watch.Close()
	}
	w.watch, w.at = nil, nil
}

// report says once that events are missing: every look at the directory still finds what changed.
func (w *watcher) report(err error) {
	if w.store.options.Logger == nil || err == nil || err.Error() == w.refused {
		return
	}
	w.refused = err.Error()
	w.store.options.Logger.Warn("changes of policy files are seen late, within some seconds", "dir", w.store.options.Dir, "err", err)
}
