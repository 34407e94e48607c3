package flows

import (
	"cmp"
	"net/netip"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dockerwall/dockerwall/internal/lab"
)

func each(t *testing.T, ns *lab.Namespace) []Seen {
	t.Helper()
	var out []Seen
	if err := Each(func(f Seen) { out = append(out, f) }, Options{NetNS: ns.FD()}); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestEachSaysWhatListSays: the two read the same messages by different code.
func TestEachSaysWhatListSays(t *testing.T) {
	ns := tracked(t)
	if none := each(t, ns); len(none) != 0 {
		t.Fatalf("flows of an empty namespace: %v", none)
	}
	say(t, ns, "192.0.2.2:5000")
	say(t, ns, "[2001:db8::2]:5000")
	connect(t, ns, "192.0.2.1:80", "198.51.100.1:80")
	connect(t, ns, "[2001:db8::1]:80", "[2001:db8:1::1]:80")
	want, err := List(Options{NetNS: ns.FD()})
	if err != nil {
		t.Fatal(err)
	}
	var got []Flow
	ids := map[uint32]bool{}
	for _, f := range each(t, ns) {
		got, ids[f.ID] = append(got, f.Flow), true
	}
	if len(want) != 4 || len(ids) != len(got) || ids[0] {
		t.Errorf("%d flows with %d IDs", len(want), len(ids))
	}
	inOrder := cmpopts.SortSlices(func(a, b Flow) bool {
		return cmp.Or(a.Dst.Compare(b.Dst), cmp.Compare(a.Proto, b.Proto)) < 0
	})
	same := gocmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
	if diff := gocmp.Diff(want, got, inOrder, same); diff != "" {
		t.Error(diff)
	}
}

// TestAFlowKeepsItsIDAndAnotherHasAnother: that is how one is told from the next between the same ends.
func TestAFlowKeepsItsIDAndAnotherHasAnother(t *testing.T) {
	ns := tracked(t)
	say(t, ns, "192.0.2.2:5000")
	before, again := each(t, ns), each(t, ns)
	say(t, ns, "192.0.2.2:5000")
	after := each(t, ns)
	if len(before) != 1 || !slices.Equal(before, again) || len(after) != 2 {
		t.Errorf("%v, then %v, then %v", before, again, after)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{2, 0, 0, 0, 8, 0, 12, 0, 0, 0, 0, 1})
	f.Fuzz(func(_ *testing.T, data []byte) { parse(data) })
}
