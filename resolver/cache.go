package resolver

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// Lifetimes and intervals. An address lives clamp(TTL, minLife, maxLife) after the last answer that had
// it; a name is asked again after clamp(TTL/2, minAsk, maxAsk), or after a back-off between failures.
// The five failures are CoreDNS's ocp_dnsnameresolver's rule.
const (
	minLife    = 5 * time.Minute
	maxLife    = 24 * time.Hour
	minAsk     = 30 * time.Second
	maxAsk     = 15 * time.Minute
	firstRetry = 5 * time.Second
	lastRetry  = 5 * time.Minute
	enough     = 5 // consecutive failures after which expired addresses go
)

// Family is a set of address families; the zero value means both.
type Family uint8

// The address families, one per kind of question: A and AAAA.
const (
	IPv4 Family = 1 << iota
	IPv6
	both = IPv4 | IPv6
)

// has reports whether f holds the family with index i: 0 is IPv4, 1 is IPv6.
func (f Family) has(i int) bool { return f == 0 || f&(1<<i) != 0 }

// bits is f with both families spelled out.
func (f Family) bits() Family { return cmp.Or(f, both) }

// Record is one address of an answer and how long the resolver said it may be kept.
type Record struct {
	Addr netip.Addr
	TTL  time.Duration
}

// Answer is what a resolver said about a name, whether the daemon asked or a container did.
// Families is what it speaks of: one family's answer says nothing about the other's addresses.
// Name is canonical: lower case, A-labels, no trailing dot.
type Answer struct {
	Name     string
	Families Family
	Addrs    []Record
	// Hint means that the name may have more addresses than these: what it had before stays current.
	Hint bool
}

// Failure is a question without a usable answer. A name that does not exist (NXDOMAIN) or has no
// addresses (NODATA) in either family is one as well, so that a wrong answer does not cut a service off at once.
type Failure struct {
	Name     string
	Families Family
	// Empty are the families of which a resolver said that there are no addresses; here zero means none.
	Empty Family
	Err   error
}

// Lease is an address of a name until Expires. Expires lies in the past while the name's resolvers fail
// (up to five times) or have not been asked since: such an address is still live.
type Lease struct {
	Addr    netip.Addr
	Expires time.Time
}

// Limits bound a Cache, so that the kernel's sets never are the limiter. Zero fields mean the default.
type Limits struct {
	AnswerAddrs int            // addresses of one family taken from one answer; default 64
	NameAddrs   int            // addresses of one name; default 256
	Jitter      func() float64 // in [0, 1): the next question comes up to a tenth sooner; nil = exactly on time
}

// Cache knows the addresses of the wanted names. It is pure: time is an argument, and nothing is asked.
// The zero value is ready for use. Not safe for concurrent use.
type Cache struct {
	limits Limits
	names  map[string]*entry
	denied map[string]*denial // those of names that are denied
	// cut counts addresses beyond AnswerAddrs, evicted those beyond NameAddrs.
	cut, evicted uint64
}

// entry is one wanted name.
type entry struct {
	allowed  bool
	leases   map[netip.Addr]lease
	sorted   []netip.Addr // the addresses of leases; nil when some came or went since
	due      time.Time    // when to ask (again)
	asking   bool         // handed out by Due, no result yet
	failures [2]int       // consecutive, by family
	cold     bool         // it is not asked for (again), so lifetimes alone decide
	err      error        // the last failure's, nil after success of both families
	answered time.Time    // the last answer
}

// lease is one address of a name; current means that the newest answer of its family has it.
type lease struct {
	expires time.Time
	current bool
}

// NewCache returns a Cache with limits.
func NewCache(limits Limits) *Cache { return &Cache{limits: limits} }

// Want says which names are wanted from now on, to be allowed or denied or both: new ones are due at
// once, others are forgotten.
func (c *Cache) Want(allow, deny []string, now time.Time) {
	wanted := make(map[string]*entry, len(allow)+len(deny))
	for _, name := range slices.Concat(allow, deny) {
		e, ok := c.names[name]
		switch {
		case wanted[name] != nil:
		case ok:
			e.allowed = false
			wanted[name] = e
		default:
			wanted[name] = &entry{leases: map[netip.Addr]lease{}, due: now}
		}
	}
	for _, name := range allow {
		wanted[name].allowed = true
	}
	c.names = wanted
	c.deny(deny, now)
}

