package nft

import (
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab/pair"
)

// sandboxes are n containers of one policy, 20 addresses of names and 20 of its own, which each has a copy of or all share.
func sandboxes(n int, shared bool) Ruleset {
	r := fleet(0)
	policy := Source{Name: "p3f2a91b0c4d5", Title: "a label that containers have alike", Allow: Matches{Names: []NameSet{{}}}}
	policy.Allow.Addrs = fleetContainer(0).Own.Allow.Addrs
	a := netip.MustParseAddr("203.0.113.0")
	for range 20 {
		a = a.Next()
		policy.Allow.Names[0].Addrs = append(policy.Allow.Names[0].Addrs, NamedAddr{a, "api.example.com"})
	}
	if shared {
		r.Sources = append(r.Sources, policy)
	}
	for i := range n {
		r.Containers = append(r.Containers, sandbox(2*i, policy, shared))
	}
	return r
}

func sandbox(i int, policy Source, shared bool) Container {
	c := fleetContainer(i)
	c.Own = Source{}
	if shared {
		c.Shared = append(c.Shared, policy.Name)
	} else {
		c.Own.Allow = policy.Allow
		c.Own.Allow.Names = []NameSet{{Addrs: slices.Clone(policy.Allow.Names[0].Addrs)}} // as Build makes them, one by one
	}
	return c
}

// policyWay is one way of having a policy, with the figures of it: one a round in each list.
type policyWay struct {
	first, added, learned, held pair.Samples
}

// measure commits n sandboxes, then one more, and learns an address for all.
func (w *policyWay) measure(b *testing.B, n int, shared bool) {
	b.Helper()
	k := open(b, namespace(b))
	before := heapInUse()
	r := sandboxes(n, shared)
	start := time.Now()
	apply(b, k, r)
	w.first = append(w.first, since(start))
	w.held = append(w.held, float64(heapInUse()-before)/1e6)
	var added, learned pair.Samples
	policy := sandboxes(0, true).Sources[1]
	for i := range 8 {
		more := r.with(sandbox(2*i+1, policy, shared))
		start = time.Now()
		apply(b, k, more)
		added = append(added, since(start))
		apply(b, k, r)
	}
	for i := range 8 {
		all := []Learned{{Owner: policy.Name, Addrs: []NamedAddr{{netip.AddrFrom4([4]byte{198, 18, 0, byte(i)}), "api.example.com"}}}}
		if !shared {
			one := all[0]
			all = nil
			for _, c := range r.Containers {
				one.Owner = c.ID
				all = append(all, one)
			}
		}
		start = time.Now()
		if err := k.Learn(all); err != nil {
			b.Fatal(err)
		}
		learned = append(learned, since(start))
	}
	w.added, w.learned = append(w.added, added.Median()), append(w.learned, learned.Median())
	runtime.KeepAlive(r)
}

// heapInUse is what is in use of Go's heap, in bytes.
func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkBudgetShared has sandboxes of one policy share its sets, and beside it has each have its own.
func BenchmarkBudgetShared(b *testing.B) {
	const n = 500
	var ours, theirs policyWay
	pair.Rounds(func(int) { ours.measure(b, n, true) }, func(int) { theirs.measure(b, n, false) })
	report := func(what, unit string, ours, theirs pair.Samples, ratio float64) {
		b.Run(what, func(b *testing.B) {
			pair.Figure{Case: "sandboxes of one policy, " + what, N: n, Unit: unit, Ours: ours, Beside: "a copy each", Theirs: theirs, MaxRatio: ratio}.Report(b)
		})
	}
	report("first commit", "ms", ours.first, theirs.first, 0)
	report("one added", "ms", ours.added, theirs.added, 0)
	report("address learned", "ms", ours.learned, theirs.learned, 0.5)
	report("heap", "MB", ours.held, theirs.held, 0)
}
