package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dockerwall/dockerwall/nft"
)

// Kernel is the table as the loop needs it.
type Kernel interface {
	// Apply makes the table equal to the ruleset, or leaves it as it was.
	Apply(nft.Ruleset) (nft.Report, error)
	// Fences says whether a table stands and does something, whoever made it.
	Fences() (bool, error)
	// Learn adds addresses to the sets of the ruleset applied last.
	Learn([]nft.Learned) error
	// ApplyTap has DNS answers stopped, or no longer.
	ApplyTap(nft.Tap) error
}

// Options are what a Loop works with. All of Gather and Kernel are required.
type Options struct {
	Gather Gather
	Kernel Kernel
	Settle time.Duration // from the first kick to the run; 1 ms
	Retry  time.Duration // after the first failure, doubled up to 32 times; 100 ms
	Resync time.Duration // between full listings; 1 min
	Logger *slog.Logger
	// Leaving is told of containers whose counters the coming commit deletes.
	Leaving func([]nft.Container)
	// Losing is told of containers that stay and lose endpoints in the coming commit, each with these endpoints only.
	Losing func([]nft.Container)
	// Unseated is told of what was committed while the Engine does not answer: ports are gone, or files or people say something else.
	Unseated func(Outcome)
	// Done is told of every run. All four are called from the loop's goroutine.
	Done func(Outcome)
	// Denied is told that Learn has committed addresses that are denied. It must not block.
	Denied func()
	// Repaired is told, from the loop's goroutine, that a commit has undone what a stranger may have done to the table:
	// conntrack knows what began meanwhile. It must not wait for the loop.
	Repaired func()
	// StandFirst makes a table stand before the Engine is asked for the first time, which may itself be waiting for us:
	// the one in the kernel, or the boot ruleset. Without it the boot ruleset waits for an Engine that does not answer.
	StandFirst bool
	// Remembered is what is committed instead of the boot ruleset, see [Reboot] and [Resume]; false where nothing is known
	// that holds in this boot of the host. Nil knows nothing.
	Remembered func() (nft.Ruleset, bool)
	// Standing is told once, from the loop's goroutine: from now on a table stands that fences.
	Standing func()
	// Alive is told from the loop's goroutine at each run and, between runs and while the Engine is asked, each Beat.
	Alive func()
	Beat  time.Duration // 1 s
}

// Outcome is what one run came to. After an error, State to Problems are those of the last good run.
type Outcome struct {
	State    State
	Ruleset  nft.Ruleset
	Problems []Problem
	Report   nft.Report
	Err      error
	Refused  bool  // Err is the kernel's
	TapErr   error // of a tap that could not be applied; the fence stands without
	At       time.Time
}

// Loop runs reconciliation. It is made by [New] and driven by [Loop.Run].
type Loop struct {
	options Options
	kick    chan struct{}
	damaged chan struct{} // by a stranger
	moved   chan struct{} // ports are gone
	changed chan struct{} // files or people say something else

	standing bool       // Standing was told
	booted   *booted    // nil if the boot ruleset was not committed
	silent   bool       // the Engine failed, or has not answered for a while
	held     bool       // the last state was committed again when the Engine failed last
	emptied  bool       // ports have gone since the Engine was heard last
	repaired nft.Report // what was repaired since the last outcome
	tap      atomic.Pointer[TapSetting]

	// learning is held from the look at what names mean to the end of the commit that is built from it: what
	// is learned meanwhile waits, or that commit would take it away again.
	learning lock
	index    index
	waiting  []chan struct{} // answers that need a whole commit
	ended    bool            // there is no run to wait for
	// committed is what the table in the kernel was built from; learning guards it.
	committed State

	mu    sync.Mutex
	last  Outcome
	good  bool         // a run has succeeded
	asked []chan error // who waits for a run to begin and end; nil once the loop has ended
}

