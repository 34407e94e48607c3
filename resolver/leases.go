package resolver

import (
	"maps"
	"slices"
)

// Leases are the addresses of names and until when each lives.
type Leases struct {
	Names map[string][]Lease            // of names in full, see [Cache.Live]
	Below map[string]map[string][]Lease // learned beneath allowed wildcards, by what stands behind the "*.", then by name
}

// Leases is what Names and Below say, with the end of each address's life; those of names in full are not guarded. It is
// not of one moment: a wildcard may have thousands of names, and DNS answers wait for no more than one wildcard's.
func (r *Resolver) Leases() Leases {
	names, parents := r.inFull()
	out := Leases{Names: names, Below: make(map[string]map[string][]Lease, len(parents))}
	for _, parent := range parents {
		if beneath := r.beneath(parent); beneath != nil {
			out.Below[parent] = beneath
		}
	}
	return out
}

// inFull are the names in full, and the wildcards.
func (r *Resolver) inFull() (names map[string][]Lease, parents []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cache.Live(), slices.Collect(maps.Keys(r.below.allow))
}

// beneath are the names learned beneath one wildcard; nil if it is not wanted any more.
func (r *Resolver) beneath(parent string) map[string][]Lease {
	r.mu.Lock()
	defer r.mu.Unlock()
	z := r.below.allow[parent]
	if z == nil {
		return nil
	}
	names := make(map[string][]Lease, len(z.names))
	for name, e := range z.names {
		names[name] = e.list()
	}
	return names
}

// list is the addresses with the ends of their lives, sorted.
func (e *entry) list() []Lease {
	leases := make([]Lease, 0, len(e.leases))
	for _, addr := range e.live() {
		leases = append(leases, Lease{Addr: addr, Expires: e.leases[addr].expires})
	}
	return leases
}
