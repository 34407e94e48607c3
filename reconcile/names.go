package reconcile

import (
	"maps"
	"slices"
)

// Names are the exact names that the policies of s allow and those they deny, sorted: those to be asked
// for. An allowed name that somebody denies by a wildcard is among both. Containers that have ended do not
// count, those about to start do.
func Names(s State) (allow, deny []string) {
	allowed, denied := make(map[string]bool, len(s.Names)), map[string]bool{}
	wild := map[string]bool{} // denied
	add := func(c compiled) {
		for _, n := range c.allowNames {
			if !n.pattern.Wild() {
				allowed[n.pattern.Name()] = true
			}
		}
		for _, n := range c.denyNames {
			if n.pattern.Wild() {
				wild[n.pattern.Name()] = true
			} else {
				denied[n.pattern.Name()] = true
			}
		}
	}
	add(compile(s.Config.Default))
	for _, c := range s.Docker.Containers {
		if !ended(c) {
			add(s.labels(c).outbound)
		}
	}
	if len(wild) > 0 {
		addBeneath(denied, allowed, wild)
	}
	return slices.Sorted(maps.Keys(allowed)), slices.Sorted(maps.Keys(denied))
}

// addBeneath adds the names that stand beneath any of parents.
func addBeneath(to, names, wild map[string]bool) {
	for name := range names {
		for parent := range parents(name) {
			if wild[parent] {
				to[name] = true
			}
		}
	}
}
