package reconcile

import (
	"maps"
	"slices"
)

// Names are the exact names that the policies of s speak of, sorted: those to be asked for. Containers
// that have ended do not count, those about to start do.
func Names(s State) []string {
	seen := make(map[string]bool, len(s.Names))
	add := func(c compiled) {
		for _, list := range [][]named{c.allowNames, c.denyNames} {
			for _, n := range list {
				if !n.pattern.Wild() {
					seen[n.pattern.Name()] = true
				}
			}
		}
	}
	add(compile(s.Config.Default))
	for _, c := range s.Docker.Containers {
		if !ended(c) {
			add(s.labels(c).outbound)
		}
	}
	return slices.Sorted(maps.Keys(seen))
}
