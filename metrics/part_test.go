package metrics

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// moving plays the kernel's counters of a container whose addresses come and go, and knows what was really sent.
type moving struct {
	kernel                 *kernel
	sent, invalid          map[string]uint64 // by address: the parts
	drop                   uint64
	allowed, denied, noise uint64 // ever; noise is of denied
}

func newMoving() *moving {
	return &moving{kernel: newKernel(0, 0), sent: map[string]uint64{}, invalid: map[string]uint64{}}
}

// some of the counters: those of an address, or with drop that of the chain.
func (m *moving) some(addresses []string, drop bool) Container {
	c := m.kernel.c
	c.Sent, c.Drops, c.Partial = nil, nil, !drop
	for _, a := range addresses {
		c.Sent = append(c.Sent, partOf("sent4 "+a, m.sent[a]))
		invalid := partOf("invalid4 "+a, m.invalid[a])
		invalid.Invalid = true
		c.Drops = append(c.Drops, invalid)
	}
	if drop {
		c.Drops = append(c.Drops, partOf("c_drop", m.drop))
	}
	return c
}

func partOf(name string, packets uint64) Part {
	return Part{Name: name, Packets: packets, Bytes: 100 * packets}
}

func (m *moving) all() Container { return m.some(slices.Sorted(maps.Keys(m.sent)), true) }

// send sends from an address and has it allowed, denied and misplaced.
func (m *moving) send(address string, allowed, denied, noise uint64) {
	if _, there := m.sent[address]; !there {
		return
	}
	m.sent[address] += allowed + denied + noise
	m.invalid[address] += noise
	m.drop += denied
	m.allowed, m.denied, m.noise = m.allowed+allowed, m.denied+denied+noise, m.noise+noise
}

func (m *moving) lose(address string) {
	delete(m.sent, address)
	delete(m.invalid, address)
}

// come gives an address to the container, which counts from zero unless it has it.
func (m *moving) come(address string) {
	if _, there := m.sent[address]; !there {
		m.sent[address], m.invalid[address] = 0, 0
	}
}

// restart is what a new chain, or a new table, begins with.
func (m *moving) restart() {
	m.drop = 0
	for a := range m.sent {
		m.sent[a], m.invalid[a] = 0, 0
	}
}

// check says whether an account has what was really sent, under each verdict.
func (m *moving) check(t *rapid.T, l *ledger) {
	a := l.of(m.kernel)
	got := fmt.Sprint(a.accepted, a.acceptedBytes, a.denied, a.deniedBytes, a.invalid, sum(a), l.denied, l.invalid)
	want := fmt.Sprint(m.allowed, 100*m.allowed, m.denied, 100*m.denied, m.noise, m.denied, m.denied, m.noise)
	if got != want {
		t.Fatalf("allowed, its bytes, denied, its bytes, invalid, series, all denied, all invalid:\n%s; really\n%s", got, want)
	}
}

