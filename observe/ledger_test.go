package observe

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dockerwall/dockerwall/nft"
)

const web = "00000000000a" // a container

func start() time.Time { return time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC) }

func target(n int) Target {
	return Target{Dst: netip.AddrFrom4([4]byte{203, 0, 113, byte(n)}), Port: 443, Proto: nft.TCP}
}

// counted is what a kernel has counted of one container. The zero value has counted nothing.
type counted struct {
	drop    nft.Count
	invalid map[string]nft.Count // by source
	record  map[Target]nft.Count
	size    int // that the record holds
	ever    nft.Count
	reason  nft.Count // of ever: the kernel's counter of reason invalid
}

func count(packets, bytes uint64) nft.Count { return nft.Count{Packets: packets, Bytes: bytes} }

func (k *counted) deny(t Target, n nft.Count) {
	k.drop, k.ever = plus(k.drop, n), plus(k.ever, n)
	if _, known := k.record[t]; known || len(k.record) < k.size {
		k.record[t] = plus(k.record[t], n)
	}
}

func (k *counted) noise(n nft.Count) { k.drop, k.ever = plus(k.drop, n), plus(k.ever, n) }

func (k *counted) misplace(source string, n nft.Count) {
	k.invalid[source], k.ever, k.reason = plus(k.invalid[source], n), plus(k.ever, n), plus(k.reason, n)
}

// restart is what a new container, or a new table, begins with.
func (k *counted) restart() {
	k.drop, k.record = nft.Count{}, map[Target]nft.Count{}
	for source := range k.invalid {
		k.invalid[source] = nft.Count{}
	}
}

func (k *counted) parts(id string) []nft.Part {
	out := []nft.Part{{ID: id, Name: "c_" + id + "_drop", Count: k.drop}}
	for _, source := range slices.Sorted(maps.Keys(k.invalid)) {
		out = append(out, nft.Part{ID: id, Name: "invalid4 " + source, Invalid: true, Count: k.invalid[source]})
	}
	return out
}

func (k *counted) denials() (out []nft.Denial) {
	for _, t := range slices.SortedFunc(maps.Keys(k.record), compareTargets) {
		out = append(out, nft.Denial{Dst: t.Dst, Port: t.Port, Proto: t.Proto, Count: k.record[t]})
	}
	return out
}

func newCounted(size int) *counted {
	return &counted{size: size, invalid: map[string]nft.Count{}, record: map[Target]nft.Count{}}
}

// read takes a whole reading; between happens after the totals and before the records.
func read(l *Ledger, now time.Time, k *counted, between func()) []Denial {
	r := Reading{Time: now, Parts: k.parts(web), Records: map[string][]nft.Denial{}}
	r.Reasons = map[nft.Reason]nft.Count{nft.Invalid: k.reason}
	grown := l.Grown(r.Parts)
	if between != nil {
		between()
	}
	for _, id := range grown {
		r.Records[id] = k.denials()
	}
	return l.Take(r)
}

func sum(denials []Denial) (n nft.Count) {
	for _, d := range denials {
		if d.ContainerID == web {
			n = plus(n, nft.Count{Packets: d.Packets, Bytes: d.Bytes})
		}
	}
	return n
}

// TestDenialsAddUpToTheKernelsCounter is the ledger's promise, whatever the kernel does: full records, elements that time out
// and come again, records read later than totals or not at all, counters that begin anew, listings that miss something.
func TestDenialsAddUpToTheKernelsCounter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, k, now := NewLedger(&Baseline{}), newCounted(6), start()
		var told nft.Count
		deny := func() {
			k.deny(target(rapid.IntRange(0, 9).Draw(t, "destination")), count(rapid.Uint64Range(1, 5).Draw(t, "packets"), rapid.Uint64Range(40, 9000).Draw(t, "bytes")))
		}
		look := func(between func()) {
			due := k.ever
			denials := read(l, now, k, between)
			told = plus(told, sum(denials))
			if told != due {
				t.Fatalf("told %v, the kernel counted %v; last %+v", told, due, denials)
			}
			checkKeys(t, denials)
		}
		t.Repeat(map[string]func(*rapid.T){
			"deny":     func(*rapid.T) { deny() },
			"noise":    func(*rapid.T) { k.noise(count(2, 100)) },
			"misplace": func(*rapid.T) { k.misplace(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "source"), count(1, 60)) },
			"read":     func(*rapid.T) { look(nil) },
			"read while more is denied": func(*rapid.T) {
				look(func() { deny(); deny() })
			},
			"an element times out": func(*rapid.T) { delete(k.record, target(rapid.IntRange(0, 9).Draw(t, "destination"))) },
			"all time out":         func(*rapid.T) { clear(k.record); now = now.Add(2 * time.Hour) },
			"time passes":          func(*rapid.T) { now = now.Add(time.Duration(rapid.IntRange(1, 4000).Draw(t, "seconds")) * time.Second) },
			"a listing misses an element": func(*rapid.T) {
				hidden := target(rapid.IntRange(0, 9).Draw(t, "destination"))
				n, there := k.record[hidden]
				delete(k.record, hidden)
				look(nil)
				if there {
					k.record[hidden] = n
				}
			},
			"an address goes": func(*rapid.T) {
				look(nil)
				delete(k.invalid, "a")
				for range maxMissed + 1 {
					look(nil)
				}
			},
			"the table is made anew": func(*rapid.T) {
				look(nil)
				k.restart()
				look(nil)
			},
			"the container goes and comes": func(*rapid.T) {
				r := Reading{Partial: true, Time: now, Parts: k.parts(web)}
				r.Records = map[string][]nft.Denial{web: k.denials()}
				told = plus(told, sum(l.Take(r)))
				l.Forget(web)
				k.restart()
			},
			"the daemon starts again": func(*rapid.T) {
				look(nil)
				b := l.Baseline()
				l = NewLedger(&b)
			},
			"": func(*rapid.T) {},
		})
		look(nil)
	})
}

