package reconcile

import (
	"slices"
	"strings"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/sortby"
)

// Change is what became different for a container that stays, because files changed, or somebody changed it at run time.
type Change struct {
	Container      docker.Container
	Added, Removed []Sourced
	Was, Mode      policy.Mode
	Rejected       bool // whether what is denied was answered
	Rejects        bool // and is now
}

// Changes tells two states apart by what they ask for, container by container in the order of their names. Where a token stands
// in a file does not matter, which file does.
func Changes(old, now State) (out []Change) {
	old, now = old.ready(), now.ready()
	before := make(map[string]docker.Container, len(old.Docker.Containers))
	for _, c := range old.Docker.Containers {
		before[c.ID] = c
	}
	for _, c := range now.Docker.Containers {
		was, stayed := before[c.ID]
		if !stayed || ended(c) || sameTexts(old.library.asked[c.ID], now.library.asked[c.ID]) && sameModes(old, was, now, c) {
			continue
		}
		p, q := old.Policy(was), now.Policy(c)
		change := Change{Container: c, Added: lacking(q.Tokens, p.Tokens), Removed: lacking(p.Tokens, q.Tokens), Was: p.Mode, Mode: q.Mode, Rejected: p.Reject, Rejects: q.Reject}
		if len(change.Added)+len(change.Removed) > 0 || change.Was != change.Mode || change.Rejected != change.Rejects {
			out = append(out, change)
		}
	}
	sortby.Stable(out, func(a, b Change) int { return strings.Compare(a.Container.Name, b.Container.Name) })
	return out
}

func sameTexts(a, b []asked) bool {
	return slices.EqualFunc(a, b, func(x, y asked) bool { return x.text == y.text && x.within == y.within })
}

func sameModes(old State, was docker.Container, now State, is docker.Container) bool {
	m, r, _ := old.modeOf(was)
	n, s, _ := now.modeOf(is)
	return m == n && r == s
}

// lacking are those of a that b has not, wherever in a file they stand.
func lacking(a, b []Sourced) (out []Sourced) {
	type place struct {
		policy.Token
		where string
	}
	of := func(t Sourced) place {
		switch {
		case t.Group != "":
			return place{t.Token, "@" + string(t.Group)}
		case t.File != "":
			return place{t.Token, t.File}
		}
		return place{t.Token, t.Origin}
	}
	has := map[place]bool{}
	for _, t := range b {
		has[of(t)] = true
	}
	for _, t := range a {
		if !has[of(t)] {
			out = append(out, t)
		}
	}
	return out
}
