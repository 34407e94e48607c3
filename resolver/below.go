package resolver

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// Named is an address and one of the names that mean it.
type Named struct {
	Addr netip.Addr
	Name string
}

// Found is what has to be in the kernel before the answer that told it may go on.
type Found struct {
	Name  string // that means the addresses
	Below string // what stands behind the "*." of the wildcard that wants them; "" for the name itself
	Deny  bool
	Addrs []netip.Addr // sorted, each once; guarded unless Deny
}

// below knows the addresses of names beneath wildcards. A wildcard cannot be asked for: they are learned from the
// answers to others. A name finds its wildcards by what stands behind its dots, so the cost is that of its labels,
// however many wildcards there are. It is pure: time is an argument. Not safe for concurrent use; made by newBelow.
type below struct {
	limits  Limits
	guard   Guard
	allow   map[string]*zone    // by what stands behind "*."
	deny    map[string]*denial  // likewise
	names   map[string]*learned // all that some zone has
	warm    map[string]*learned // those that are asked again, beside the containers
	lapse   time.Time           // before it no address lapses; zero means none does
	turn    uint64              // counts what was learned from; see fit
	cut     uint64
	evicted uint64
	over    uint64                                            // denied wildcards of which more was heard than can be remembered
	refuse  func(name string, addr netip.Addr, reason string) // is told what the guard refuses
}

// learned is a name beneath some wildcards.
type learned struct {
	entry
	name  string
	seen  time.Time // the last answer to a question that was not the daemon's
	turn  uint64    // the last in which it was heard
	zones []*zone
}

func newBelow(limits Limits) *below {
	return &below{
		limits: limits, turn: 1, allow: map[string]*zone{}, deny: map[string]*denial{}, names: map[string]*learned{},
		warm: map[string]*learned{}, refuse: func(string, netip.Addr, string) {},
	}
}

// want says which wildcards are wanted from now on, to be allowed and denied, by what stands behind "*.", and reports
// whether there are new ones. The others keep what they have. New denied ones begin with all that is known, exact names'
// addresses among it; new allowed ones with nothing.
func (b *below) want(allow, deny []string, exact *Cache) (fresh bool) {
	zones, denials := make(map[string]*zone, len(allow)), make(map[string]*denial, len(deny))
	for _, parent := range allow {
		if zones[parent] = b.allow[parent]; zones[parent] == nil {
			zones[parent], fresh = newZone(), true
		}
	}
	for _, parent := range deny {
		if denials[parent] = b.deny[parent]; denials[parent] == nil {
			denials[parent], fresh = b.newDenial(parent, exact), true
		}
	}
	for parent, z := range b.allow {
		if zones[parent] == nil {
			for _, e := range z.names {
				b.leave(e, z)
			}
		}
	}
	b.allow, b.deny = zones, denials
	return fresh
}

// hear takes in what a name means, from an answer to a container's question. Denials remember it whole. After all of a
// reply's fit has to be called.
func (b *below) hear(a Answer, now time.Time) []Found {
	found := b.hearDenied(a)
	if b.zonesOf(a.Name) == nil {
		return found
	}
	records := b.guarded(a)
	if len(records) == 0 {
		return found
	}
	e := b.learn(a.Name)
	e.seen = now
	b.refresh(e, a, records, now)
	b.keepWarm(e, now)
	b.watch(e)
	addrs := e.having(records)
	for parent := range parents(a.Name) {
		if b.allow[parent] != nil {
			found = append(found, Found{Name: a.Name, Below: parent, Addrs: addrs})
		}
	}
	return found
}

// hearDenied gives an answer's addresses to every denied wildcard above its name.
func (b *below) hearDenied(a Answer) (found []Found) {
	b.remember(a)
	var addrs []netip.Addr
	for parent := range parents(a.Name) {
		if b.deny[parent] == nil {
			continue
		}
		if addrs == nil {
			addrs = sortedRecords(a.Addrs)
		}
		found = append(found, Found{Name: a.Name, Below: parent, Deny: true, Addrs: addrs})
	}
	return found
}