// checkKeys says that no destination is told twice at once, and nothing of nothing.
func checkKeys(t *rapid.T, denials []Denial) {
	seen := map[string]bool{}
	for _, d := range denials {
		key := fmt.Sprint(d.ContainerID, d.Target, d.Reason)
		if seen[key] || d.Packets == 0 {
			t.Fatalf("%s twice, or without packets: %+v", key, denials)
		}
		seen[key] = true
		if d.ContainerID == "" {
			t.Fatalf("of nobody: %+v", d)
		}
	}
}

func TestADestinationIsToldWhatItGrewBy(t *testing.T) {
	one, two := target(1), target(2)
	tests := map[string]struct {
		steps func(l *Ledger, k *counted) []Denial // the last reading's
		want  map[Target]uint64                    // packets; the zero Target is other
	}{
		"each its own": {func(l *Ledger, k *counted) []Denial {
			k.deny(one, count(3, 180))
			read(l, start(), k, nil)
			k.deny(one, count(2, 120))
			k.deny(two, count(7, 420))
			return read(l, start(), k, nil)
		}, map[Target]uint64{one: 2, two: 7}},
		"noise is other": {func(l *Ledger, k *counted) []Denial {
			k.deny(one, count(3, 180))
			k.noise(count(4, 160))
			return read(l, start(), k, nil)
		}, map[Target]uint64{one: 3, {}: 4}},
		"what came between total and record is told next": {func(l *Ledger, k *counted) []Denial {
			k.deny(one, count(1, 60))
			first := read(l, start(), k, func() { k.deny(two, count(5, 300)) })
			k.noise(count(1, 40))
			return append(first, read(l, start(), k, nil)...)
		}, map[Target]uint64{one: 1, two: 5, {}: 1}},
		"what a listing missed is told again at the cost of others once": {func(l *Ledger, k *counted) []Denial {
			k.deny(one, count(9, 540))
			k.record = map[Target]nft.Count{} // missed: told as other
			read(l, start(), k, nil)
			k.record[one] = count(9, 540)
			k.deny(two, count(1, 60))
			read(l, start(), k, nil) // one stays late
			k.deny(two, count(9, 540))
			read(l, start(), k, nil)
			k.deny(two, count(9, 540))
			return read(l, start(), k, nil)
		}, map[Target]uint64{two: 9}},
		"an element that timed out and came again counts from nothing": {func(l *Ledger, k *counted) []Denial {
			k.deny(one, count(3, 180))
			read(l, start(), k, nil)
			delete(k.record, one)
			k.deny(one, count(8, 480))
			return read(l, start().Add(2*time.Hour), k, nil)
		}, map[Target]uint64{one: 8}},
		"without a baseline the first reading tells nothing": {func(_ *Ledger, k *counted) []Denial {
			l := NewLedger(nil)
			k.deny(one, count(3, 180))
			return read(l, start(), k, nil)
		}, map[Target]uint64{}},
		"and the next tells what came since": {func(_ *Ledger, k *counted) []Denial {
			l := NewLedger(nil)
			k.deny(one, count(3, 180))
			read(l, start(), k, nil)
			k.deny(one, count(1, 60))
			return read(l, start(), k, nil)
		}, map[Target]uint64{one: 1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := map[Target]uint64{}
			for _, d := range tt.steps(NewLedger(&Baseline{}), newCounted(99)) {
				if d.ContainerID != web || (d.Reason == ReasonOther) != (d.Target == Target{}) {
					t.Errorf("%+v", d)
				}
				got[d.Target] += d.Packets
			}
			if diff := cmp.Diff(tt.want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestTheLedgerIsBounded whatever containers reach for; what it cannot remember is other.
func TestTheLedgerIsBounded(t *testing.T) {
	l, packets := NewLedger(&Baseline{}), uint64(0)
	for i := range 60 {
		id := fmt.Sprintf("%012x", i)
		r := Reading{Time: start(), Parts: []nft.Part{{ID: id, Name: id, Count: count(2048, 2048*60)}}, Records: map[string][]nft.Denial{}}
		for n := range 2048 {
			dst := netip.AddrFrom4([4]byte{203, byte(i), byte(n >> 8), byte(n)})
			r.Records[id] = append(r.Records[id], nft.Denial{Dst: dst, Proto: nft.TCP, Port: 1, Count: count(1, 60)})
		}
		r.Partial = true
		for _, d := range l.Take(r) {
			packets += d.Packets
		}
	}
	entries := 0
	for _, a := range l.accounts {
		entries += len(a.record)
	}
	if entries != maxEntries || packets != 60*2048 {
		t.Errorf("%d destinations remembered, %d packets told", entries, packets)
	}
}
