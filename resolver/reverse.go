package resolver

import (
	"net/netip"
	"slices"
	"time"
)

// Bounds of what is remembered for people: addresses, and names of each; and log lines a minute. Both are filled
// by whoever asks for names.
const (
	maxReverse      = 8192 // in each of two generations
	maxReverseNames = 3
	maxRefusals     = 30
)

// reverse knows what addresses were called, the latest of them: when the young are as many as fit, they become the old.
// The zero value is ready for use.
type reverse struct{ young, old map[netip.Addr][]string }

// add takes in what a reply calls its addresses: what was asked for. Of a huge one that is as many as names get.
func (v *reverse) add(reply Reply) {
	for _, a := range reply.Answers {
		if a.Name != reply.Question {
			continue
		}
		records, _ := a.capped(Limits{})
		for _, rec := range records {
			v.put(rec.Addr, a.Name)
		}
	}
}

func (v *reverse) put(addr netip.Addr, name string) {
	known, ok := v.young[addr]
	if !ok {
		known = v.old[addr]
		if len(v.young) >= maxReverse {
			v.young, v.old = nil, v.young
		}
	}
	if v.young == nil {
		v.young = make(map[netip.Addr][]string)
	}
	if len(known) == 0 || known[len(known)-1] != name {
		known = slices.DeleteFunc(slices.Clone(known), func(other string) bool { return other == name })
		known = append(known[max(0, len(known)-maxReverseNames+1):], name)
	}
	v.young[addr] = known
}

// names is the names of an address, the latest last. The slice is shared and must not be changed.
func (v *reverse) names(addr netip.Addr) []string {
	names, ok := v.young[addr.Unmap()]
	if !ok {
		names = v.old[addr.Unmap()]
	}
	return names
}

// refusals counts what the guard refused, and tells each name and reason once a minute. The zero value is ready for
// use.
type refusals struct {
	count map[string]uint64 // by reason
	since time.Time
	lines map[string]bool
}

// note counts, and says whether to log.
func (f *refusals) note(name, reason string, now time.Time) bool {
	if f.count == nil {
		f.count = map[string]uint64{}
	}
	f.count[reason]++
	if now.Sub(f.since) >= time.Minute {
		f.since, f.lines = now, map[string]bool{}
	}
	line := name + " " + reason
	if f.lines[line] || len(f.lines) >= maxRefusals {
		return false
	}
	f.lines[line] = true
	return true
}
