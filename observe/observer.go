package observe

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/dockerwall/dockerwall/droplog"
	"github.com/dockerwall/dockerwall/nft"
)

// How often an [Observer] reads.
const (
	// Pause is the least time from a reading that found something to the next: no destination is told of twice in it.
	Pause  = time.Second
	glance = 100 * time.Millisecond // the same after one that found nothing
	idle   = 30 * time.Second       // between readings that nothing asks for
	effort = 5                      // a reading takes at most one part in so many of the time
)

// The bounds of readings.
const (
	maxSightings = 64 // packets of nobody we know that are told apart
	maxGrown     = 64 // records read; one may have 2,048 destinations
	// maxHeld is how many destinations the ledger takes in while the loop waits, one record at least: some milliseconds.
	maxHeld = 1024
	// maxWaiting bounds what a sink that hangs keeps waiting; then the oldest are lost.
	maxWaiting = 2 * maxGrown * 2048
	// maxLeaving is how long records of leaving containers are read, for a commit waits, and with it DNS answers. What is in
	// the others is told without a destination.
	maxLeaving = 50 * time.Millisecond
	atOnce     = 4 // of them; a full one takes some milliseconds
)

// Kernel is where counters are read; *nft.Kernel is one.
type Kernel interface {
	Counters() (nft.Counters, error)
	CountersOf(nft.Container) (nft.Counters, error)
	Records(ids []string) (map[string][]nft.Denial, error)
}

// Options of an [Observer]. Kernel and View are required.
type Options struct {
	Kernel Kernel
	// View is asked once for each reading that found something; false while nobody knows yet, and then nothing is read.
	View func() (View, bool)
	// Sinks get what is new, in this order, from one goroutine at a time. While one blocks nothing is told; what then waits
	// is bounded. Each may fill in what it knows for those after it, such as First and ID.
	Sinks []func([]Denial)
	// Watched says whether somebody waits for Denials: then it reads every second. Nil is never.
	Watched  func() bool
	Baseline *Baseline    // see [NewLedger]
	Logger   *slog.Logger // nil discards
}

// batch is what one reading found, and who was who then.
type batch struct {
	denials []Denial
	view    View
}

// View is what is known of containers and addresses at one moment.
type View struct {
	// Container is who has a 12-digit ID; false when nobody has, or it is not known yet: its counts then wait.
	Container func(id string) (Container, bool)
	Names     func(netip.Addr) []string // the latest first
	// Own are those of names that a token for a subject may have, the best first; see [Store.Own]. Nil is all.
	Own func(s Subject, names []string) []string
	// Token is what would allow a target, "" when nothing would, and whether it is the host's own.
	Token  func(t Target, names []string) (token string, host bool)
	DryRun bool
}

// Container is who a container is.
type Container struct {
	ID      string // 64 hex digits
	Subject Subject
	Audit   bool // what its policy denies passes
}

// Observer reads what the kernel counted and tells what is new. Its methods may be called from anywhere.
type Observer struct {
	opt  Options
	kick chan struct{}

	seen   sightings
	rounds rounds

	// delivery is held while sinks are told. It comes before mu.
	delivery sync.Mutex

	// mu is held while the ledger changes, never while the kernel is asked or sinks are told: the loop waits for it.
	mu      sync.Mutex
	ledger  *Ledger
	turn    string          // 12-digit ID of the container whose record is to be read next, when they are many
	waiting []batch         // for the sinks, maxWaiting Denials at most
	leaving []string        // 12-digit IDs of containers whose counters the coming commit deletes
	left    map[string]bool // that left since the reading under way began: what it has of them is old
	failed  string          // the error told last
	ended   bool            // the table may be gone
}

// NewObserver checks opt.
func NewObserver(opt Options) (*Observer, error) {
	if opt.Kernel == nil || opt.View == nil {
		return nil, errors.New("observe: Options.Kernel and Options.View are required")
	}
	if opt.Watched == nil {
		opt.Watched = func() bool { return false }
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	return &Observer{opt: opt, kick: make(chan struct{}, 1), ledger: NewLedger(opt.Baseline), left: map[string]bool{}}, nil
}

// Run reads until ctx is done, and once more then: at once when kicked, every second while somebody watches, else every
// 30 seconds. A reading that found something is followed by the next after a second at the earliest.
func (o *Observer) Run(ctx context.Context) error {
	for {
		began := time.Now()
		rest := glance
		if o.Read() {
			rest = Pause
		}
		took := time.Since(began)
		if !o.wait(ctx, max(rest-took, effort*took)) {
			break
		}
	}
	o.mu.Lock()
	o.ended = true
	o.mu.Unlock()
	o.Read()
	return nil
}

// wait rests, and then waits for a reason to read.
func (o *Observer) wait(ctx context.Context, rest time.Duration) bool {
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	}
	next := idle
	if o.opt.Watched() {
		next = Pause
	}
	timer.Reset(max(next-rest, 0))
	select {
	case <-ctx.Done():
		return false
	case <-o.kick:
	case <-timer.C:
	}
	return true
}

// Kick asks for a reading soon. It never blocks.
func (o *Observer) Kick() {
	select {
	case o.kick <- struct{}{}:
	default:
	}
}

// Drop is told of a packet that nflog showed. It never blocks.
func (o *Observer) Drop(d droplog.Drop) {
	p, ours := droplog.ParsePrefix(d.Prefix)
	if !ours {
		return
	}
	if p.Chain == droplog.NoChain {
		o.seen.add(p, d)
	}
	o.Kick()
}

// Leaving counts what containers were denied whose counters the coming commit deletes; it is told soon. What is denied from
// then to the commit is not.
func (o *Observer) Leaving(containers []nft.Container) {
	view, known := o.opt.View()
	if !known {
		return
	}
	r := Reading{Partial: true, Time: time.Now()}
	for _, c := range containers {
		counters, err := o.opt.Kernel.CountersOf(c)
		if err != nil {
			o.report(err)
			continue
		}
		r.Parts = append(r.Parts, counters.Parts...)
	}
	o.mu.Lock()
	grown := o.ledger.Grown(r.Parts)
	o.mu.Unlock()
	r.Records = o.lastRecords(grown)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.leaving = nil
	for _, c := range containers {
		o.left[c.ID] = true
		o.leaving = append(o.leaving, c.ID)
	}
	o.add(o.ledger.Take(r), view)
	if len(o.waiting) > 0 {
		o.Kick()
	}
}

// lastRecords are the records of leaving containers, as many as there is time for.
func (o *Observer) lastRecords(ids []string) map[string][]nft.Denial {
	out := map[string][]nft.Denial{}
	began := time.Now()
	for some := range slices.Chunk(ids, atOnce) {
		if time.Since(began) >= maxLeaving {
			break
		}
		records, err := o.opt.Kernel.Records(some)
		o.report(err)
		maps.Copy(out, records)
	}
	return out
}

// Committed says that a commit has succeeded: what was leaving is gone.
func (o *Observer) Committed() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, id := range o.leaving {
		o.ledger.Forget(id)
		o.left[id] = true
	}
	o.leaving = nil
	if !o.ledger.Begun() {
		o.Kick()
	}
}

// Refused says that a commit has failed: what was leaving is there still, and may stay.
func (o *Observer) Refused() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.leaving = nil
}

// Settled calls do with what the sinks have been told so far, while they are told nothing: what they have is exactly that. It
// must not be called by a sink.
func (o *Observer) Settled(do func(Baseline)) { o.deliver(do) }
