package nft

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFillsTellTheFullestSet(t *testing.T) {
	k := open(t, namespace(t))
	wants := func(cut int) {
		t.Helper()
		got, err := k.Fills()
		if err != nil {
			t.Fatal(err)
		}
		want := []Fill{{"cut", cut, 262144}, {"clients", 0, 65535}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	wants(0) // without a table
	apply(t, k, fenced())
	wants(0)
	flows := func(n int, container netip.Addr, proto uint8) (all []Cut) {
		for i := range n {
			all = append(all, Cut{Container: container, Far: fifth(i), Proto: proto, Port: 53})
		}
		return all
	}
	container := netip.MustParseAddr("172.18.0.2")
	for _, all := range [][]Cut{flows(3000, container, UDP), flows(70, container, 47)} {
		if err := k.Cut(all); err != nil {
			t.Fatal(err)
		}
		wants(3000)
	}
}
