package reconcile

import (
	"maps"
	"slices"

	"github.com/dockerwall/dockerwall/resolver"
)

// Names are the names that the policies of s allow and those they deny, sorted: those to be asked for, and wildcards
// to be learned for. An allowed name that somebody denies by a wildcard is among both. Containers that have
// ended do not count, those about to start do.
func Names(s State) resolver.Wanted {
	allowed, denied := make(map[string]bool, len(s.Names)), map[string]bool{}
	allowedBelow, deniedBelow := map[string]bool{}, map[string]bool{}
	s = s.ready()
	seen := map[*text]bool{}
	add := func(t *text) {
		if !seen[t] {
			seen[t] = true
			collect(t.compiled.allowNames, allowed, allowedBelow)
			collect(t.compiled.denyNames, denied, deniedBelow)
		}
	}
	if t := s.library.preset; t != nil {
		add(t)
	}
	for _, c := range s.Docker.Containers {
		if ended(c) {
			continue
		}
		for _, a := range s.library.asked[c.ID] {
			add(a.text)
		}
	}
	if len(deniedBelow) > 0 {
		addBeneath(denied, allowed, deniedBelow)
	}
	return resolver.Wanted{
		Allow: sorted(allowed), Deny: sorted(denied), AllowBelow: sorted(allowedBelow), DenyBelow: sorted(deniedBelow), Guard: newGuard(s),
	}
}

func collect(names []named, exact, below map[string]bool) {
	for _, n := range names {
		if n.pattern.Wild() {
			below[n.pattern.Name()] = true
		} else {
			exact[n.pattern.Name()] = true
		}
	}
}

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }

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
