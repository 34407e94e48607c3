package resolver

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// maxZoneAddrs bounds the addresses learned under one wildcard, those of each name counted: who may ask for any name
// beneath it fills no more than its own.
const maxZoneAddrs = 4096

// zone is the names learned beneath one allowed wildcard.
type zone struct {
	names map[string]*learned
	size  int     // the addresses of each name
	warm  int     // the names that are kept warm
	list  []Named // of all of them, each once; nil when something has changed since
}

func newZone() *zone { return &zone{names: map[string]*learned{}} }

// addrs is every name's addresses, sorted, each once. The slice is shared and must not be changed.
func (z *zone) addrs() []Named {
	if z.list != nil {
		return z.list
	}
	list := make([]Named, 0, z.size)
	for name, e := range z.names {
		for addr := range e.leases {
			list = append(list, Named{addr, name})
		}
	}
	z.list = uniqueNamed(list)
	return z.list
}

// fit keeps the zones of names that were just heard within their bounds, and ends the turn in which those are spared.
func (b *below) fit(heard ...Answer) {
	for _, a := range heard {
		if e := b.names[a.Name]; e != nil {
			for _, z := range e.zones {
				b.evicted += b.shrink(z)
			}
		}
	}
	b.turn++
}

// shrink keeps a zone within its bounds: the names that would lapse first go, but for those heard in this turn. A
// sixteenth goes at a time, so that a flood is not sorted for each name. It returns how many addresses went.
func (b *below) shrink(z *zone) (evicted uint64) {
	if z.size <= maxZoneAddrs {
		return 0
	}
	type victim struct {
		*learned
		lapses time.Time
	}
	victims := make([]victim, 0, len(z.names))
	for _, e := range z.names {
		if e.turn != b.turn {
			victims = append(victims, victim{e, e.lapses()})
		}
	}
	slices.SortFunc(victims, func(x, y victim) int {
		return cmp.Or(x.lapses.Compare(y.lapses), strings.Compare(x.name, y.name))
	})
	for _, v := range victims {
		if z.size <= maxZoneAddrs-maxZoneAddrs/16 {
			break
		}
		evicted += uint64(len(v.leases))
		b.leave(v.learned, z)
	}
	return evicted
}

// lapses is when the last of a name's addresses does.
func (e *learned) lapses() (last time.Time) {
	for _, l := range e.leases {
		if l.expires.After(last) {
			last = l.expires
		}
	}
	return last
}

// change is for all that changes which addresses a name has, and reports whether it did: its zones keep count.
func (e *learned) change(f func() bool) bool {
	before := len(e.leases)
	changed := f()
	for _, z := range e.zones {
		z.size += len(e.leases) - before
		if changed {
			z.list = nil
		}
	}
	return changed
}

// named is what a denied wildcard has to deny, as far as it is remembered, sorted. The slice is shared and must not
// be changed.
func (d *denial) named() []Named {
	if d.sorted == nil {
		list := make([]Named, 0, len(d.addrs))
		for addr, name := range d.addrs {
			list = append(list, Named{addr, name})
		}
		d.sorted = uniqueNamed(list)
	}
	return d.sorted
}

func uniqueNamed(list []Named) []Named {
	slices.SortFunc(list, func(a, b Named) int { return cmp.Or(a.Addr.Compare(b.Addr), strings.Compare(a.Name, b.Name)) })
	return slices.CompactFunc(list, func(a, b Named) bool { return a.Addr == b.Addr })
}
