package resolver

import (
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
func (c *Cache) Status(now time.Time) []NameStatus {
	status := make([]NameStatus, 0, len(c.names))
	for name, e := range c.names {
		s := NameStatus{Name: name, Addrs: len(e.live(now)), Failures: e.failed(), Answered: e.answered, Due: e.due}
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

// extend makes the record's address current and lets it live at least its lifetime from now.
func (e *entry) extend(r Record, now time.Time) {
	expires := now.Add(clamp(r.TTL, minLife, maxLife))
	if old := e.leases[r.Addr].expires; old.After(expires) {
		expires = old
	}
	e.leases[r.Addr] = lease{expires: expires, current: true}
}

// held reports whether the address outlives its lifetime: no newer answer lacks it, and the failures
// since are too few. A machine that was asleep therefore asks before it forgets.
func (e *entry) held(addr netip.Addr, l lease) bool {
	return l.current && e.failures[index(addr)] < enough
}

// live is the addresses that count at now, sorted.
func (e *entry) live(now time.Time) []netip.Addr {
	var addrs []netip.Addr
	for addr, l := range e.leases {
		if now.Before(l.expires) || e.held(addr, l) {
			addrs = append(addrs, addr)
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs
}

// prune forgets the addresses that no longer count and reports whether there were any.
func (e *entry) prune(now time.Time) (changed bool) {
	for addr, l := range e.leases {
		if !now.Before(l.expires) && !e.held(addr, l) {
			delete(e.leases, addr)
			changed = true
		}
	}
	return changed
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
