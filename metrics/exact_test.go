package metrics

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

func TestRandomDestinationsStayBoundedAndExact(t *testing.T) {
	const containers, scrapes, each = 40, 50, 50 // 100,000 destinations
	l, now, n, r := newLedger(ByIP), epoch, 0, rand.New(rand.NewPCG(8, 8))
	kernels := make([]*kernel, containers)
	for i := range kernels {
		kernels[i] = newKernel(i, 256)
	}
	for scrape := range scrapes {
		for _, k := range kernels {
			k.accept(7)
			for range each {
				n++
				k.deny(address(r.IntN(1<<24)), uint64(1+n%3))
			}
		}
		before := told(l)
		l.update(snapshotOf(kernels...), now)
		wantGrown(t, before, told(l))
		now = now.Add(15 * time.Second)
		if got := count(l); got > maxSeries {
			t.Fatalf("scrape %d: %d series", scrape, got)
		}
		for i, k := range kernels {
			a, sent, drops := l.of(k), k.c.Sent[0].Packets, k.c.Drops[0].Packets
			if sum(a) != drops || a.denied != drops || a.accepted != sent-drops {
				t.Fatalf("scrape %d, container %d: series add up to %d, drop %d, accept %d; the kernel says %d of %d",
					scrape, i, sum(a), a.denied, a.accepted, drops, sent)
			}
			if len(a.series) > maxContainerSeries-1 {
				t.Fatalf("container %d: %d series", i, len(a.series))
			}
		}
	}
	if n != 100_000 || count(l) != maxSeries || l.overflow == 0 {
		t.Errorf("%d destinations, %d series, %d overflowed", n, count(l), l.overflow)
	}
}

// told is every value of the old families.
func told(l *ledger) map[string]uint64 {
	values := make(map[string]uint64)
	for id, a := range l.accounts {
		values[id+" accept"], values[id+" drop"], values[id+" other"] = a.accepted, a.denied, a.other
		values[id+" audited"], values[id+" enforced"], values[id+" invalid"] = a.audited, a.denied-a.audited, a.invalid
		for t, s := range a.series {
			values[fmt.Sprint(id, t, s.domains)] = s.packets
		}
	}
	return values
}

// wantGrown says that no series went down or away, except a destination's.
func wantGrown(t *testing.T, before, after map[string]uint64) {
	t.Helper()
	for name, v := range before {
		if w, still := after[name]; still && w < v {
			t.Fatalf("%s went from %d to %d", name, v, w)
		}
	}
}

// TestTotalsAreExactWhateverTheReadings: torn readings, resets, names that come and go, forgotten sets.
func TestTotalsAreExactWhateverTheReadings(t *testing.T) {
	for _, by := range []Destination{ByIP, ByDomain, ByPrefix, ByNone} {
		for seed := range uint64(12) {
			r := rand.New(rand.NewPCG(seed, 2))
			l, now, k := newLedger(by), epoch, newKernel(0, 30)
			for range 200 {
				for range r.IntN(20) {
					k.deny(address(r.IntN(60)*300), uint64(1+r.IntN(5)))
				}
				torn := k.reading() // the totals are read, then more is denied, then the destinations
				for range r.IntN(5) {
					k.deny(address(r.IntN(60)*300), 1)
				}
				torn.Denied = append([]Denied(nil), k.c.Denied...)
				for i := range torn.Denied {
					if r.IntN(3) == 0 {
						torn.Denied[i].Names = []string{fmt.Sprintf("h%d.example%d.com", r.IntN(9), i%4)}
					}
				}
				r.Shuffle(len(torn.Denied), func(i, j int) { torn.Denied[i], torn.Denied[j] = torn.Denied[j], torn.Denied[i] })
				if len(torn.Denied) > 0 && r.IntN(4) == 0 {
					torn.Denied = torn.Denied[1:] // a listing that missed one
				}
				if torn.Unread = r.IntN(6) == 0; torn.Unread {
					torn.Denied = nil
				}
				before := told(l)
				l.update(Snapshot{Containers: []Container{torn}}, now)
				wantGrown(t, before, told(l))
				if a := l.of(k); sum(a) != a.denied || a.denied != torn.Drops[0].Packets {
					t.Fatalf("%s, seed %d: series add up to %d, drop is %d, the kernel said %d", by, seed, sum(a), a.denied, torn.Drops[0].Packets)
				}
				if r.IntN(20) == 0 {
					k.forget()
				}
				now = now.Add(time.Duration(r.IntN(1200)) * time.Second / 10)
			}
		}
	}
}
