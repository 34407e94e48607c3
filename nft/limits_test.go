package nft

import (
	"net/netip"
	"testing"
)

// fifth is the i-th of addresses that lie five apart, so that ranges between them do not touch.
func fifth(i int) netip.Addr {
	n := 5 * i
	return netip.AddrFrom4([4]byte{11, byte(n >> 16), byte(n >> 8), byte(n)})
}

func TestLargeSetsAreComplete(t *testing.T) {
	const many = 20_000
	r := fenced()
	own := &r.Containers[0].Own.Allow
	own.Names = []NameSet{{}}
	for i := range many {
		own.Names[0].Addrs = append(own.Names[0].Addrs, NamedAddr{fifth(i), "a-rather-long-name-for-one-address.example.org"})
		own.Nets.Any = append(own.Nets.Any, Range{fifth(i), fifth(i).Next().Next()})
		own.Nets.Boxes = append(own.Nets.Boxes, Box{Range{fifth(i), fifth(i).Next()}, TCP, Ports{1, 80}})
	}
	k := open(t, namespace(t))
	apply(t, k, r)
	table, err := k.read()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"dns4", "net4", "svc4"} {
		got, want := table.set("c_000000000001_"+name), k.last.table.set("c_000000000001_"+name)
		if got == nil || !got.equal(*want) {
			t.Errorf("%s is not as it was sent: %d elements of %d", name, len(got.Elements), len(want.Elements))
		}
	}
}

func TestManyContainersInOneCommit(t *testing.T) {
	const many = 5000
	r := fleet(many)
	in := namespace(t)
	k := open(t, in)
	first := apply(t, k, r)
	t.Logf("%d containers x 20 addresses: %d operations in %v", many, first.Ops, first.Took)
	table, err := k.read()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range table.Fragments {
		for _, set := range f.Sets {
			if want := k.last.table.set(set.Name); want == nil || !set.equal(*want) {
				t.Fatalf("set %s is not as it was sent: %d elements", set.Name, len(set.Elements))
			}
		}
	}
	if len(table.Fragments) != many+4 {
		t.Errorf("%d fragments, not one for each of %d containers beside the four that are shared", len(table.Fragments), many)
	}
	second := apply(t, k, r.with(fleetContainer(5001)))
	t.Logf("one container more: %d operations in %v", second.Ops, second.Took)
	if second.Ops > 20 {
		t.Errorf("one container more takes %d operations", second.Ops)
	}
	if got := len(counters(t, k).Containers); got != many+1 {
		t.Errorf("%d containers are counted, not %d", got, many+1)
	}
}
