package observe

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
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

// maxSightings bounds what is told apart of packets of nobody we know, of one reading.
const maxSightings = 64

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
	// Sinks get what is new, in this order, from one goroutine at a time. They must not block. Each may fill in what it
	// knows for those after it, such as First and ID.
	Sinks []func([]Denial)
	// Watched says whether somebody waits for Denials: then it reads every second. Nil is never.
	Watched  func() bool
	Baseline *Baseline    // see [NewLedger]
	Logger   *slog.Logger // nil discards
}

// View is what is known of containers and addresses at one moment.
type View struct {
	// Container is who has a 12-digit ID; false when nobody has, or it is not known yet: its counts then wait.
	Container func(id string) (Container, bool)
	Names     func(netip.Addr) []string // the latest first
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

	seen sightings

	// mu is held while the ledger changes and sinks are told, never while the kernel is asked.
	mu      sync.Mutex
	ledger  *Ledger
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

// Read reads once, tells the sinks what is new, and returns whether there was anything. Only Run and tests call it.
func (o *Observer) Read() bool {
	o.mu.Lock()
	clear(o.left)
	o.mu.Unlock()
	view, known := o.opt.View()
	if !known {
		return false
	}
	r := Reading{Sightings: o.seen.take()}
	counters, err := o.opt.Kernel.Counters()
	if err != nil {
		o.report(err)
		return false
	}
	r.Time, r.Reasons = time.Now(), counters.Reasons
	for _, p := range counters.Parts {
		if _, ok := view.Container(p.ID); ok {
			r.Parts = append(r.Parts, p)
		}
	}
	o.mu.Lock()
	grown := o.ledger.Grown(r.Parts)
	o.mu.Unlock()
	if len(grown) > 0 {
		r.Records, err = o.opt.Kernel.Records(grown)
	}
	o.report(err)
	o.mu.Lock()
	defer o.mu.Unlock()
	r.without(o.left)
	return o.tell(o.ledger.Take(r), view)
}

// report says once that something could not be read.
func (o *Observer) report(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	o.mu.Lock()
	said, ended := o.failed, o.ended
	o.failed = text
	o.mu.Unlock()
	if err != nil && text != said && !ended {
		o.opt.Logger.Warn("denials not read; they are told when they can be", "err", err)
	}
}

// without takes away what is old.
func (r *Reading) without(left map[string]bool) {
	parts := r.Parts[:0]
	for _, p := range r.Parts {
		if !left[p.ID] {
			parts = append(parts, p)
		}
	}
	r.Parts = parts
}

// tell completes Denials and hands them to the sinks. The caller holds the lock.
func (o *Observer) tell(denials []Denial, view View) bool {
	if len(denials) == 0 {
		return false
	}
	for i := range denials {
		view.complete(&denials[i])
	}
	for _, sink := range o.opt.Sinks {
		sink(denials)
	}
	return true
}

// complete fills in who, names and token.
func (v View) complete(d *Denial) {
	d.Audit = v.DryRun
	if d.ContainerID != "" {
		if c, ok := v.Container(d.ContainerID); ok {
			d.ContainerID, d.Subject, d.Audit = c.ID, c.Subject, v.DryRun || c.Audit
		}
	}
	if !d.Target.Dst.IsValid() {
		return
	}
	d.Names = v.Names(d.Target.Dst)
	token, host := v.Token(d.Target, d.Names)
	d.Host = host
	if d.Reason == string(nft.Denied) {
		d.Token = token
	}
}

// Leaving tells what containers were denied whose counters the coming commit deletes. What is denied from then to the
// commit is not told.
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
	if len(grown) > 0 {
		var err error
		r.Records, err = o.opt.Kernel.Records(grown)
		o.report(err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.leaving = o.leaving[:0]
	for _, c := range containers {
		o.left[c.ID] = true
		o.leaving = append(o.leaving, c.ID)
	}
	o.tell(o.ledger.Take(r), view)
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
	if !o.ledger.begun {
		o.Kick()
	}
}

// Settled calls do with what has been told so far while nothing is being told: what sinks have is exactly that.
func (o *Observer) Settled(do func(Baseline)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	do(o.ledger.Baseline())
}