// Due hands out the names to ask now, sorted. A name is handed out once: it is due again only after
// Observe, Failed or Refresh.
func (c *Cache) Due(now time.Time) []string {
	var names []string
	for name, e := range c.names {
		if !e.asking && !e.due.After(now) {
			e.asking = true
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Refresh makes every name due at once, also those handed out: the resolvers have changed.
func (c *Cache) Refresh(now time.Time) {
	for _, e := range c.names {
		e.due, e.asking = now, false
	}
}

// Next is when Due or Expire will have something to do, without further answers; zero means never.
func (c *Cache) Next() time.Time {
	var next time.Time
	for _, e := range c.names {
		if !e.asking {
			next = sooner(next, e.due)
		}
		next = sooner(next, e.next())
	}
	return next
}

// Observe takes an answer in and reports whether the live or denied addresses changed. Lifetimes are extended, never
// shortened; an address missing from the answer lives out its own. A name nobody wants is ignored.
func (c *Cache) Observe(a Answer, now time.Time) (changed bool) {
	e, ok := c.names[a.Name]
	if !ok {
		return false
	}
	d := c.denied[a.Name]
	before, was := e.live(), d.at()
	if !a.Hint {
		d.settle(a.Families.bits())
		e.answer(a.Families, now)
	}
	ttl := maxLife
	d.rememberAll(a)
	records, cut := a.capped(c.limits)
	for _, r := range records {
		ttl = min(ttl, r.TTL)
		e.extend(r, now)
	}
	c.cut += cut
	c.evicted += e.shrink(cmp.Or(c.limits.NameAddrs, defaultNameAddrs), records)
	next := now.Add(c.limits.early(clamp(ttl/2, minAsk, maxAsk)))
	if e.asking || a.Families.has(0) && a.Families.has(1) || next.Before(e.due) {
		e.due = next
	}
	e.asking = false
	return !slices.Equal(before, e.live()) || d.at() != was
}

// hear is Observe for an answer to somebody else's question: it does not put off or end a question of the daemon's own,
// which whoever asks for the same name often enough could keep from ever being asked.
func (c *Cache) hear(a Answer, now time.Time) {
	if e, ok := c.names[a.Name]; ok {
		due, asking := e.due, e.asking
		c.Observe(a, now)
		e.due, e.asking = sooner(due, e.due), asking
	}
}

// Keep gives a wanted name addresses from before the program's start, for the shortest lifetime, as if
// answered then: they hold until a newer answer lacks them or asking fails for good. The name stays due.
// A denied name is known with them; one that is denied only remembers them and does not live by them, for
// they may be old.
func (c *Cache) Keep(name string, addrs []netip.Addr, now time.Time) {
	if d := c.denied[name]; d != nil {
		for _, a := range addrs {
			d.remember(a.Unmap(), name)
		}
		d.settle(both)
	}
	e, ok := c.names[name]
	if !ok || !e.answered.IsZero() || !e.allowed {
		return
	}
	for _, a := range addrs {
		e.extend(Record{Addr: a}, now)
	}
	c.evicted += e.shrink(cmp.Or(c.limits.NameAddrs, defaultNameAddrs), nil)
}

// Failed takes a failure in and reports whether the denied addresses changed: old addresses stay until they are
// expired and five questions in a row have failed, and then until Expire.
func (c *Cache) Failed(f Failure, now time.Time) (changed bool) {
	e, ok := c.names[f.Name]
	if !ok {
		return false
	}
	for i := range e.failures {
		if f.Families.has(i) {
			e.failures[i]++
		}
	}
	e.err = f.Err
	d := c.denied[f.Name]
	was := d.at()
	d.settle(f.Empty)
	next := now.Add(c.limits.early(backoff(e.failed())))
	if e.asking || next.Before(e.due) {
		e.due = next
	}
	e.asking = false
	return d.at() != was
}

// Lapsed is the addresses whose time is over, as Expire would find them.
func (c *Cache) Lapsed(now time.Time) []netip.Addr {
	var addrs []netip.Addr
	for _, e := range c.names {
		addrs = append(addrs, e.lapsed(now)...)
	}
	return addrs
}

// Expire forgets the addresses whose time is over and reports whether there were any. Those in use live on for
// the shortest lifetime.
func (c *Cache) Expire(now time.Time, used map[netip.Addr]bool) (changed bool) {
	for _, e := range c.names {
		changed = e.prune(now, used) || changed
	}
	return changed
}

// Live is every name's addresses, sorted; those whose lifetime is over count until Expire. A wanted name without
// addresses has an empty entry.
func (c *Cache) Live() map[string][]Lease {
	live := make(map[string][]Lease, len(c.names))
	for name, e := range c.names {
		live[name] = e.list()
	}
	return live
}

// early takes up to a tenth off d, so that names learned together are not asked together for ever.
func (l Limits) early(d time.Duration) time.Duration {
	if l.Jitter == nil {
		return d
	}
	return d - time.Duration(float64(d)/10*l.Jitter())
}
