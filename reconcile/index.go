package reconcile

import (
	"slices"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/resolver"
)

// index knows which sets of the committed table hold what patterns mean.
type index struct {
	owners map[string]*compiled // what of each owner is in wants
	wants  map[pattern][]want
	guard  resolver.Guard // of the host as the table knows it: the resolver's may be an older one
}

// pattern is a name, or what stands behind the "*." of a wildcard.
type pattern struct {
	name        string
	below, deny bool
}

// want is the names of one clause of a source.
type want struct {
	owner  string
	clause nft.Clause
}

func newIndex() index { return index{owners: map[string]*compiled{}, wants: map[pattern][]want{}} }

// update takes over the policies that a state was committed with, and the guard of its host; what costs is those that
// changed. Policies of containers that have no sets are part of it, for the resolver finds what they want, too.
func (x *index) update(s State, guard resolver.Guard) {
	x.guard = guard
	policies := x.policies(s)
	for owner, old := range x.owners {
		if policies[owner] != old {
			x.each(owner, old, x.remove)
		}
	}
	for owner, policy := range policies {
		if x.owners[owner] != policy {
			x.each(owner, policy, x.add)
		}
	}
	x.owners = policies
}

// policies are what each owner of sets asks for. Of containers whose IDs begin alike only the first can have sets.
func (x *index) policies(s State) map[string]*compiled {
	s = s.ready()
	first := make(map[string]*docker.Container, len(s.Docker.Containers))
	for i := range s.Docker.Containers {
		c := &s.Docker.Containers[i]
		if other := first[short(c.ID)]; other == nil || c.ID < other.ID {
			first[short(c.ID)] = c
		}
	}
	policies := make(map[string]*compiled, len(first)+1)
	for id, c := range first {
		if !isShortID(id) || ended(*c) {
			continue
		}
		for _, a := range s.library.asked[c.ID] {
			owner := a.source
			if owner == "" {
				owner = id
			}
			policies[owner] = &a.text.compiled
		}
	}
	if t := s.library.preset; t != nil {
		policies[sourceDefault] = &t.compiled
	}
	return policies
}

func (x *index) each(owner string, c *compiled, do func(pattern, want)) {
	for _, n := range c.allowNames {
		do(pattern{n.pattern.Name(), n.pattern.Wild(), false}, want{owner, n.clause})
	}
	for _, n := range c.denyNames {
		do(pattern{n.pattern.Name(), n.pattern.Wild(), true}, want{owner, n.clause})
	}
}

func (x *index) add(p pattern, w want) { x.wants[p] = append(x.wants[p], w) }

func (x *index) remove(p pattern, w want) {
	x.wants[p] = slices.DeleteFunc(x.wants[p], func(o want) bool { return o == w })
	if len(x.wants[p]) == 0 {
		delete(x.wants, p)
	}
}

// batch is what the kernel has to learn, each source once for all that is found. It is not whole where somebody
// wants what no committed policy does.
func (x *index) batch(found []resolver.Found) (batch []nft.Learned, whole bool) {
	for _, f := range found {
		wants := x.wanting(f)
		if len(wants) == 0 {
			return nil, false
		}
		addrs := x.open(f)
		for _, w := range wants {
			batch = append(batch, nft.Learned{Owner: w.owner, Deny: f.Deny, Clause: w.clause, Addrs: addrs})
		}
	}
	return batch, true
}

// wanting is who wants what is found. A denied name may stand in full with somebody who allows it only: then it is
// the wildcards above it that want it denied, see [Names].
func (x *index) wanting(f resolver.Found) []want {
	if f.Below != "" {
		return x.wants[pattern{f.Below, true, f.Deny}]
	}
	wants := x.wants[pattern{f.Name, false, f.Deny}]
	if f.Deny {
		wants = slices.Clip(wants)
		for parent := range parents(f.Name) {
			wants = append(wants, x.wants[pattern{parent, true, true}]...)
		}
	}
	return wants
}

// open is the addresses that are found and may be opened on the host as it is now.
func (x *index) open(f resolver.Found) []nft.NamedAddr {
	addrs := make([]nft.NamedAddr, 0, len(f.Addrs))
	for _, a := range f.Addrs {
		if f.Deny || x.guard.Refuse(a, f.Name, f.Below != "") == "" {
			addrs = append(addrs, nft.NamedAddr{Addr: a, Name: f.Name})
		}
	}
	return addrs
}
