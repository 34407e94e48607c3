package reconcile

import (
	"fmt"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab/pair"
)

// BenchmarkBudgetBuild is a run of the loop after the first, up to the ruleset.
func BenchmarkBudgetBuild(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		s := crowd(n)
		s = s.ready()
		once := func() {
			s.library = s.read(s.library)
			Names(s)
			if r, _ := Build(s); len(r.Containers) != n {
				b.Fatal("containers are missing")
			}
		}
		built, allocs := pair.Figure{Case: "ruleset built", N: n, Unit: "ms"}, pair.Figure{Case: "ruleset built, allocations", N: n, Unit: "allocs"}
		pair.Rounds(func(int) {
			start := time.Now()
			once()
			built.Ours = append(built.Ours, float64(time.Since(start).Nanoseconds())/1e6)
			allocs.Ours = append(allocs.Ours, testing.AllocsPerRun(1, once))
		})
		b.Run(fmt.Sprintf("%d/time", n), func(b *testing.B) { built.Report(b) })
		b.Run(fmt.Sprintf("%d/allocations", n), func(b *testing.B) { allocs.Report(b) })
	}
}
