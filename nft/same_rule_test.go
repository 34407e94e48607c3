package nft

import (
	"testing"
)

// TestARuleIsComparedByWhatItDoes, not by its text alone: rules of another build may read as ours do.
func TestARuleIsComparedByWhatItDoes(t *testing.T) {
	r := sample()
	k := open(t, namespace(t))
	apply(t, k, r)
	live, err := k.read()
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, fragments := range [][2][]*Fragment{{live.Fragments, r.Table().Fragments}, {live.Ports, r.Table().Ports}} {
		merge(fragments[0], fragments[1], func(f *Fragment) string { return f.Owner }, func(read, wanted *Fragment) {
			for i, chain := range byName(wanted.Chains) {
				rules := byName(read.Chains)[i].Rules
				for j, want := range chain.Rules {
					other := want
					other.clauses = append([]clause{count("drop_unknown")}, want.clauses...)
					shorter := want
					shorter.clauses = want.clauses[:len(want.clauses)-1]
					if !rules[j].same(want) || !want.same(rules[j]) {
						t.Errorf("%s: %s is not itself", chain.Name, want)
					}
					if rules[j].same(other) || other.same(rules[j]) || rules[j].same(shorter) {
						t.Errorf("%s: %s is something else", chain.Name, want)
					}
					compared++
				}
			}
		})
	}
	if compared < 100 {
		t.Errorf("%d rules compared", compared)
	}
}
