package reconcile

import (
	"time"

	"github.com/dockerwall/dockerwall/nft"
)

// Follow is told of each ruleset once it is committed, in their order. The first one judges every flow. It does not block.
func (c *Cutter) Follow(s State, r nft.Ruleset) {
	c.mu.Lock()
	defer c.mu.Unlock()
	tighter, admits, gone := !c.known || r.Tightens(c.last), r.Admits(c.last), r.Gone(c.last)
	c.state, c.last, c.known = s, r, true
	c.meet(r.Containers)
	switch {
	case r.DryRun:
		return
	case !tighter && len(gone) == 0:
		if admits {
			c.soon()
		}
		return
	}
	for _, a := range gone {
		c.gone[a] = departure{at: time.Now()}
	}
	if len(gone) > 0 {
		signal(c.hurry)
	}
	c.again()
}

// admission is how long after somebody has come to a fenced bridge the flows are judged. While he was nobody's, an address's
// packets were denied, so none is expected; and to list flows takes 6 ms of a core on a host without any (262,144 buckets,
// measured), at the very moment when many come.
const admission = 2 * time.Second

// soon has a pass made after a while, one for all who come until then. The caller holds mu.
func (c *Cutter) soon() {
	if c.due {
		return
	}
	c.due = true
	time.AfterFunc(admission, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.due = false
		c.again()
	})
}

// meet notes when containers were first followed, and forgets those that are gone.
func (c *Cutter) meet(containers []nft.Container) {
	since := make(map[string]time.Time, len(containers))
	for i := range containers {
		id := containers[i].ID
		since[id] = time.Now()
		if before, ok := c.since[id]; ok {
			since[id] = before
		}
	}
	c.since = since
}

// Suspect has all flows judged, because something is denied that was not. It does not block.
func (c *Cutter) Suspect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doubt = true
	c.again()
}

// Hurry has the next look at flows not wait for the rest that follows the one before. It does not block.
func (c *Cutter) Hurry() { signal(c.hurry) }

// Breached has all flows judged at once, because the table was open for a while. It does not block.
func (c *Cutter) Breached() {
	c.Suspect()
	signal(c.hurry)
}
