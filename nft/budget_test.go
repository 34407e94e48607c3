package nft

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/pair"
)

// since is how long ago that was, in milliseconds.
func since(start time.Time) float64 { return float64(time.Since(start).Nanoseconds()) / 1e6 }

// BenchmarkBudgetFirstCommit makes the table where none is, and beside it loads its text with nft -f.
func BenchmarkBudgetFirstCommit(b *testing.B) {
	for _, n := range fleetSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f := pair.Figure{Case: "first commit", N: n, Unit: "ms", Beside: "nft -f", MaxRatio: 1}
			r := fleet(n)
			text := r.String()
			pair.Rounds(func(int) {
				k := open(b, namespace(b))
				start := time.Now()
				apply(b, k, r)
				f.Ours = append(f.Ours, since(start))
			}, func(int) {
				other := namespace(b)
				start := time.Now()
				lab.Nft(b, other, text, "-f", "-")
				f.Theirs = append(f.Theirs, since(start))
			})
			f.Report(b)
		})
	}
}

// grown are two tables of n containers side by side: one that a Kernel keeps, and one that nft -f changes.
type grown struct {
	n     int
	r     Ruleset
	k     *Kernel
	other *lab.Namespace
}

func newGrown(b *testing.B, n int) *grown {
	b.Helper()
	g := &grown{n: n, r: fleet(n), k: open(b, namespace(b)), other: namespace(b)}
	apply(b, g.k, g.r)
	lab.Nft(b, g.other, g.r.String(), "-f", "-")
	return g
}

// change is one way to another ruleset, and back.
type change struct {
	what string
	to   Ruleset
	// learn is by which short path the change is made, where there is one.
	learn []Learned
	// budgets at 1,000 containers.
	max, maxRatio float64
}

func (g *grown) changes() []change {
	gone, tight, wide := g.r, g.r, g.r
	gone.Containers = append(gone.Containers[:g.n/2:g.n/2], gone.Containers[g.n/2+1:]...)
	tight.Containers = append([]Container{}, g.r.Containers...)
	other := &tight.Containers[g.n/2]
	other.Own = Source{Allow: Matches{Nets: Literals{Any: []Range{rangeOf(netip.MustParsePrefix("192.0.2.0/24"))}}}}
	name := named("198.51.100.1")[0]
	learned := NamedAddr{netip.MustParseAddr("203.0.113.7"), name.Name}
	wide.Sources = []Source{{Name: "default", Allow: Matches{Names: []NameSet{{Addrs: []NamedAddr{name, learned}}}}}}
	return []change{
		{what: "container added", to: g.r.with(fleetContainer(g.n + 1)), max: 2, maxRatio: 0.1},
		{what: "container removed", to: gone},
		{what: "policy of a container changed", to: tight},
		{what: "address learned for all", to: wide, learn: []Learned{{Owner: "default", Addrs: []NamedAddr{learned}}}, max: 0.5},
	}
}

// BenchmarkBudgetChange makes small changes to a table that stands, and beside it the same with nft -f.
func BenchmarkBudgetChange(b *testing.B) {
	for _, n := range fleetSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			g := newGrown(b, n)
			for _, c := range g.changes() {
				b.Run(c.what, func(b *testing.B) { g.measure(b, c) })
			}
		})
	}
}

// measure makes a change eight times a round, of which the median counts: it takes less than what else may come between.
func (g *grown) measure(b *testing.B, c change) {
	f := pair.Figure{Case: c.what, N: g.n, Unit: "ms", Beside: "nft -f"}
	if g.n == 1000 {
		f.Max, f.MaxRatio = c.max, c.maxRatio
	}
	there, back := Diff(g.r.Table(), c.to.Table()).String(), Diff(c.to.Table(), g.r.Table()).String()
	pair.Rounds(func(int) {
		var times pair.Samples
		for range 8 {
			start := time.Now()
			if c.learn == nil {
				apply(b, g.k, c.to)
			} else if err := g.k.Learn(c.learn); err != nil {
				b.Fatal(err)
			}
			times = append(times, since(start))
			apply(b, g.k, g.r)
		}
		f.Ours = append(f.Ours, times.Median())
	}, func(int) {
		var times pair.Samples
		for range 2 {
			start := time.Now()
			lab.Nft(b, g.other, there, "-f", "-")
			times = append(times, since(start))
			lab.Nft(b, g.other, back, "-f", "-")
		}
		f.Theirs = append(f.Theirs, times.Median())
	})
	f.Report(b)
}

// BenchmarkBudgetAdopt reads back a table of n containers and makes it equal to the same ruleset, as a restart does.
func BenchmarkBudgetAdopt(b *testing.B) {
	for _, n := range fleetSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f := pair.Figure{Case: "table read back and compared", N: n, Unit: "ms", Beside: "nft -s list table"}
			g := newGrown(b, n)
			pair.Rounds(func(int) {
				g.k.Invalidate()
				start := time.Now()
				if report := apply(b, g.k, g.r); report.Changed {
					b.Fatal("it has changed")
				}
				f.Ours = append(f.Ours, since(start))
			}, func(int) {
				start := time.Now()
				lab.Nft(b, g.other, "", "-s", "list", "table", "inet", TableName)
				f.Theirs = append(f.Theirs, since(start))
			})
			f.Report(b)
		})
	}
}

// BenchmarkBudgetDiff compiles and compares 10,000 containers of which one has come, without the kernel.
func BenchmarkBudgetDiff(b *testing.B) {
	const n = 10000
	r := fleet(n)
	whole := compile(r, compiled{})
	more := r.with(fleetContainer(n + 1))
	f := pair.Figure{Case: "compiled and compared, one container more", N: n, Unit: "ms"}
	allocs := pair.Figure{Case: "compiled and compared, allocations", N: n, Unit: "allocs"}
	pair.Rounds(func(int) {
		once := func() {
			next := compileChanged(more, whole, whole.compare(more))
			if plan := Diff(whole.table, next.table); plan.Empty() {
				b.Fatal("nothing has changed")
			}
		}
		start := time.Now()
		once()
		f.Ours = append(f.Ours, since(start))
		allocs.Ours = append(allocs.Ours, testing.AllocsPerRun(1, once))
	})
	b.Run("time", func(b *testing.B) { f.Report(b) })
	b.Run("allocations", func(b *testing.B) { allocs.Report(b) })
}
