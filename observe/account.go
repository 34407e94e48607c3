package observe

import (
	"cmp"
	"maps"
	"math/bits"
	"slices"
	"time"

	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/sortby"
)

const (
	// silent is when an element that did not grow has certainly timed out: the kernel's timeout of an hour, and more than
	// lies between two readings. The one that is there then is another.
	silent = time.Hour + 5*time.Minute
	// maxMissed is how many readings something may be missing from until it is forgotten. Not at once: a listing read while
	// the table changes may miss it, and it must not be counted twice.
	maxMissed = 5
	// maxEntries bounds the destinations of all containers, some 10 MB; senders choose them.
	maxEntries = 50_000
)

// account is what has been told of one container.
type account struct {
	parts  map[string]*part // by name
	record map[Target]*entry
	// room is what the counters grew by and is not told yet; invalid is the part of it that has its own reason. Both are
	// empty between readings, but for bytes without packets.
	room, invalid nft.Count
	late          bool // an entry has something late
	misses        int
}

// part is one of the counters that the total is the sum of.
type part struct {
	last    nft.Count
	invalid bool
	missed  int
}

// entry is a destination in the kernel's record.
type entry struct {
	last nft.Count // as the kernel had it
	// late is what of it was counted after the total had been read: the total of the next reading has it.
	late   nft.Count
	grown  time.Time
	missed int
}

// grow follows one counter.
func (a *account) grow(now nft.Part) {
	p := a.parts[now.Name]
	if p == nil {
		p = &part{invalid: now.Invalid}
		a.parts[now.Name] = p
	}
	switch more := since(p.last, now.Count); {
	case now.Invalid:
		a.invalid = plus(a.invalid, more)
	default:
		a.room = plus(a.room, more)
		if now.Packets < p.last.Packets { // and so did the record
			clear(a.record)
			a.late = false
		}
	}
	p.last, p.missed = now.Count, -1
	a.misses = 0
}

func (a *account) forgetParts() {
	maps.DeleteFunc(a.parts, func(_ string, p *part) bool {
		p.missed++
		return p.missed > maxMissed
	})
}

// missed says whether all of it has been missing for long enough.
func (a *account) missed() bool {
	a.misses++
	return a.misses > maxMissed
}

// charge spreads room over the destinations; what is left is other. A destination can have grown by no more than the
// total, but for what came between the two readings: that is told at the next one, before all else. What was late then
// and has no room was told as other, when a listing had missed it. Of new destinations there is room for spare.
func (a *account) charge(record []nft.Denial, now time.Time, spare *int) []Denial {
	told := map[Target]nft.Count{}
	order := inOrder(record)
	if len(order) > 0 {
		a.forgetEntries(order, now)
	}
	var last Target
	take := func(t Target, due nft.Count) nft.Count {
		n := a.take(due)
		if n.Packets > 0 {
			told[t], last = plus(told[t], n), t
		}
		return minus(due, n)
	}
	for _, t := range a.lateInOrder() {
		take(t, a.record[t].late)
		a.record[t].late = nft.Count{}
	}
	a.late = false
	for _, d := range order {
		t := targetOf(d)
		e := a.record[t]
		if e == nil {
			if *spare <= 0 {
				continue
			}
			*spare--
			e = &entry{}
			a.record[t] = e
		}
		fresh := since(e.last, d.Count)
		if fresh.Packets > 0 {
			e.grown = now
		}
		e.late, e.last = take(t, fresh), d.Count
		a.late = a.late || e.late.Packets > 0
	}
	return a.tell(told, last)
}

// take takes of a destination's due what there is room for. Bytes follow their packets.
func (a *account) take(due nft.Count) nft.Count {
	n := nft.Count{Packets: min(due.Packets, a.room.Packets)}
	if n.Packets == 0 {
		return nft.Count{}
	}
	n.Bytes = min(share(due.Bytes, n.Packets, due.Packets), a.room.Bytes)
	a.room = minus(a.room, n)
	return n
}

// tell makes Denials of what was told of each destination and of what is left.
func (a *account) tell(told map[Target]nft.Count, last Target) (out []Denial) {
	if a.room.Packets == 0 && len(told) > 0 {
		told[last], a.room = plus(told[last], a.room), nft.Count{}
	}
	for _, t := range sortby.Collect(maps.Keys(told), compareTargets) {
		out = append(out, Denial{Target: t, Packets: told[t].Packets, Bytes: told[t].Bytes})
	}
	if a.room.Packets > 0 {
		out = append(out, other(a.room))
		a.room = nft.Count{}
	}
	return out
}

// forgetEntries forgets what has timed out, and what has not been in the record for a while.
func (a *account) forgetEntries(record []nft.Denial, now time.Time) {
	there := make(map[Target]bool, len(record))
	for _, d := range record {
		there[targetOf(d)] = true
	}
	maps.DeleteFunc(a.record, func(t Target, e *entry) bool {
		if e.missed++; there[t] {
			e.missed = 0
		}
		return e.missed > maxMissed || !e.grown.IsZero() && now.Sub(e.grown) > silent && e.late.Packets == 0
	})
}

func (a *account) lateInOrder() []Target {
	if !a.late {
		return nil
	}
	var out []Target
	for t, e := range a.record {
		if e.late.Packets > 0 {
			out = append(out, t)
		}
	}
	sortby.Func(out, compareTargets)
	return out
}

// inOrder sorts a record: the most denied come first to what room there is.
func inOrder(record []nft.Denial) []nft.Denial {
	return sortby.Collect(slices.Values(record), func(a, b nft.Denial) int {
		return cmp.Or(cmp.Compare(b.Packets, a.Packets), compareTargets(targetOf(a), targetOf(b)))
	})
}

func targetOf(d nft.Denial) Target { return Target{Dst: d.Dst, Port: d.Port, Proto: d.Proto} }

func compareTargets(a, b Target) int {
	return cmp.Or(a.Dst.Compare(b.Dst), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Proto, b.Proto))
}

// share is the part of total that n of all have, n at most all; the product may need more than 64 bits.
func share(total, n, all uint64) uint64 {
	if n == all {
		return total
	}
	high, low := bits.Mul64(total, n)
	out, _ := bits.Div64(high, low, all)
	return out
}
