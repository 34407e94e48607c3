package nft

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// diffSteps is how many random changes each chain makes.
const diffSteps = 60

// reference loads text into a namespace of its own and lists it. It is one namespace for all steps:
// the table is removed in between.
type reference struct{ n *lab.Namespace }

func (r reference) listing(t *testing.T, text string) string {
	t.Helper()
	lab.Nft(t, r.n, "flush ruleset\n"+text, "-f", "-")
	return list(t, r.n)
}

func sameTable(t *testing.T, n *lab.Namespace, ref reference, r Ruleset, step string) {
	t.Helper()
	if diff := cmp.Diff(ref.listing(t, r.String()), list(t, n)); diff != "" {
		t.Fatalf("%s: fresh load (-) and committed difference (+) differ:\n%s", step, diff)
	}
}

func TestDifferenceListsLikeFreshLoad(t *testing.T) {
	tests := map[string]struct{ restart bool }{
		"one kernel handle for all steps":                    {false},
		"a new handle for each step, which adopts the table": {true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, ref, g := namespace(t), reference{namespace(t)}, newGenerator(t)
			k := open(t, n)
			r := g.ruleset()
			for step := range diffSteps {
				if test.restart {
					_ = k.Close()
					k = open(t, n)
				}
				if err := r.Validate(); err != nil {
					t.Fatalf("step %d: generated ruleset refused: %v", step, err)
				}
				applyOnceFree(t, k, r)
				sameTable(t, n, ref, r, fmt.Sprint("step ", step))
				for _, readBack := range []bool{false, true} {
					if readBack {
						k.Invalidate()
					}
					if again := apply(t, k, r); again.Changed || again.Ops > 0 || again.Adopted != readBack {
						t.Fatalf("step %d: the same ruleset again, read back %v, made %d operations", step, readBack, again.Ops)
					}
				}
				r = g.next(r)
			}
		})
	}
}

// applyOnceFree commits when the last owner is gone: a process that the tests fork just then holds its
// socket until it has executed its program.
func applyOnceFree(t *testing.T, k *Kernel, r Ruleset) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; {
		_, err := k.Apply(r)
		if errors.Is(err, ErrOwned) && time.Now().Before(deadline) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
}

func TestDifferenceIsEmptyForEqualTables(t *testing.T) {
	g := newGenerator(t)
	for range 200 {
		r := g.ruleset()
		if plan := Diff(r.Table(), clone(r).Table()); !plan.Empty() {
			t.Fatalf("not empty:\n%s", plan)
		}
	}
}

func TestRulesetSurvivesJSON(t *testing.T) {
	g := newGenerator(t)
	addr := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	prefix := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	for range 40 {
		r := g.ruleset()
		if diff := cmp.Diff(r, clone(r), addr, prefix, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	}
	if r := clone(Ruleset{}); !reflect.DeepEqual(r, Ruleset{}) {
		t.Errorf("the zero value became %+v", r)
	}
}

// TestWhatIsSharedIsMadeBeforeContainers, whatever its name: rules that name a set are slower the later it was made.
func TestWhatIsSharedIsMadeBeforeContainers(t *testing.T) {
	r := sharing()
	r.share("z", Matches{Nets: Literals{Any: nets("192.0.2.0/24")}}, Matches{}, 1)
	r.Containers[0].Own.Allow.Nets.Any = nets("192.0.2.0/24")
	plan := Diff(Table{}, r.Table())
	for name, batch := range map[string][]Op{"prepare": plan.Prepare, "commit": plan.Commit} {
		own, shared := 0, 0
		for _, op := range batch {
			set, ok := op.(addSet)
			switch {
			case !ok:
			case ContainerOf(set.set.Name) != "":
				own++
			case own > 0:
				t.Errorf("%s: set %s is made after containers'", name, set.set.Name)
			default:
				shared++
			}
		}
		if own == 0 || shared == 0 {
			t.Errorf("%s: %d sets of containers, %d shared ones", name, own, shared)
		}
	}
}
