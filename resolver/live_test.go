package resolver

import (
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestLiveAddressesAreThoseThatThereAre, whatever happened to the name since they were last asked for; and who has asked
// keeps what he got.
func TestLiveAddressesAreThoseThatThereAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := &entry{leases: map[netip.Addr]lease{}, cold: true}
		now := time.Unix(1e9, 0)
		some := func(t *rapid.T) (out []Record) {
			for range rapid.IntRange(1, 4).Draw(t, "records") {
				out = append(out, Record{numbered(rapid.IntRange(0, 9).Draw(t, "address")), minLife * time.Duration(rapid.IntRange(1, 4).Draw(t, "lives"))})
			}
			return out
		}
		t.Repeat(map[string]func(*rapid.T){
			"extend": func(t *rapid.T) {
				for _, r := range some(t) {
					e.extend(r, now)
				}
			},
			"prune": func(t *rapid.T) {
				now = now.Add(minLife * time.Duration(rapid.IntRange(1, 3).Draw(t, "later")))
				e.prune(now, map[netip.Addr]bool{numbered(rapid.IntRange(0, 9).Draw(t, "used")): true})
			},
			"shrink": func(t *rapid.T) { e.shrink(rapid.IntRange(0, 6).Draw(t, "most"), some(t)) },
			"answer": func(*rapid.T) { e.answer(IPv4, now) },
			"look": func(t *rapid.T) {
				got := e.live()
				kept := slices.Clone(got)
				e.extend(some(t)[0], now)
				e.shrink(3, nil)
				if !slices.Equal(got, kept) {
					t.Fatalf("%v has become %v", kept, got)
				}
			},
			"": func(t *rapid.T) {
				if got, want := e.live(), slices.SortedFunc(maps.Keys(e.leases), netip.Addr.Compare); !slices.Equal(got, want) {
					t.Fatalf("%v, want %v", got, want)
				}
			},
		})
	})
}
