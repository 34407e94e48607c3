package reconcile

import (
	"slices"

	"github.com/dockerwall/dockerwall/flows"
	"github.com/dockerwall/dockerwall/nft"
)

// Openers say which container opened a flow.
type Openers struct {
	rules  nft.Ruleset // as committed
	judge  *judge      // as if it enforced everything
	dryRun bool
}

// NewOpeners knows the containers of a ruleset, which is Build's of s.
func NewOpeners(s State, r nft.Ruleset) *Openers {
	strict := r
	strict.DryRun = false
	strict.Containers = slices.Clone(r.Containers)
	for i := range strict.Containers {
		strict.Containers[i].Mode = nft.Enforce
	}
	return &Openers{rules: r, judge: newJudge(s, strict, false), dryRun: r.DryRun}
}

// Of returns the container that opened f to leave its own network, as the ruleset has it. It is false where nobody or
// nobody alone has, where f stays on the network or goes to many, and where f passes by the mode although the policy
// denies it. What passes is known by f being there; where the mode has no part in it the policy is not asked.
func (o *Openers) Of(f flows.Flow) (nft.Container, bool) {
	who := o.judge.holders[f.Src.Addr()]
	to := f.To.Addr()
	switch {
	case len(who) != 1 || to.IsMulticast() || to == broadcast():
		return nft.Container{}, false
	case f.Dst == f.To && o.judge.mayBeTurned(f) && fromServer(f):
		return nft.Container{}, false
	case !o.judge.host[to] && o.stays(who[0].bridge, f):
		return nft.Container{}, false
	}
	c := o.rules.Containers[who[0].container]
	if c.Mode != nft.Off && (o.dryRun || c.Mode == nft.Audit) && o.judge.denied(who[0], f) {
		return nft.Container{}, false
	}
	return c, true
}

// stays says whether a flow ends on the network that it came from.
func (o *Openers) stays(bridge string, f flows.Flow) bool {
	return slices.ContainsFunc(o.rules.Bridges, func(b nft.Bridge) bool { return b.Name == bridge && holds(b.Subnets, f.To.Addr()) })
}

// Host says whether an address that f goes to is the host's own.
func (o *Openers) Host(f flows.Flow) bool { return o.judge.host[f.To.Addr()] }