// TestTotalsAreWhatWasSentWhateverPartsComeAndGo: addresses lost and had again, told of before or found out later, commits
// that are refused, listings that miss something, containers and tables that start anew, long silence.
func TestTotalsAreWhatWasSentWhateverPartsComeAndGo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, m, now := newLedger(ByIP), newMoving(), epoch
		m.come("a")
		address := func() string { return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "address") }
		take := func(c Container) {
			before := told(l)
			l.update(Snapshot{Containers: []Container{c}}, now)
			for name, v := range told(l) {
				if v < before[name] {
					t.Fatalf("%s went from %d to %d", name, before[name], v)
				}
			}
		}
		scrape := func() { take(m.all()); m.check(t, l) }
		n := func(of string) uint64 { return rapid.Uint64Range(0, 9).Draw(t, of) }
		t.Repeat(map[string]func(*rapid.T){
			"send":        func(*rapid.T) { m.send(address(), n("allowed"), n("denied"), n("invalid")) },
			"scrape":      func(*rapid.T) { scrape() },
			"come":        func(*rapid.T) { m.come(address()) },
			"time passes": func(*rapid.T) { now = now.Add(time.Duration(n("minutes")) * time.Minute) },
			"lose, told of before": func(*rapid.T) {
				a := address()
				if _, there := m.sent[a]; !there {
					return
				}
				l.leave([]Container{m.some([]string{a}, false)}, now)
				if refused := rapid.Bool().Draw(t, "refused"); refused {
					l.left(false)
					return
				}
				m.lose(a)
				l.left(true)
				if again := rapid.Bool().Draw(t, "again"); again {
					m.come(a)
					m.send(a, n("allowed"), n("denied"), n("invalid"))
				}
			},
			"lose, found out later": func(*rapid.T) {
				scrape()
				m.lose(address())
				for range forgetReading + 1 {
					scrape()
				}
			},
			"lose, have again at once": func(*rapid.T) {
				scrape()
				a := address()
				m.lose(a)
				m.come(a)
				scrape()
			},
			"a listing misses an address": func(*rapid.T) {
				scrape()
				take(m.some(nil, true))
				scrape()
			},
			"the container goes and comes": func(*rapid.T) {
				l.leave([]Container{m.all()}, now)
				l.left(true)
				m.restart()
				m.send("a", n("allowed"), n("denied"), n("invalid"))
				scrape() // before it is too long gone
			},
			"the table is made anew": func(*rapid.T) { scrape(); m.restart(); scrape() },
			"others leave": func(*rapid.T) {
				l.leave([]Container{{ID: newKernel(1, 0).c.ID}}, now)
				l.left(true)
			},
		})
		scrape()
		if p := len(l.of(m.kernel).parts); p > 7 {
			t.Fatalf("%d parts remembered", p)
		}
	})
}

// TestPartsThatAreGoneAreForgotten after some scrapes, so that addresses without end do not add up.
func TestPartsThatAreGoneAreForgotten(t *testing.T) {
	l, m := newLedger(ByIP), newMoving()
	for i := range 100 {
		a := fmt.Sprint(i)
		m.come(a)
		m.send(a, 3, 2, 1)
		l.update(Snapshot{Containers: []Container{m.all()}}, epoch)
		m.lose(a)
	}
	a := l.of(m.kernel)
	if most := 1 + 2*(forgetReading+1); len(a.parts) > most || a.accepted != 300 || a.denied != 300 || a.invalid != 100 {
		t.Errorf("%d parts, want at most %d; %d accepted, %d denied, %d invalid", len(a.parts), most, a.accepted, a.denied, a.invalid)
	}
}

// TestALostAddressTellsNothingOfDestinations: they were not read then, which is not that they are gone.
func TestALostAddressTellsNothingOfDestinations(t *testing.T) {
	l, k := newLedger(ByIP), newKernel(0, 30)
	k.deny(address(1), 10)
	l.update(snapshotOf(k), epoch)
	for i := range forgetReading + 1 {
		lost := k.reading()
		lost.Sent, lost.Drops, lost.Denied, lost.Partial = []Part{partOf(fmt.Sprint("sent4 ", i), 1)}, nil, nil, true
		l.leave([]Container{lost}, epoch)
		l.left(true)
	}
	k.c.Drops[0].Packets += 5 // to destinations that found the kernel's set full
	l.update(snapshotOf(k), epoch)
	if a := l.of(k); a.shown() != 10 || a.other != 5 {
		t.Errorf("%d shown, %d other; want 10 and 5", a.shown(), a.other)
	}
}

// TestWhatLeftIsAnotherCounterWhenItComesAgain, also when that has counted more by then than the one before.
func TestWhatLeftIsAnotherCounterWhenItComesAgain(t *testing.T) {
	for name, test := range map[string]struct {
		went bool
		want uint64
	}{
		"gone by the commit":    {true, 12 + 20},
		"the commit is refused": {false, 20},
	} {
		t.Run(name, func(t *testing.T) {
			now := newMoving().kernel.c
			sent := func(packets uint64) Container {
				c := now
				c.Sent = []Part{partOf("sent4 a", packets)}
				return c
			}
			now = sent(10)
			m := scraped(t, func(context.Context) Snapshot { return Snapshot{Containers: []Container{now}} })
			ours(t, m)
			m.Observe(func() []Container { return []Container{sent(12)} })
			m.Committed(test.went)
			m.Committed(!test.went) // of another commit
			now = sent(20)
			ours(t, m)
			if a := m.ledger.of(newMoving().kernel); a.accepted != test.want {
				t.Errorf("%d packets, want %d", a.accepted, test.want)
			}
		})
	}
}
