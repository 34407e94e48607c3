package reconcile

import (
	"net/netip"
	"slices"

	"github.com/dockerwall/dockerwall/flows"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
)

// Trial judges what containers would open, by a ruleset that need not be committed anywhere.
type Trial struct {
	state State
	judge *judge
	byID  map[string]int // 12-digit IDs
}

// NewTrial judges by r, which is Build's of s.
func NewTrial(s State, r nft.Ruleset) Trial {
	t := Trial{state: s.ready(), judge: newJudge(s, r, false), byID: make(map[string]int, len(r.Containers))}
	for i, c := range r.Containers {
		t.byID[c.ID] = i
	}
	return t
}

// Passes says whether what a container opens to f's far end would pass; f's source does not matter, but that it is of the
// container's family. fenced says whether the ruleset is about the container: who is not fenced may do anything.
func (t Trial) Passes(id string, f flows.Flow) (passes, fenced bool) {
	n, ok := t.byID[short(id)]
	if !ok {
		return true, false
	}
	ends := t.judge.rules.Containers[n].Endpoints
	i := slices.IndexFunc(ends, func(e nft.Endpoint) bool { return e.Addr.Is4() == f.Dst.Addr().Is4() })
	if i < 0 {
		return false, true
	}
	f.Src = netip.AddrPortFrom(ends[i].Addr, 0)
	return !t.judge.denied(holder{n, ends[i].Bridge}, f), true
}

// Mode is what becomes of what a container's policy denies, and whether it is fenced at all.
func (t Trial) Mode(id string) (nft.Mode, bool) {
	n, ok := t.byID[short(id)]
	if !ok {
		return nft.Off, false
	}
	if mode := t.judge.rules.Containers[n].Mode; mode != nft.Enforce || !t.judge.rules.DryRun {
		return mode, true
	}
	return nft.Audit, true
}

// DeniedBy are the tokens that deny a destination to a container, with where they stand; "" when none does, and it is only
// not allowed.
func (t Trial) DeniedBy(id string, d Destination) string {
	addr, ok := plain(d.Addr)
	if !ok {
		return ""
	}
	asks := policy.Token{Dest: policy.Literal{First: addr, Last: addr}, Clause: clauseFor(d)}
	i, err := Inquire(t.state, t.judge.rules, Question{Container: id, Asks: asks})
	if err != nil || i.done || i.fenced == nil || len(i.probes) == 0 {
		return ""
	}
	list := i.matching(true, i.probes[0].packet)
	if len(list) == 0 {
		return ""
	}
	return told(list)
}
