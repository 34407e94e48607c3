package reconcile

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/dockerwall/dockerwall/resolver"
)

// fakeResolver forgets nothing, and says of wanted names what it was told.
type fakeResolver struct {
	mu     sync.Mutex
	wanted resolver.Wanted
	known  map[string]addrList
	took   time.Duration // to tell what it knows, in a bubble
}

func (r *fakeResolver) Want(w resolver.Wanted) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wanted = w
}

// learn takes in what a name means, and finds who wants it as the real one does.
func (r *fakeResolver) learn(name string, addrs ...netip.Addr) (found []resolver.Found) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[string]addrList{}
	}
	r.known[name] = plainAddrs(slices.Concat(r.known[name], addrs))
	addrs = plainAddrs(addrs)
	guarded := func(wild bool) addrList {
		return slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return r.wanted.Guard.Refuse(a, name, wild) != "" })
	}
	for parent := range parents(name) {
		if slices.Contains(r.wanted.DenyBelow, parent) {
			found = append(found, resolver.Found{Name: name, Below: parent, Deny: true, Addrs: addrs})
		}
		if slices.Contains(r.wanted.AllowBelow, parent) {
			found = append(found, resolver.Found{Name: name, Below: parent, Addrs: guarded(true)})
		}
	}
	if slices.Contains(r.wanted.Deny, name) {
		found = append(found, resolver.Found{Name: name, Deny: true, Addrs: addrs})
	}
	if slices.Contains(r.wanted.Allow, name) {
		found = append(found, resolver.Found{Name: name, Addrs: guarded(false)})
	}
	return found
}

func (r *fakeResolver) Names() map[string][]netip.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of(slices.Concat(r.wanted.Allow, r.wanted.Deny))
}

func (r *fakeResolver) Denied() map[string][]netip.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of(r.wanted.Deny)
}

func (r *fakeResolver) of(names []string) map[string][]netip.Addr {
	out := map[string][]netip.Addr{}
	for _, name := range names {
		out[name] = append(addrList{}, r.known[name]...)
	}
	return out
}

func (r *fakeResolver) Below() map[string][]resolver.Named {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.beneath(r.wanted.AllowBelow)
}

func (r *fakeResolver) DeniedBelow() map[string][]resolver.Named {
	if r.took > 0 {
		time.Sleep(r.took)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.beneath(r.wanted.DenyBelow)
}

func (r *fakeResolver) Overflown() map[string]bool { return nil }

func (r *fakeResolver) beneath(wild []string) map[string][]resolver.Named {
	below := map[string]beneath{}
	for _, parent := range wild {
		below[parent] = beneath{}
	}
	for name, addrs := range r.known {
		for parent := range parents(name) {
			if names, ok := below[parent]; ok {
				names[name] = addrs
			}
		}
	}
	return listed(below)
}

func (r *fakeResolver) Servers() resolver.Servers { return asking("198.51.100.53") }
