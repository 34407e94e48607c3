package main

import (
	"sync/atomic"

	"github.com/dockerwall/dockerwall/hold"
	"github.com/dockerwall/dockerwall/metrics"
	"github.com/dockerwall/dockerwall/resolver"
)

// replyCounts are replies by what came of them.
type replyCounts struct {
	learned atomic.Uint64 // names that somebody wants
	nothing atomic.Uint64 // names that nobody wants, or without addresses
	other   atomic.Uint64 // no answer about addresses
	unread  atomic.Uint64 // could not be read to their end
	unasked atomic.Uint64 // of these, not asked for: too many were
}

func (c *replyCounts) byResult() map[string]uint64 {
	return map[string]uint64{
		"learned": c.learned.Load(), "nothing": c.nothing.Load(), "other": c.other.Load(), "unread": c.unread.Load(),
	}
}

// snapshot is what there is to say about answers for one scrape.
func (a *answers) snapshot(asked resolver.Counters) metrics.DNS {
	out := metrics.DNS{
		Mode: a.modeName(), Replies: a.results.byResult(), Refused: asked.Refused,
		Learned: asked.Learned, Cut: asked.Cut, Evicted: asked.Evicted,
		Errors: map[string]uint64{"verdict": 0, "overrun": 0, "internal": 0, "unasked": a.results.unasked.Load()}, Held: map[float64]uint64{},
	}
	for i, bound := range hold.Bounds() {
		out.Held[bound] = 0
		for _, c := range a.holding() {
			if i < len(c.Held) {
				out.Held[bound] += c.Held[i]
			}
		}
	}
	for _, c := range a.holding() {
		out.Late += c.Late
		out.HeldCount += c.Released + c.Late
		out.HeldSum += c.HeldSum.Seconds()
		out.Errors["verdict"] += c.Errors
		out.Errors["overrun"] += c.Overruns
		out.Errors["internal"] += c.Panics
	}
	if q, found, err := hold.ReadQueue(a.number); err == nil && found {
		out.Waiting, out.Dropped = q.Waiting, q.Dropped+q.UserDropped
	}
	return out
}

// holding is the counts of all ways that were tried.
func (a *answers) holding() []hold.Counts {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]hold.Counts, 0, len(a.counts))
	for _, counts := range a.counts {
		out = append(out, counts())
	}
	return out
}
