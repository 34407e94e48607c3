package resolver

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// NameStatus is what there is to say about one wanted name.
type NameStatus struct {
	Name     string
	Addrs    int       // live addresses
	Failures int       // questions in a row without an answer, of the family that fares worse
	Error    string    // the last failure, "" once both families are answered: "api.example.org does not exist (NXDOMAIN from 192.0.2.53)"
	Answered time.Time // the last answer, zero when there never was one
	Due      time.Time // when it is asked again
}

// Status is the state of every wanted name, sorted by name.
func (c *Cache) Status() []NameStatus {
	status := make([]NameStatus, 0, len(c.names))
	for name, e := range c.names {
		s := NameStatus{Name: name, Addrs: len(e.leases), Failures: e.failed(), Answered: e.answered, Due: e.due}
		if e.err != nil {
			s.Error = e.err.Error()
		}
		status = append(status, s)
	}
	slices.SortFunc(status, func(a, b NameStatus) int { return strings.Compare(a.Name, b.Name) })
	return status
}

// failing reports whether the last that was heard of the name, in some family, is a failure.
func (c *Cache) failing(name string) bool {
	e, ok := c.names[name]
	return ok && e.err != nil
}

// answer notes that families were answered: what they had before is no longer current.
func (e *entry) answer(families Family, now time.Time) {
	for i := range e.failures {
		if families.has(i) {
			e.failures[i] = 0
		}
	}
	if e.failed() == 0 {
		e.err = nil
	}
	e.answered = now
	for addr, l := range e.leases {
		if families.has(index(addr)) {
			l.current = false
			e.leases[addr] = l
		}
	}
}

// extend makes the record's address current and lets it live at least its lifetime from now. It reports whether the
// address is new.
func (e *entry) extend(r Record, now time.Time) (fresh bool) {
	expires := now.Add(clamp(r.TTL, minLife, maxLife))
	old, known := e.leases[r.Addr]
	if old.expires.After(expires) {
		expires = old.expires
	}
	e.leases[r.Addr] = lease{expires: expires, current: true}
	if !known {
		e.sorted = nil
	}
	return !known
}

// having is the addresses of records that the name still has, sorted, each once.
func (e *entry) having(records []Record) []netip.Addr {
	return slices.DeleteFunc(sortedRecords(records), func(addr netip.Addr) bool {
		_, ok := e.leases[addr]
		return !ok
	})
}

// held reports whether the address outlives its lifetime: the name is asked for, no newer answer lacks it, and
// the failures since are too few. A machine that was asleep therefore asks before it forgets.
func (e *entry) held(addr netip.Addr, l lease) bool {
	return !e.cold && l.current && e.failures[index(addr)] < enough
}

// live is the addresses, sorted; nil of none. One whose lifetime is over counts until prune takes it away, which is not
// before it is known whether a flow uses it. The slice is shared and must not be changed: who has a thousand names asks for
// all of them at each commit.
func (e *entry) live() []netip.Addr {
	if e.sorted == nil {
		e.sorted = slices.Clip(slices.SortedFunc(maps.Keys(e.leases), netip.Addr.Compare))
	}
	return e.sorted
}

// lapsed is the addresses whose lifetime is over.
func (e *entry) lapsed(now time.Time) []netip.Addr {
	var addrs []netip.Addr
	for addr, l := range e.leases {
		if !now.Before(l.expires) && !e.held(addr, l) {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// prune forgets the addresses whose lifetime is over, but for those in use, which live on. It reports whether
// any went.
func (e *entry) prune(now time.Time, used map[netip.Addr]bool) (changed bool) {
	for _, addr := range e.lapsed(now) {
		l := e.leases[addr]
		if used[addr] {
			l.expires = now.Add(minLife)
			e.leases[addr] = l
			continue
		}
		delete(e.leases, addr)
		e.sorted, changed = nil, true
	}
	return changed
}

// shrink evicts what there is beyond most: first what the current answers do not have, last what was just heard,
// soonest to expire first. It returns how many went.
func (e *entry) shrink(most int, heard []Record) (evicted uint64) {
	over := len(e.leases) - most
	if over <= 0 {
		return 0
	}
	spare := make(map[netip.Addr]bool, len(heard))
	for _, r := range heard {
		spare[r.Addr] = true
	}
	victims := slices.SortedFunc(maps.Keys(e.leases), func(a, b netip.Addr) int {
		la, lb := e.leases[a], e.leases[b]
		switch {
		case spare[a] != spare[b]:
			return order(spare[b])
		case la.current != lb.current:
			return order(lb.current)
		}
		return cmp.Or(la.expires.Compare(lb.expires), a.Compare(b))
	})
	for _, addr := range victims[:over] {
		delete(e.leases, addr)
	}
	e.sorted = nil
	return uint64(over)
}

// order is a comparison's result: before is -1, otherwise 1.
func order(before bool) int {
	if before {
		return -1
	}
	return 1
}

// sooner is the earlier of two times, of which zero means never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// next is when prune has something to do; zero means never.
func (e *entry) next() (next time.Time) {
	for addr, l := range e.leases {
		if !e.held(addr, l) {
			next = sooner(next, l.expires)
		}
	}
	return next
}

// failed is the worse family's count of consecutive failures.
func (e *entry) failed() int { return max(e.failures[0], e.failures[1]) }

// backoff is the wait after the n-th failure in a row: 5 s, doubled each time, at most 5 min.
func backoff(n int) time.Duration {
	return min(firstRetry<<min(max(n-1, 0), 10), lastRetry)
}

func clamp(d, low, high time.Duration) time.Duration { return min(max(d, low), high) }

// index is the family of addr as an index: 0 is IPv4, 1 is IPv6.
func index(addr netip.Addr) int {
	if addr.Is4() {
		return 0
	}
	return 1
}
