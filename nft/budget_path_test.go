package nft

import (
	"fmt"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab/pair"
)

// BenchmarkBudgetPath sends packets through a host without our table, with it and crowds of containers, and with the
// rules of the old program. All is measured in turns of a few milliseconds.
func BenchmarkBudgetPath(b *testing.B) {
	p := budgetPaths{
		bare:   newRoad(b, 1000),
		fenced: []crowdRoad{{1, fencedRoad(b, 1)}, {1000, fencedRoad(b, 1000)}, {5000, fencedRoad(b, 5000)}},
		linear: linearRoad(b, 1000),
	}
	b.Run("forwarded", func(b *testing.B) {
		p.forwarded(b, "one flow", false)
		p.forwarded(b, "320 flows", true)
	})
	b.Run("opened", p.opened)
	b.Run("connected", p.connected)
	b.Run("answered", p.answered)
	b.Run("bulk", p.bulk)
	b.Run("denied", p.denied)
}

// budgetPaths are the roads that are measured side by side.
type budgetPaths struct {
	bare   *road
	fenced []crowdRoad
	linear *road
}

// crowdRoad is a road with the table of n containers.
type crowdRoad struct {
	n int
	*road
}

// turns measures each way a number of times a round, in turns; a round's sample is the median.
func turns(slices int, ways ...func() float64) []pair.Samples {
	out := make([]pair.Samples, len(ways))
	pair.Rounds(func(round int) {
		got := make([]pair.Samples, len(ways))
		for slice := range slices {
			for i := range ways {
				at := (round + slice + i) % len(ways)
				got[at] = append(got[at], ways[at]())
			}
		}
		for i := range ways {
			out[i] = append(out[i], got[i].Median())
		}
	})
	return out
}

// reportFigure gives a figure a benchmark of its own, named after what it is compared with.
func reportFigure(b *testing.B, f pair.Figure) {
	b.Helper()
	name := f.Beside
	if f.N > 0 {
		name = fmt.Sprint(f.N, ", ", f.Beside)
	}
	b.Run(name, f.Report)
}

// compare measures what way makes of each road, and reports the fenced ones beside the bare one and the linear one. What f
// has as its budget holds at 1,000, beside the bare one.
func (p budgetPaths) compare(b *testing.B, f pair.Figure, slices int, way func(*road) func() float64) {
	b.Helper()
	pin(b)
	ways := []func() float64{way(p.bare), way(p.linear)}
	for _, c := range p.fenced {
		ways = append(ways, way(c.road))
	}
	got, budget := turns(slices, ways...), f.MaxRatio
	for i, c := range p.fenced {
		f.N, f.Ours, f.Beside, f.Theirs, f.MaxRatio = c.n, got[2+i], "conntrack and masquerade alone", got[0], 0
		if c.n != 1000 {
			reportFigure(b, f)
			continue
		}
		f.MaxRatio = budget
		reportFigure(b, f)
		f.Beside, f.Theirs, f.MaxRatio = "iptables and ipset", got[1], 0
		reportFigure(b, f)
	}
}

// forwarded are small datagrams of flows that are established.
func (p budgetPaths) forwarded(b *testing.B, name string, many bool) {
	b.Run(name, func(b *testing.B) {
		var all []*traffic
		f := pair.Figure{Case: "forwarded packets, " + name, Unit: "packets/s", More: true, MaxRatio: 0.95}
		p.compare(b, f, 100, func(r *road) func() float64 {
			t := r.flowing(b, many)
			all = append(all, t)
			return func() float64 { return t.rate(b) }
		})
		cameAll(b, all)
	})
}

// opened are datagrams that each open a flow of their own.
func (p budgetPaths) opened(b *testing.B) {
	var all []*traffic
	f := pair.Figure{Case: "first packets of flows", Unit: "packets/s", More: true}
	p.compare(b, f, 20, func(r *road) func() float64 {
		t := r.opening(b)
		all = append(all, t)
		return func() float64 {
			r.forget(b)
			return t.rate(b)
		}
	})
	cameAll(b, all)
}

func cameAll(b *testing.B, all []*traffic) {
	b.Helper()
	for _, t := range all {
		t.came(b, true)
	}
}

// connected are TCP connections, opened, accepted and ended.
func (p budgetPaths) connected(b *testing.B) {
	f := pair.Figure{Case: "TCP connections", Unit: "connections/s", More: true}
	p.compare(b, f, 20, func(r *road) func() float64 {
		listener := r.listen(b, connectPort)
		return func() float64 {
			r.forget(b)
			return r.connectRate(b, listener)
		}
	})
}

// answered are datagrams that come back.
func (p budgetPaths) answered(b *testing.B) {
	f := pair.Figure{Case: "round trip of a datagram", Unit: "µs"}
	p.compare(b, f, 20, func(r *road) func() float64 {
		return func() float64 { return r.roundTrip(b) }
	})
}

// bulk is one TCP connection that sends as fast as it can.
func (p budgetPaths) bulk(b *testing.B) {
	f := pair.Figure{Case: "bulk throughput of TCP", Unit: "Gbit/s", More: true}
	p.compare(b, f, 20, func(r *road) func() float64 {
		s := r.stream(b)
		return func() float64 { return s.throughput(b) }
	})
}

// denied are datagrams that nothing allows.
func (p budgetPaths) denied(b *testing.B) {
	pin(b)
	fenced := p.fenced[1]
	forwarded, known, other, old := fenced.flowing(b, false), fenced.forbidden(b, false), fenced.forbidden(b, true), p.linear.forbidden(b, false)
	cost := func(t *traffic) func() float64 { return func() float64 { return t.cost(b) } }
	got := turns(100, cost(forwarded), cost(known), cost(other), cost(old))
	forwarded.came(b, true) // and nothing else: the denied ones take the same road
	old.came(b, false)
	if n := fenced.dropped(b); n != known.sent+other.sent {
		b.Errorf("%d datagrams denied by the container's chain, not %d", n, known.sent+other.sent)
	}
	for _, f := range []pair.Figure{
		{Case: "denied packet", Ours: got[1], Beside: "one that is forwarded", Theirs: got[0]},
		{Case: "denied packet", Ours: got[1], Beside: "iptables and ipset", Theirs: got[3]},
		{Case: "denied packet to yet another destination", Ours: got[2], Beside: "one that is forwarded", Theirs: got[0]},
	} {
		f.N, f.Unit = fenced.n, "ns"
		b.Run(f.Case, func(b *testing.B) { reportFigure(b, f) })
	}
}
