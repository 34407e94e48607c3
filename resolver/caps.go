package resolver

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
)

// take is the answer's addresses of the families it speaks of, each once, at most AnswerAddrs a family.
// A denial remembers all.
func (c *Cache) take(a Answer, d *denial) []Record {
	var (
		taken []Record
		count [2]int
		seen  = make(map[netip.Addr]bool, len(a.Addrs))
	)
	for _, r := range a.Addrs {
		r.Addr = r.Addr.Unmap()
		i := index(r.Addr)
		if !r.Addr.IsValid() || seen[r.Addr] || !a.Families.has(i) {
			continue
		}
		seen[r.Addr] = true
		d.remember(r.Addr)
		if count[i]++; count[i] > cmp.Or(c.limits.AnswerAddrs, 64) {
			c.cut++
			continue
		}
		taken = append(taken, r)
	}
	return taken
}

// shrink evicts what a name has beyond NameAddrs: first what the current answers do not have, soonest to expire first.
func (c *Cache) shrink(e *entry) {
	over := len(e.leases) - cmp.Or(c.limits.NameAddrs, 256)
	if over <= 0 {
		return
	}
	victims := slices.SortedFunc(maps.Keys(e.leases), func(a, b netip.Addr) int {
		la, lb := e.leases[a], e.leases[b]
		if la.current != lb.current {
			return order(lb.current)
		}
		return cmp.Or(la.expires.Compare(lb.expires), a.Compare(b))
	})
	for _, addr := range victims[:over] {
		delete(e.leases, addr)
		c.evicted++
	}
}

// order is a comparison's result: before is -1, otherwise 1.
func order(before bool) int {
	if before {
		return -1
	}
	return 1
}
