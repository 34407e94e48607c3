package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/dockerwall/dockerwall/flows"
	"github.com/dockerwall/dockerwall/nft"
)

// CutterOptions are what a Cutter works with; all are required but Logger.
type CutterOptions struct {
	// Flows is flows.Cut.
	Flows func(choose func([]flows.Flow) []int) (int, error)
	// Keep has flows stay cut; it is called before they end.
	Keep func([]nft.Cut) error
	// Now is what is committed, with all that is known to be allowed at the moment of the call; see [Loop.Now]. Only what
	// it denies is cut.
	Now func() (State, nft.Ruleset)
	// Fresh says that no table stood before the first commit.
	Fresh  bool
	Logger *slog.Logger
}

// Cutter ends the flows that containers opened and that the table does not allow any more: conntrack would let them go
// on. It also ends all flows of an address that a container had, so that the next one there inherits none. It works
// beside the loop, off the path of a commit.
type Cutter struct {
	options CutterOptions
	wake    chan struct{}

	mu    sync.Mutex
	state State       // followed last
	last  nft.Ruleset // likewise
	known bool        // whether there is one
	doubt bool        // something is denied that last does not know of
	fresh bool        // no pass has succeeded since there was no table
	gone  map[netip.Addr]bool
	cut   uint64
}

// NewCutter checks the options.
func NewCutter(o CutterOptions) (*Cutter, error) {
	if o.Flows == nil || o.Keep == nil || o.Now == nil {
		return nil, errors.New("reconcile: Flows, Keep and Now are required")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Cutter{options: o, wake: make(chan struct{}, 1), gone: map[netip.Addr]bool{}, fresh: o.Fresh}, nil
}

// Follow is told of each ruleset once it is committed, in their order. The first one judges every flow. It does not block.
func (c *Cutter) Follow(s State, r nft.Ruleset) {
	c.mu.Lock()
	defer c.mu.Unlock()
	tighter, gone := !c.known || r.Tightens(c.last), r.Gone(c.last)
	c.state, c.last, c.known = s, r, true
	if !tighter && len(gone) == 0 || r.DryRun {
		return
	}
	for _, a := range gone {
		c.gone[a] = true
	}
	c.again()
}

// Suspect has all flows judged, because something is denied that was not. It does not block.
func (c *Cutter) Suspect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doubt = true
	c.again()
}

// Count is how many flows were cut.
func (c *Cutter) Count() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cut
}

// How long a pass is followed by none: so much at least, and so many times as long as it took.
const (
	cutRest  = 50 * time.Millisecond
	cutShare = 20
	cutRetry = time.Second // after an error
)

// Run cuts until ctx is done, then returns nil.
func (c *Cutter) Run(ctx context.Context) error {
	var last error
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.wake:
		}
		began := time.Now()
		err := c.pass()
		if err != nil && !sameError(last, err) {
			c.options.Logger.Error("flows that are not allowed go on; trying again", "err", err)
		}
		last = err
		rest := max(cutRest, cutShare*time.Since(began))
		if err != nil {
			rest = max(cutRetry, rest)
			c.again()
		}
		timer := time.NewTimer(rest)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (c *Cutter) again() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// pass judges all flows, first by what was committed last, which costs little, and what that denies once more by what is
// allowed now: later than the flows were listed, so that one to an address that was just learned is not taken for an
// old one.
func (c *Cutter) pass() error {
	p := c.begin()
	n, err := c.options.Flows(func(all []flows.Flow) []int {
		if !p.doubt && len(choose(all, p.gone, newJudge(p.state, p.rules, p.fresh)).flows) == 0 {
			return nil
		}
		state, rules := c.options.Now()
		these := choose(all, p.gone, newJudge(state, rules, p.fresh))
		if err := c.options.Keep(these.keep); err != nil {
			c.options.Logger.Warn("a far side that goes on sending may bring back a flow that is cut", "err", err)
		}
		return these.flows
	})
	if n > 0 {
		c.options.Logger.Info("flows cut that are not allowed any more", "flows", n)
	}
	c.end(p, n, err)
	return err
}

// task is what one pass is to do.
type task struct {
	state        State
	rules        nft.Ruleset
	gone         map[netip.Addr]bool
	doubt, fresh bool
}

func (c *Cutter) begin() task {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := task{c.state, c.last, c.gone, c.doubt, c.fresh}
	c.gone, c.doubt = map[netip.Addr]bool{}, false
	return t
}

// end takes back what a pass that failed was to do.
func (c *Cutter) end(t task, cut int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut += uint64(cut)
	if err == nil {
		c.fresh = false
		return
	}
	c.doubt = c.doubt || t.doubt
	for a := range t.gone {
		c.gone[a] = true
	}
}

// chosen are flows that have to end, by their indexes, and what could bring them back.
type chosen struct {
	flows []int
	keep  []nft.Cut
}

// choose picks the flows that are denied, and all of addresses that are gone, whoever opened them. Their far side could
// bring back what it has not opened itself, but for TCP and ICMP: its segments are stray, and so are answers.
func choose(all []flows.Flow, gone map[netip.Addr]bool, j *judge) chosen {
	var out chosen
	if j.rules.DryRun {
		return out
	}
	for i, f := range all {
		opened, cut := j.cuts(f)
		byContainer := cut
		switch {
		case gone[f.Src.Addr()]:
			opened, cut, byContainer = f, true, true
		case gone[f.To.Addr()] && !cut: // Docker may have ended it before us, and the far side have begun it again
			opened, cut, byContainer = f.Turned(), true, mayBe(f)
		}
		if cut {
			out.flows = append(out.flows, i)
		}
		if byContainer && f.Proto != nft.TCP && f.Proto != nft.ICMP && f.Proto != nft.ICMPv6 {
			out.keep = append(out.keep, nft.Cut{Container: opened.Src.Addr(), Far: opened.To.Addr(), Proto: f.Proto, Port: opened.To.Port()})
		}
	}
	return out
}
