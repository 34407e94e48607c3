package resolver

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// Bounds of what is remembered of one denied name, and of all names beneath a denied wildcard. Whoever owns the zone
// may answer with other addresses each time; what goes beyond is no longer known, for what it lacks could not
// be denied.
const (
	maxDenied      = 16384
	maxDeniedBelow = 65536
)

// denial is every address that was ever answered for a name while it is denied: neither lifetimes nor
// [Limits] take one away, so that a zone's owner cannot make an address drop out by answering with others.
type denial struct {
	most  int
	addrs map[netip.Addr]string // and the name that first had each
	stage stage

	sorted []Named // all of addrs, when somebody asked since the last was remembered
}

// stage tells whether a denial has changed: it only grows.
type stage struct {
	addrs int
	known Family // bits of the families that a resolver has settled since the name is denied
	over  bool   // there were more than most
}

// deny says which names are denied from now on: others' addresses are forgotten. A name new here begins
// with what it has as an allowed one, which caps and lifetimes may have cut, and is asked at once. All
// names are wanted already.
func (c *Cache) deny(names []string, now time.Time) {
	denied := make(map[string]*denial, len(names))
	for _, name := range names {
		d := cmp.Or(denied[name], c.denied[name])
		if d == nil {
			d = newDenial(maxDenied)
			for addr := range c.names[name].leases {
				d.remember(addr, name)
			}
			c.names[name].due = now
		}
		denied[name] = d
	}
	c.denied = denied
}

func newDenial(most int) *denial { return &denial{most: most, addrs: map[netip.Addr]string{}} }

// Denied is every address of each denied name, sorted, also those that no longer live. A name whose addresses
// are not known has nil: some family has had neither addresses nor a resolver's word that there are
// none since the name is denied. A known name without any has an empty slice. Of one that had more than can be
// remembered, which Resolver.Overflown tells, it is those that are.
func (c *Cache) Denied() map[string][]netip.Addr {
	out := make(map[string][]netip.Addr, len(c.denied))
	for name, d := range c.denied {
		out[name] = d.list()
	}
	return out
}

func (d *denial) list() []netip.Addr {
	if d.stage.known != both {
		return nil
	}
	out := slices.AppendSeq(make([]netip.Addr, 0, len(d.addrs)), maps.Keys(d.addrs))
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

// remember, settle and at do nothing to a name that is not denied: nil.

func (d *denial) remember(addr netip.Addr, name string) {
	switch {
	case d == nil || !addr.IsValid() || d.addrs[addr] != "":
	case len(d.addrs) >= d.most:
		d.stage.over = true
	default:
		d.addrs[addr] = name
		d.stage.addrs++
		d.sorted = nil
	}
}

// rememberAll takes an answer whole, whatever the caps and the family that was asked for.
func (d *denial) rememberAll(a Answer) {
	for _, r := range a.Addrs {
		d.remember(r.Addr.Unmap(), a.Name)
	}
}

// settle notes that a resolver has said all about families, given as bits.
func (d *denial) settle(families Family) {
	if d != nil {
		d.stage.known |= families
	}
}

func (d *denial) at() stage {
	if d == nil {
		return stage{}
	}
	return d.stage
}
