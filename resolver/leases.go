package resolver

// Leases are the addresses of names and until when each lives.
type Leases struct {
	Names map[string][]Lease            // of names in full, see [Cache.Live]
	Below map[string]map[string][]Lease // learned beneath allowed wildcards, by what stands behind the "*.", then by name
}

// Leases is what Names and Below say, with the end of each address's life; those of names in full are not guarded.
func (r *Resolver) Leases() Leases {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := Leases{Names: r.cache.Live(), Below: make(map[string]map[string][]Lease, len(r.below.allow))}
	for parent, z := range r.below.allow {
		names := make(map[string][]Lease, len(z.names))
		for name, e := range z.names {
			names[name] = e.list()
		}
		out.Below[parent] = names
	}
	return out
}

// list is the addresses with the ends of their lives, sorted.
func (e *entry) list() []Lease {
	leases := make([]Lease, 0, len(e.leases))
	for _, addr := range e.live() {
		leases = append(leases, Lease{Addr: addr, Expires: e.leases[addr].expires})
	}
	return leases
}
