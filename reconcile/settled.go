package reconcile

import "slices"

// unsettled are the containers, by the first 12 digits of their IDs, whose policy names something that is not known yet:
// what is denied now may be allowed once a resolver has answered. Of wildcards nobody can say when that is.
func unsettled(s State) map[string]bool {
	out := map[string]bool{}
	addresses := newAddresses(s)
	waits := func(c *compiled) bool {
		return slices.ContainsFunc(c.allowNames, func(n named) bool { return !n.pattern.Wild() && s.Names[n.pattern.Name()] == nil }) ||
			slices.ContainsFunc(c.denyNames, func(n named) bool { return !addresses.known(n.pattern) })
	}
	s = s.ready()
	for _, c := range s.Docker.Containers {
		if slices.ContainsFunc(s.library.asked[c.ID], func(a asked) bool { return waits(&a.compiled) }) {
			out[short(c.ID)] = true
		}
	}
	return out
}
