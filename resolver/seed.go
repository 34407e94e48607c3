package resolver

import "strings"

// A denial begins with what is known when it becomes wanted: an address that was learned while its name was allowed
// must not survive the name's denial.

// newDenial is a newly denied wildcard with what is known of names beneath it: by their own lifetimes, and by other
// denials.
func (b *below) newDenial(parent string, exact *Cache) *denial {
	d := newDenial(maxDeniedBelow)
	beneath := func(name string) bool { return strings.HasSuffix(name, "."+parent) }
	for name, e := range exact.names {
		if beneath(name) {
			d.rememberLeases(name, e)
		}
	}
	for name, e := range b.names {
		if beneath(name) {
			d.rememberLeases(name, &e.entry)
		}
	}
	for name, other := range exact.denied {
		if beneath(name) {
			d.rememberNames(other, beneath)
		}
	}
	for _, other := range b.deny {
		d.rememberNames(other, beneath)
	}
	return d
}

func (d *denial) rememberLeases(name string, e *entry) {
	for addr := range e.leases {
		d.remember(addr, name)
	}
}

// rememberNames takes over what another denial knows of some names.
func (d *denial) rememberNames(other *denial, want func(name string) bool) {
	for addr, name := range other.addrs {
		if want(name) {
			d.remember(addr, name)
		}
	}
}

// remember gives an answer's addresses to every denied wildcard above its name, and reports whether any had not all of
// them.
func (b *below) remember(a Answer) (changed bool) {
	for parent := range parents(a.Name) {
		d := b.deny[parent]
		if d == nil {
			continue
		}
		before := d.at()
		d.rememberAll(a)
		changed = changed || d.at() != before
		if d.at().over && !before.over {
			b.over++
		}
	}
	return changed
}

// newlyDenied is the names that are to be denied in full and were not, with what is known of each beneath wildcards. It
// is for [Cache.know], once they are wanted; the wildcards may have changed by then.
func (b *below) newlyDenied(names []string, exact *Cache) map[string]*denial {
	out := map[string]*denial{}
	for _, name := range names {
		if exact.denied[name] == nil {
			out[name] = newDenial(maxDenied)
			if e := b.names[name]; e != nil {
				out[name].rememberLeases(name, &e.entry)
			}
		}
	}
	if len(out) == 0 {
		return nil
	}
	for _, d := range b.deny {
		for addr, name := range d.addrs {
			out[name].remember(addr, name)
		}
	}
	return out
}

// know adds to what the denials of names begin with.
func (c *Cache) know(names map[string]*denial) {
	for name, d := range names {
		c.denied[name].rememberNames(d, func(string) bool { return true })
	}
}
