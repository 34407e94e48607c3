package main

import (
	"fmt"

	"github.com/dockerwall/dockerwall/reconcile"
)

// maxChanges is how many containers a change of policy is logged of, one by one.
const maxChanges = 50

// changes logs what became different for containers that stay, since the last commit.
type changes struct{ last *reconcile.State }

// report is called with each state that is committed.
func (f *fence) reportChanges(now reconcile.State) {
	last := f.changes.last
	f.changes.last = &now
	if last == nil {
		return
	}
	list := reconcile.Changes(*last, now)
	for _, c := range list[:min(len(list), maxChanges)] {
		facts := []any{"container", c.Container.Name}
		if len(c.Added) > 0 {
			facts = append(facts, "added", sourced(c.Added))
		}
		if len(c.Removed) > 0 {
			facts = append(facts, "removed", sourced(c.Removed))
		}
		if c.Was != c.Mode {
			facts = append(facts, "mode", fmt.Sprintf("%s, was %s", c.Mode, c.Was))
		}
		if c.Rejects != c.Rejected {
			facts = append(facts, "deny", fmt.Sprintf("%s, was %s", denyWord(c.Rejects), denyWord(c.Rejected)))
		}
		f.logger.Info("policy changed", facts...)
	}
	if more := len(list) - maxChanges; more > 0 {
		f.logger.Info("policies of more containers changed", "containers", more)
	}
}

// maxToldTokens bounds one line of the log.
const maxToldTokens = 30

// sourced are tokens with where they stand.
func sourced(list []reconcile.Sourced) (out []string) {
	for _, t := range list[:min(len(list), maxToldTokens)] {
		out = append(out, fmt.Sprintf("%s (%s)", t.Token, t.Origin))
	}
	if more := len(list) - len(out); more > 0 {
		out = append(out, fmt.Sprintf("%d more", more))
	}
	return out
}

func denyWord(reject bool) string {
	if reject {
		return "reject"
	}
	return "drop"
}
