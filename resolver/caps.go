package resolver

import (
	"cmp"
	"net/netip"
)

// Defaults of [Limits].
const (
	defaultAnswerAddrs = 64
	defaultNameAddrs   = 256
)

// capped is the answer's addresses of the families it speaks of, unmapped, each once, at most AnswerAddrs a family, and
// how many records are beyond that.
func (a Answer) capped(limits Limits) (taken []Record, cut uint64) {
	var (
		count [2]int
		most  = cmp.Or(limits.AnswerAddrs, defaultAnswerAddrs)
		seen  = make(map[netip.Addr]bool, min(len(a.Addrs), 2*most))
	)
	for _, r := range a.Addrs {
		r.Addr = r.Addr.Unmap()
		i := index(r.Addr)
		switch {
		case !r.Addr.IsValid() || !a.Families.has(i):
		case count[i] == most: // there may be thousands
			cut++
		case !seen[r.Addr]:
			seen[r.Addr] = true
			count[i]++
			taken = append(taken, r)
		}
	}
	return taken, cut
}
