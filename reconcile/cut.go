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
	hurry   chan struct{} // an address is gone, which the next container may have soon; or the table was open

	mu    sync.Mutex
	state State       // followed last
	last  nft.Ruleset // likewise
	known bool        // whether there is one
	doubt bool        // something is denied that last does not know of
	fresh bool        // no pass has succeeded since there was no table
	due   bool        // one will be due
	gone  map[netip.Addr]departure
	since map[string]time.Time // when a container, by ID, was first followed
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
	return &Cutter{options: o, wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1), gone: map[netip.Addr]departure{}, since: map[string]time.Time{}, fresh: o.Fresh}, nil
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
		if err != nil && !sameError(last, err) && !errors.Is(err, errLater) {
			c.options.Logger.Error("flows that are not allowed go on; trying again", "err", err)
		}
		last = err
		rest := max(cutRest, cutShare*time.Since(began))
		if err != nil {
			rest = max(cutRetry, rest)
			c.again()
		}
		c.rest(ctx, rest)
	}
}

// rest waits; once it has waited a little it ends when there is a hurry.
func (c *Cutter) rest(ctx context.Context, d time.Duration) {
	if !pause(ctx, min(d, cutRest), nil) {
		return
	}
	pause(ctx, d-min(d, cutRest), c.hurry)
}

// pause waits and says whether it has to its end.
func pause(ctx context.Context, d time.Duration, until <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-until:
		return false
	case <-timer.C:
		return true
	}
}

func (c *Cutter) again() { signal(c.wake) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// pass judges all flows, first by what was committed last, which costs little, and what that denies once more by what is
// allowed now: later than the flows were listed, so that one to an address that was just learned is not taken for an
// old one.
func (c *Cutter) pass() error {
	t := c.begin()
	later := false
	n, err := c.options.Flows(func(all []flows.Flow) []int {
		j := newJudge(t.state, t.rules, t.fresh)
		if !t.doubt && len(choose(all, t.over(j), j).flows) == 0 {
			return nil
		}
		state, rules := c.options.Now()
		j = newJudge(state, rules, t.fresh)
		j.spared = c.spared(unsettled(state), time.Now())
		these := choose(all, t.over(j), j)
		later = these.later
		if err := c.options.Keep(these.keep); err != nil {
			c.options.Logger.Warn("a far side that goes on sending may bring back a flow that is cut", "err", err)
		}
		return these.flows
	})
	if n > 0 {
		c.options.Logger.Info("flows cut that are not allowed any more", "flows", n)
	}
	c.end(t, n, later, err)
	if err == nil && later {
		err = errLater
	}
	return err
}

// errLater asks for another pass.
var errLater = errors.New("some names are not known yet")

// departure is when an address ceased to be a container's, and whether its flows were cut since.
type departure struct {
	at  time.Time
	cut bool
}

// task is what one pass is to do.
type task struct {
	state        State
	rules        nft.Ruleset
	gone         map[netip.Addr]departure
	doubt, fresh bool
}

// tenancy is how long after an address was another container's its flows may still be that one's.
const tenancy = time.Second

// over are the addresses whose flows have to end: all, or where it is false, what a far side has begun again. The flows of
// one that somebody else has had for a while are his, and what he has opened since the first pass is.
func (t task) over(j *judge) map[netip.Addr]bool {
	out := make(map[netip.Addr]bool, len(t.gone))
	for a, d := range t.gone {
		if d.cut || len(j.holders[a]) == 0 || time.Since(d.at) <= tenancy {
			out[a] = !d.cut
		}
	}
	return out
}

// begin takes what there is to do. An address that is gone is looked at twice: Docker ends flows too, and one that it ended
// just before the first time is not seen then, while its far side goes on.
func (c *Cutter) begin() task {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := task{c.state, c.last, map[netip.Addr]departure{}, c.doubt, c.fresh}
	c.doubt = false
	for a, d := range c.gone {
		if !d.cut || time.Since(d.at) >= tenancy {
			t.gone[a] = d
			delete(c.gone, a)
		}
	}
	return t
}

// end takes back what a pass was to do and could not.
func (c *Cutter) end(t task, cut int, later bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut += uint64(cut)
	c.doubt = c.doubt || later
	c.doubt = c.doubt || err != nil && t.doubt
	c.fresh = c.fresh && (later || err != nil)
	second := false
	for a, d := range t.gone {
		if err == nil && d.cut {
			continue
		}
		if _, again := c.gone[a]; again {
			continue
		}
		d.cut = d.cut || err == nil
		c.gone[a] = d
		second = second || err == nil
	}
	if second {
		time.AfterFunc(tenancy, c.again)
	}
}

// spareFor is how long after it was seen first a container is spared because names of its policy are not known.
const spareFor = 30 * time.Second

// spared are those of some containers that were first followed a short while ago.
func (c *Cutter) spared(ids map[string]bool, now time.Time) map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range ids {
		if since, ok := c.since[id]; !ok || now.Sub(since) > spareFor {
			delete(ids, id)
		}
	}
	return ids
}

// chosen are flows that have to end, by their indexes, and what could bring them back.
type chosen struct {
	flows []int
	keep  []nft.Cut
	later bool // others may have to, once more is known
}

// choose picks the flows that are denied, and of addresses that are gone all, whoever opened them, or where it is false
// what a far side has begun again. It could bring back what it has not opened itself, but for TCP and ICMP: its segments
// are stray, and so are answers.
func choose(all []flows.Flow, gone map[netip.Addr]bool, j *judge) chosen {
	var out chosen
	if j.rules.DryRun {
		return out
	}
	for i, f := range all {
		opened, cut := j.cuts(f)
		if cut && j.sparing(opened) {
			out.later, cut = true, false
		}
		byContainer := cut
		whole, left := gone[f.To.Addr()]
		switch {
		case gone[f.Src.Addr()]:
			opened, cut, byContainer = f, true, true
		case left && !cut && (whole || fromServer(f)): // Docker may have ended it before us, and the far side have begun it again
			opened, cut, byContainer = f.Turned(), true, fromServer(f)
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
