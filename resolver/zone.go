package resolver

import (
	"cmp"
	"maps"
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

// shrink keeps a zone within its bounds: the names that would lapse first go, but for the one just heard. A
// sixteenth goes at a time, so that a flood is not sorted for each name. It returns how many addresses went.
func (b *below) shrink(z *zone, spare *learned) (evicted uint64) {
	if z.size <= maxZoneAddrs {
		return 0
	}
	victims := slices.SortedFunc(maps.Values(z.names), func(x, y *learned) int {
		return cmp.Or(x.lapses().Compare(y.lapses()), strings.Compare(x.name, y.name))
	})
	for _, e := range victims {
		if z.size <= maxZoneAddrs-maxZoneAddrs/16 {
			break
		}
		if e != spare {
			evicted += uint64(len(e.leases))
			b.leave(e, z)
		}
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

// change is for all that changes the addresses of a name: its zones keep count.
func (e *learned) change(f func()) {
	before := len(e.leases)
	f()
	for _, z := range e.zones {
		z.size += len(e.leases) - before
		z.list = nil
	}
}

// named is what a denied wildcard has to deny, sorted; nil when there was more than can be remembered.
func (d *denial) named() []Named {
	if d.stage.over {
		return nil
	}
	list := make([]Named, 0, len(d.addrs))
	for addr, name := range d.addrs {
		list = append(list, Named{addr, name})
	}
	return uniqueNamed(list)
}

func uniqueNamed(list []Named) []Named {
	slices.SortFunc(list, func(a, b Named) int { return cmp.Or(a.Addr.Compare(b.Addr), strings.Compare(a.Name, b.Name)) })
	return slices.CompactFunc(list, func(a, b Named) bool { return a.Addr == b.Addr })
}
