package nft

import (
	"fmt"
	"testing"
)

// BenchmarkCounters reads the totals, which an observer does every 30 seconds, and each second while somebody watches.
func BenchmarkCounters(b *testing.B) {
	for _, n := range fleetSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			k := open(b, namespace(b))
			apply(b, k, fleet(n))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Counters(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRecords reads the records of 64 containers, as many as an observer reads at once.
func BenchmarkRecords(b *testing.B) {
	k, r := open(b, namespace(b)), fleet(64)
	apply(b, k, r)
	var ids []string
	for _, c := range r.Containers {
		ids = append(ids, c.ID)
	}
	for b.Loop() {
		if _, err := k.Records(ids); err != nil {
			b.Fatal(err)
		}
	}
}
