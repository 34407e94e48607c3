package metrics

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"sort"
	"time"
)

const (
	maxSeries          = 500             // of dockerwall_dropped_packets in all
	maxContainerSeries = 20              // of one container
	idleSeries         = time.Hour       // without a packet; then the series goes
	keepDead           = 5 * time.Minute // after a container is gone
	forgetReading      = 5               // scrapes without a destination, or a part, until its last reading goes
)

// account is what has been told of one container. Its invariant, at the end of every update: the
// packets of its series and other add up to the denied total, and none of them ever decreases.
type account struct {
	id, name, image     string
	parts               map[string]*part // by name
	sent, sentBytes     uint64
	denied, deniedBytes uint64
	invalid             uint64 // of denied, packets that conntrack could not place
	accepted            uint64 // packets
	acceptedBytes       uint64
	audited             uint64 // of denied, packets that passed all the same
	auditedBytes        uint64
	audit               bool // as audited are counted
	info                info
	other               uint64
	series              map[target]*series
	readings            map[flow]*reading
	seen                time.Time
	reserved            bool // its "other" counts against maxSeries
	gone                bool // since it was last read
	behind              bool // its destinations were not read the last time
}

// series is one destination shown.
type series struct {
	domains string
	packets uint64
	grown   time.Time
}

// flow is a destination as the kernel counts it, finer than a target.
type flow struct {
	dst   netip.Addr
	port  uint16
	proto uint8
}

// reading is the kernel's count of a flow, as far as it has been told.
type reading struct {
	counter
	missing int // scrapes since it was last there
}

// totals takes the counters that have no destination. What was accepted is what was sent less what
// was denied; the two are not read at one instant, so it stands still where it would decrease. Some of either tells nothing.
func (a *account) totals(c Container) {
	for _, p := range c.Sent {
		packets, bytes := a.part(p.Name).grow(p)
		a.sent += packets
		a.sentBytes += bytes
	}
	for _, p := range c.Drops {
		packets, bytes := a.part(p.Name).grow(p)
		a.denied += packets
		a.deniedBytes += bytes
		if p.Invalid {
			a.invalid += packets
		}
		if a.audit {
			a.audited += packets
			a.auditedBytes += bytes
		}
	}
	if c.Partial {
		return
	}
	a.accepted = max(a.accepted, less(a.sent, a.denied))
	a.acceptedBytes = max(a.acceptedBytes, less(a.sentBytes, a.deniedBytes))
}

// shown is the number of packets that have a series of their own.
func (a *account) shown() (n uint64) {
	for _, s := range a.series {
		n += s.packets
	}
	return n
}

// fold moves a series into other.
func (a *account) fold(t target) {
	a.other += a.series[t].packets
	delete(a.series, t)
}

// reading finds what was last read of d.
func (a *account) reading(d Denied) *reading {
	k := flow{d.Dst, d.Port, d.Proto}
	r := a.readings[k]
	if r == nil {
		r = &reading{}
		a.readings[k] = r
	}
	r.missing = 0
	return r
}

// catchUp takes readings of destinations that were not read for a while: how they grew meanwhile is in other.
func (a *account) catchUp(denied []Denied) {
	for _, d := range denied {
		a.reading(d).advance(d.Packets)
	}
}

// forgetReadings drops readings that have not been there for a while. Not at once: a listing read
// while the table changes may miss an element, which must not be counted twice.
func (a *account) forgetReadings() {
	maps.DeleteFunc(a.readings, func(_ flow, r *reading) bool {
		r.missing++
		return r.missing > forgetReading
	})
}

// idlest is the series that has not grown for longest.
func (a *account) idlest() (t target, s *series) {
	for k, v := range a.series {
		if s == nil || v.grown.Before(s.grown) || v.grown.Equal(s.grown) && k.compare(t) < 0 {
			t, s = k, v
		}
	}
	return t, s
}

func (t target) compare(u target) int {
	return cmp.Or(
		cmp.Compare(t.destination, u.destination),
		cmp.Compare(t.port, u.port),
		cmp.Compare(t.protocol, u.protocol))
}

// targets are the series in the order they are written.
func (a *account) targets() []target {
	out := slices.Collect(maps.Keys(a.series))
	sort.Slice(out, func(i, j int) bool { return out[i].compare(out[j]) < 0 })
	return out
}

// less is a - b, never below zero.
func less(a, b uint64) uint64 { return a - min(a, b) }
