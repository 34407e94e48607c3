package observe

import (
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/dockerwall/dockerwall/flows"
)

// How often flows are listed. A TCP connection stays in conntrack for 10 s (reset) to 120 s (closed), and UDP and ICMP for
// 30 s, nf_conntrack(5)'s defaults: hardly one that began and ended between two listings is missed, but for those of a
// container that is gone itself by then: the Engine has conntrack forget these. That is why containers that are new are
// looked at more often.
const (
	flowsEvery = 25 * time.Second
	flowsBrisk = 2 * time.Second
	briskFor   = 30 * time.Second
	// flowsShare is how many times as long as it took a listing is followed by none.
	flowsShare = 50
)

// The bounds of what is known of flows from one listing to the next: 8 bytes of each and some of the map's. Who has more
// than many loses his own; when all have more than most, only those with few go on.
const (
	manyFlows = 16 << 10 // of one container
	fewFlows  = 256
	mostFlows = 128 << 10
	allFlows  = 2 * mostFlows
)

// keepFlow is how many listings a flow is remembered for that is in none: one that was made while flows come and go may
// have missed it.
const keepFlow = 2

// ContactsOptions are the options of [Contacts]; all are required but Logger.
type ContactsOptions struct {
	// Flows is flows.Each.
	Flows func(func(flows.Seen)) error
	// View is who is who, asked before each listing; false while nobody knows.
	View func() (Whose, bool)
	// Known says whether an earlier daemon has told of such connections; see [Store.Reached].
	Known func(Opened) bool
	// Sink gets what was seen; see [Store.AddContacts].
	Sink   func(at time.Time, opened []Opened, lost map[Subject]uint64)
	Logger *slog.Logger // nil discards
}

// Whose says who opened a flow, and to where; false for what no container has opened, what stays on its network, and what
// passes although its policy denies it: that is told as a [Denial].
type Whose func(flows.Flow) (Owned, bool)

// Owned is a flow of a container.
type Owned struct {
	ID string // of the container
	Opened
}

// Contacts sees which connections containers open, by listing them. Each is counted once. It never asks the kernel about
// one of them, and holds up nobody.
type Contacts struct {
	opt  ContactsOptions
	seed maphash.Seed
	kick chan struct{}

	turn   sync.Mutex // held while flows are listed
	mu     sync.Mutex
	left   map[netip.Addr]Subject // who had an address since the listing before began
	brisk  time.Time              // until then
	seen   map[uint64]uint8       // listings since a flow was there, by its hash
	over   map[Subject]uint64     // too many in the listing before
	before bool                   // there was one
	failed string                 // the error told last
}

// NewContacts checks opt.
func NewContacts(opt ContactsOptions) (*Contacts, error) {
	if opt.Flows == nil || opt.View == nil || opt.Known == nil || opt.Sink == nil {
		return nil, errors.New("observe: Flows, View, Known and Sink are required")
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	return &Contacts{opt: opt, seed: maphash.MakeSeed(), kick: make(chan struct{}, 1), left: map[netip.Addr]Subject{}, seen: map[uint64]uint8{}}, nil
}

// Left is told that an address is not a container's any more, before anybody else's flows from there are asked about. What
// is seen for the first time after that may be of either, and is lost unless both are the same subject. It does not block.
func (c *Contacts) Left(a netip.Addr, of Subject) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if other, ok := c.left[a]; ok && other != of {
		of = Subject{} // nobody's alone
	}
	c.left[a] = of
}

// Joined is told that there are new containers. It does not block.
func (c *Contacts) Joined() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.brisk = time.Now().Add(briskFor)
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// Run lists until ctx is done, then returns nil.
func (c *Contacts) Run(ctx context.Context) error {
	for {
		began := time.Now()
		c.List()
		rest := max(flowsBrisk, flowsShare*time.Since(began))
		timer := time.NewTimer(rest)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		timer.Reset(max(0, c.every()-rest))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-c.kick:
			timer.Stop()
		case <-timer.C:
		}
	}
}

func (c *Contacts) every() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Now().Before(c.brisk) {
		return flowsBrisk
	}
	return flowsEvery
}

// List lists once.
func (c *Contacts) List() {
	c.turn.Lock()
	defer c.turn.Unlock()
	c.mu.Lock()
	gone := c.left
	c.left = map[netip.Addr]Subject{}
	c.mu.Unlock()
	whose, known := c.opt.View()
	if !known {
		return
	}
	l := listing{contacts: c, each: map[string]int{}, opened: map[opening]*tally{}, lost: map[Subject]uint64{}, over: map[Subject]uint64{}, gone: gone}
	err := c.opt.Flows(func(f flows.Seen) {
		if o, ok := whose(f.Flow); ok {
			l.add(f, o)
		}
	})
	c.report(err)
	l.end(err == nil)
}

// report says once that flows could not be listed.
func (c *Contacts) report(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if err != nil && text != c.failed {
		c.opt.Logger.Warn("what containers reach is not seen; trying again", "err", err)
	}
	c.failed = text
}