// New checks the options.
func New(o Options) (*Loop, error) {
	if g := o.Gather; o.Kernel == nil || g.Engine == nil || g.Resolver == nil || g.Interfaces == nil {
		return nil, errors.New("reconcile: Kernel, Engine, Resolver and Interfaces are required")
	}
	setDefault(&o.Settle, time.Millisecond)
	setDefault(&o.Retry, 100*time.Millisecond)
	setDefault(&o.Resync, time.Minute)
	setDefault(&o.Beat, time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	for _, told := range []*func(Outcome){&o.Done, &o.Unseated} {
		if *told == nil {
			*told = func(Outcome) {}
		}
	}
	if o.Remembered == nil {
		o.Remembered = func() (nft.Ruleset, bool) { return nft.Ruleset{}, false }
	}
	for _, told := range []*func(){&o.Denied, &o.Repaired, &o.Standing, &o.Alive} {
		if *told == nil {
			*told = func() {}
		}
	}
	for _, told := range []*func([]nft.Container){&o.Leaving, &o.Losing} {
		if *told == nil {
			*told = func([]nft.Container) {}
		}
	}
	return &Loop{options: o, kick: make(chan struct{}, 1), damaged: make(chan struct{}, 1), moved: make(chan struct{}, 1), changed: make(chan struct{}, 1), learning: make(lock, 1), index: newIndex(), asked: []chan error{}}, nil
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

// Kick asks for a run soon. It never blocks; kicks before that run merge into it.
func (l *Loop) Kick() { wake(l.kick) }

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Repair asks for the last ruleset to be committed again, without waiting for an Engine that may not answer, and for a
// run after that: a stranger has changed the table.
func (l *Loop) Repair() {
	wake(l.damaged)
	l.Kick()
}

// Moved asks for the endpoints whose ports are gone to be taken from the table, without waiting for an Engine that may not
// answer, and for a run after that.
func (l *Loop) Moved() {
	wake(l.moved)
	l.Kick()
}

// Changed asks for what files and people say now to be committed, without waiting for an Engine that does not answer, and for a
// run after that.
func (l *Loop) Changed() {
	wake(l.changed)
	l.Kick()
}

// Last returns the newest outcome, and whether any run has succeeded yet.
func (l *Loop) Last() (Outcome, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last, l.good
}

// Run reconciles until ctx is done, then returns nil. The first run starts at once; it is not kept
// waiting by an Engine that does not answer: then, on a host without a table, the boot ruleset fences
// what may be Docker's. It is an error if the table was removed, or is another process's.
func (l *Loop) Run(ctx context.Context) error {
	defer l.end()
	defer l.leave()
	resync := time.NewTicker(l.options.Resync)
	defer resync.Stop()
	if l.options.StandFirst {
		_, _ = l.hold() // an error comes again in the first run
	}
	wait := time.Duration(0)
	failures := 0
	for {
		if !l.sleep(ctx, wait, failures > 0) {
			return nil
		}
		asked := l.begin()
		outcome := l.run(ctx)
		switch {
		case ctx.Err() != nil:
			tell(asked, errEnded)
			return nil
		case errors.Is(outcome.Err, nft.ErrRemoved), errors.Is(outcome.Err, nft.ErrOwned) && failures >= dying:
			tell(asked, outcome.Err)
			return outcome.Err
		}
		l.note(outcome)
		tell(asked, l.unmet(outcome))
		if outcome.Err != nil {
			wait = l.options.Retry << min(failures, 5)
			failures++
			continue
		}
		failures = 0
		ended := time.Now()
		if !l.await(ctx, resync.C) {
			return nil
		}
		// A busy host may kick without end: leave as much time between runs as one takes. After a rest that has passed.
		wait = max(l.options.Settle, min(outcome.Report.Took, 5*time.Millisecond)-time.Since(ended))
	}
}

// await waits for a kick, or for the next full listing. It is false when ctx is done.
func (l *Loop) await(ctx context.Context, resync <-chan time.Time) bool {
	beat := time.NewTicker(l.options.Beat)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-l.kick:
			return true
		case <-resync:
			l.options.Gather.Engine.Invalidate()
			return true
		case <-beat.C:
			l.options.Alive()
		}
	}
}

// dying is how many failures in a row an earlier owner of the table has to be gone, if it is just ending.
const dying = 3

// sleep waits, and repairs meanwhile; kicks cannot push the run back. After a failure, one ends the wait: the Engine may be
// there again.
func (l *Loop) sleep(ctx context.Context, d time.Duration, retry bool) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	if retry && d > l.options.Retry {
		if !l.sleep(ctx, l.options.Retry, false) { // however often it is kicked
			return false
		}
		d -= l.options.Retry
	}
	kick := l.kick
	if !retry {
		kick = nil
	}
	timer, beat := time.NewTimer(d), time.NewTicker(l.options.Beat)
	defer timer.Stop()
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-beat.C:
			l.options.Alive()
		case <-timer.C:
			return true
		case <-kick:
			return true
		case <-l.damaged:
			l.repair()
		case <-l.moved:
			l.unseat()
		}
	}
}

// run takes the state, builds and commits.
func (l *Loop) run(ctx context.Context) Outcome {
	select { // what is kicked from here on is seen by this run or makes another
	case <-l.kick:
	default:
	}
	l.options.Alive()
	state, err := l.look(ctx)
	var outcome Outcome
	l.silent, l.emptied = err != nil, l.emptied && err != nil
	if err != nil {
		report, held := l.hold()
		outcome = l.failed(errors.Join(err, held))
		outcome.Report, l.held = report, held == nil
	} else {
		l.options.Gather.overlaid(&state) // which may be committed already, see overlay
		outcome = l.commit(state)
	}
	outcome.Report = l.repaired.Plus(outcome.Report)
	l.repaired = nft.Report{}
	return outcome
}

// repair commits the last ruleset again. An error comes again with the next run.
func (l *Loop) repair() {
	report, _ := l.hold()
	l.repaired = l.repaired.Plus(report)
}
