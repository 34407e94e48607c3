package nft

import (
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/google/go-cmp/cmp"
)

// A catch-all element is deleted by no key: the set must go with it.
func TestCatchAllElementOfAStrangerIsRepaired(t *testing.T) {
	for name, element := range map[string]string{
		"in the source map":          "source4 { * : accept }",
		"in a set of free bridges":   "free { * }",
		"in a set of containers":     "c_000000000001_addr4 { * }",
		"in a set that counts":       "sent4 { * counter }",
		"in a set of address boxes":  "c_000000000001_svc4 { * }",
		"in a shared set of names":   "default_dns4 { * }",
		"in the set of same bridges": "same { * : accept }",
	} {
		t.Run(name, func(t *testing.T) {
			n := namespace(t)
			lab.Nft(t, n, sample().String(), "-f", "-") // not owned
			k := open(t, n)
			apply(t, k, sample())
			lab.Nft(t, n, "add element inet dockerwall "+element, "-f", "-")
			k.Invalidate()
			apply(t, k, sample())
			if diff := cmp.Diff(listingOf(t, sample().String()), list(t, n)); diff != "" {
				t.Errorf("wanted (-) and the table (+) differ:\n%s", diff)
			}
		})
	}
}

func TestEmptyAndDormantTablesDoNotFence(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want bool
	}{
		"no table":      {"", false},
		"an empty one":  {"add table inet dockerwall", false},
		"a dormant one": {sample().String() + "add table inet dockerwall { flags dormant; }", false},
		"a whole one":   {sample().String(), true},
		"without input": {sample().String() + "flush chain inet dockerwall input", false},
	} {
		t.Run(name, func(t *testing.T) {
			n := namespace(t)
			lab.Nft(t, n, test.text, "-f", "-")
			if got, err := open(t, n).Fences(); got != test.want || err != nil {
				t.Errorf("fences: %v, %v", got, err)
			}
		})
	}
}
