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
// how many are beyond that.
func (a Answer) capped(limits Limits) (taken []Record, cut uint64) {
	var (
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
		if count[i]++; count[i] > cmp.Or(limits.AnswerAddrs, defaultAnswerAddrs) {
			cut++
			continue
		}
		taken = append(taken, r)
	}
	return taken, cut
}
