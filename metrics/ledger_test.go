package metrics

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

var epoch = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// address is the nth of many.
func address(n int) netip.Addr {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], 0x0b000000+uint32(n))
	return netip.AddrFrom4(a)
}

// kernel plays the kernel's counters of one container: a total, and a set of destinations with room
// for a few.
type kernel struct {
	c    Container
	size int
	at   map[netip.Addr]int
}

func newKernel(n, size int) *kernel {
	return &kernel{
		c:    Container{ID: fmt.Sprintf("%064x", n+1)[48:] + fmt.Sprintf("%048x", 0), Name: fmt.Sprintf("c%d", n), Image: "app", Sent: []Part{{Name: "sent"}}, Drops: []Part{{Name: "drop"}}},
		size: size, at: make(map[netip.Addr]int),
	}
}

func (k *kernel) deny(dst netip.Addr, packets uint64) {
	k.accept(packets)
	k.c.Drops[0].count(packets)
	i, known := k.at[dst]
	if !known {
		if len(k.at) >= k.size {
			return
		}
		i = len(k.c.Denied)
		k.at[dst] = i
		k.c.Denied = append(k.c.Denied, Denied{Dst: dst, Proto: protoUDP, Port: 53})
	}
	k.c.Denied[i].Packets += packets
}

func (k *kernel) accept(packets uint64) {
	k.c.Sent[0].count(packets)
}

func (p *Part) count(packets uint64) {
	p.Packets += packets
	p.Bytes += 100 * packets
}

// reading is what is read of k now.
func (k *kernel) reading() Container {
	c := k.c
	c.Sent, c.Drops, c.Denied = slices.Clone(c.Sent), slices.Clone(c.Drops), slices.Clone(c.Denied)
	return c
}

// forget empties the set of destinations, as timeouts do.
func (k *kernel) forget() {
	k.c.Denied, k.at = nil, make(map[netip.Addr]int)
}

// sum is what a's series add up to.
func sum(a *account) uint64 { return a.shown() + a.other }

// count is the number of series of dockerwall_dropped_packets.
func count(l *ledger) (n int) {
	for _, a := range l.accounts {
		n += len(a.series)
		if a.other > 0 {
			n++
		}
	}
	return n
}

func snapshotOf(kernels ...*kernel) Snapshot {
	var s Snapshot
	for _, k := range kernels {
		s.Containers = append(s.Containers, k.c)
	}
	return s
}

func (l *ledger) of(k *kernel) *account { return l.accounts[k.c.ID[:idDigits]] }

func TestATornReadingIsToldNextTime(t *testing.T) {
	l, k := newLedger(ByIP), newKernel(0, 30)
	k.deny(address(1), 10)
	torn := k.reading()
	k.deny(address(1), 5)
	torn.Denied = append([]Denied(nil), k.c.Denied...) // 15 to the destination, 10 in all
	l.update(Snapshot{Containers: []Container{torn}}, epoch)
	if a := l.of(k); a.shown() != 10 || a.other != 0 {
		t.Errorf("torn: %d shown, %d other", a.shown(), a.other)
	}
	l.update(snapshotOf(k), epoch.Add(time.Second))
	if a := l.of(k); a.shown() != 15 || a.other != 0 {
		t.Errorf("then: %d shown, %d other", a.shown(), a.other)
	}
}

func TestWhatGrewUnreadIsToldAsOther(t *testing.T) {
	l, k := newLedger(ByIP), newKernel(0, 30)
	k.deny(address(1), 10)
	l.update(snapshotOf(k), epoch)
	for i := range 2 * forgetReading { // longer than a reading is kept
		k.deny(address(1), 1)
		unread := k.c
		unread.Denied, unread.Unread = nil, true
		l.update(Snapshot{Containers: []Container{unread}}, epoch.Add(time.Duration(i+1)*time.Second))
	}
	for _, step := range []struct{ more, shown, other uint64 }{{5, 10, 15}, {3, 13, 15}} {
		k.deny(address(1), step.more)
		l.update(snapshotOf(k), epoch.Add(time.Minute))
		if a := l.of(k); a.shown() != step.shown || a.other != step.other {
			t.Errorf("%d shown, %d other; want %d and %d", a.shown(), a.other, step.shown, step.other)
		}
	}
}

func TestAcceptedStandsStillWhereItWouldDecrease(t *testing.T) {
	l, k := newLedger(ByIP), newKernel(0, 30)
	k.accept(10)
	l.update(snapshotOf(k), epoch)
	torn := k.reading() // what was sent is read, then a packet is denied, then the denied total is read
	k.deny(address(1), 3)
	torn.Drops = k.c.Drops
	l.update(Snapshot{Containers: []Container{torn}}, epoch.Add(time.Second))
	if a := l.of(k); a.accepted != 10 || sum(a) != 3 {
		t.Errorf("torn: %d accepted, %d denied", a.accepted, sum(a))
	}
	l.update(snapshotOf(k), epoch.Add(2*time.Second))
	if a := l.of(k); a.accepted != 10 || sum(a) != 3 {
		t.Errorf("then: %d accepted, %d denied", a.accepted, sum(a))
	}
}