// observe takes in an answer to a question of the daemon's own, and reports whether addresses changed.
func (b *below) observe(a Answer, now time.Time) (changed bool) {
	changed = b.remember(a)
	e := b.names[a.Name]
	if e == nil {
		return changed
	}
	changed = b.refresh(e, a, b.guarded(a), now) || changed
	b.fit(a)
	e.asking, e.due = false, b.again(e, now)
	b.watch(e)
	return changed
}

// keep gives a name addresses from before the program's start, to the zones and denials that are new: as if heard
// then, for the shortest lifetime.
func (b *below) keep(name string, addrs []netip.Addr, now time.Time) {
	a := Answer{Name: name, Hint: true}
	for _, addr := range addrs {
		a.Addrs = append(a.Addrs, Record{Addr: addr})
	}
	b.hear(a, now)
	b.fit(a)
}

// covers says whether a wildcard stands above name.
func (b *below) covers(name string) bool {
	for parent := range parents(name) {
		if b.allow[parent] != nil || b.deny[parent] != nil {
			return true
		}
	}
	return false
}

// learn is the name's entry, a name of every zone above it.
func (b *below) learn(name string) *learned {
	e := b.names[name]
	if e == nil {
		e = &learned{name: name, entry: entry{leases: map[netip.Addr]lease{}, cold: true}}
		b.names[name] = e
	}
	for _, z := range b.zonesOf(name) {
		if z.names[name] == nil {
			z.names[name] = e
			z.size += len(e.leases)
			z.list = nil
			if !e.cold {
				z.warm++
			}
			e.zones = append(e.zones, z)
		}
	}
	return e
}

func (b *below) zonesOf(name string) (zones []*zone) {
	for parent := range parents(name) {
		if z := b.allow[parent]; z != nil {
			zones = append(zones, z)
		}
	}
	return zones
}

// refresh gives a name the addresses of an answer, and reports whether that changed them.
func (b *below) refresh(e *learned, a Answer, records []Record, now time.Time) (changed bool) {
	changed = e.change(func() (changed bool) {
		if !a.Hint {
			e.answer(a.Families, now)
		}
		for _, r := range records {
			changed = e.extend(r, now) || changed
		}
		b.evicted += e.shrink(cmp.Or(b.limits.NameAddrs, defaultNameAddrs), records)
		return changed // what goes makes room for something new
	})
	e.turn = b.turn
	return changed
}

// guarded is the answer's addresses but for those that no answer may open to a wildcard.
func (b *below) guarded(a Answer) []Record {
	records, cut := a.capped(b.limits)
	b.cut += cut
	return slices.DeleteFunc(records, func(r Record) bool {
		reason := b.guard.Refuse(r.Addr, a.Name, true)
		if reason != "" {
			b.refuse(a.Name, r.Addr, reason)
		}
		return reason != ""
	})
}

// leave takes a name out of a zone; in none it is forgotten.
func (b *below) leave(e *learned, z *zone) {
	delete(z.names, e.name)
	z.size -= len(e.leases)
	z.list = nil
	if !e.cold {
		z.warm--
	}
	e.zones = slices.DeleteFunc(e.zones, func(o *zone) bool { return o == z })
	if len(e.zones) == 0 {
		delete(b.names, e.name)
		delete(b.warm, e.name)
	}
}

// lapsed and expire are those of [Cache].
func (b *below) lapsed(now time.Time) (addrs []netip.Addr) {
	b.lapse = time.Time{}
	for _, e := range b.names {
		addrs = append(addrs, e.lapsed(now)...)
		b.watch(e)
	}
	return addrs
}

func (b *below) expire(now time.Time, used map[netip.Addr]bool) (changed bool) {
	b.lapse = time.Time{}
	for _, e := range b.names {
		changed = e.change(func() bool { return e.prune(now, used) }) || changed
		b.watch(e)
		if len(e.leases) == 0 {
			for _, z := range slices.Clone(e.zones) {
				b.leave(e, z)
			}
		}
	}
	return changed
}

func sortedRecords(records []Record) []netip.Addr {
	out := make([]netip.Addr, 0, len(records))
	for _, r := range records {
		if addr := r.Addr.Unmap(); addr.IsValid() {
			out = append(out, addr)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}