func TestAFreshTableDoesNotCountTwice(t *testing.T) {
	l, k := newLedger(ByIP), newKernel(0, 30)
	k.deny(address(1), 100)
	k.accept(50)
	l.update(snapshotOf(k), epoch)
	fresh := newKernel(0, 30)
	fresh.deny(address(1), 3)
	fresh.accept(2)
	l.update(snapshotOf(fresh), epoch.Add(time.Minute))
	if a := l.of(k); sum(a) != 103 || a.shown() != 103 || a.denied != 103 || a.accepted != 52 {
		t.Errorf("shown %d, other %d, drop %d, accept %d", a.shown(), a.other, a.denied, a.accepted)
	}
}

func TestSeriesAreStableFirstComeFirstShown(t *testing.T) {
	l, k, now := newLedger(ByIP), newKernel(0, 1000), epoch
	for n := range 19 {
		k.deny(address(n), 1)
	}
	l.update(snapshotOf(k), now)
	first := l.of(k).targets()
	for n := range 500 {
		k.deny(address(n), 1000)
	}
	now = now.Add(time.Minute)
	l.update(snapshotOf(k), now)
	a := l.of(k)
	if got := a.targets(); fmt.Sprint(got) != fmt.Sprint(first) || len(got) != 19 {
		t.Errorf("series changed:\n%v\n%v", first, got)
	}
	if a.shown() != 19*1001 || a.other != 481*1000 || l.overflow != a.other {
		t.Errorf("shown %d, other %d, overflow %d", a.shown(), a.other, l.overflow)
	}
}

func TestAnIdleDestinationMakesRoom(t *testing.T) {
	l, k, now := newLedger(ByIP), newKernel(0, 1000), epoch
	for n := range 25 {
		k.deny(address(n), uint64(100-n)) // 19 shown, the six smallest not
	}
	l.update(snapshotOf(k), now)
	for range 4 {
		now = now.Add(15 * time.Minute)
		k.deny(address(24), 1)
		before := told(l)
		l.update(snapshotOf(k), now)
		wantGrown(t, before, told(l))
	}
	k.deny(address(24), 1)
	k.c.Drops[0].Packets += 50 // to destinations that found the kernel's set full
	l.update(snapshotOf(k), now.Add(time.Minute))
	a := l.of(k)
	if len(a.series) != 1 || a.shown() != 1 || sum(a) != k.c.Drops[0].Packets {
		t.Errorf("%d series with %d packets, %d in all of %d", len(a.series), a.shown(), sum(a), k.c.Drops[0].Packets)
	}
	if l.taken != 2 {
		t.Errorf("%d series taken", l.taken)
	}
}

func TestTheDeadAreShownForFiveMinutes(t *testing.T) {
	l, k, other := newLedger(ByIP), newKernel(0, 30), newKernel(1, 30)
	k.deny(address(1), 10)
	other.deny(address(2), 10)
	l.update(snapshotOf(k, other), epoch)
	l.update(snapshotOf(other), epoch.Add(keepDead-time.Second))
	if a := l.of(k); a == nil || sum(a) != 10 {
		t.Errorf("not shown: %+v", a)
	}
	l.update(snapshotOf(other), epoch.Add(keepDead))
	if l.of(k) != nil || l.of(other) == nil {
		t.Error("still shown, or the living is not")
	}
	if l.taken != 2 || l.denied != 20 {
		t.Errorf("%d series taken, %d denied in all", l.taken, l.denied)
	}
}

func TestALateContainerTakesTheIdlestSeries(t *testing.T) {
	l, now := newLedger(ByIP), epoch
	var kernels []*kernel
	for i := range 30 {
		k := newKernel(i, 100)
		for n := range 25 {
			k.deny(address(1000*i+n), 1)
		}
		kernels = append(kernels, k)
		now = now.Add(time.Second)
		l.update(snapshotOf(kernels...), now)
		if got := count(l); got > maxSeries {
			t.Fatalf("%d containers: %d series", i+1, got)
		}
	}
	for _, k := range kernels {
		if a := l.of(k); sum(a) != 25 {
			t.Errorf("%s: %d", k.c.Name, sum(a))
		}
	}
	if got := len(l.of(kernels[0]).series); got != 19-5 { // 25 containers fill it, 5 more came
		t.Errorf("the first container has %d series", got)
	}
}

func TestAContainerListedTwiceIsToldOnce(t *testing.T) {
	l, k := newLedger(ByIP), newKernel(0, 30)
	k.deny(address(1), 10)
	l.update(snapshotOf(k, k, newKernel(1, 1)), epoch)
	if a := l.of(k); sum(a) != 10 || len(l.accounts) != 2 {
		t.Errorf("%d packets, %d containers", sum(a), len(l.accounts))
	}
}
