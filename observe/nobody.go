package observe

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/sortby"
)

// Sighting is packets of nobody we know that nflog showed.
type Sighting struct {
	Reason    nft.Reason
	Source    netip.Addr // invalid where the packet has none, such as ARP
	Interface string
	Target    Target
	Packets   uint64
}

// reason is what has been told of one of the kernel's reasons.
type reason struct {
	last      nft.Count // as the kernel had it
	grown     nft.Count
	explained nft.Count // told of containers
	told      nft.Count // told of nobody
}

// nobodys are the reasons that packets of nobody we know are denied for, and that no container's counter has.
func nobodys() []nft.Reason {
	return []nft.Reason{nft.Unknown, nft.Invalid, nft.Spoof, nft.Cutoff}
}

func (l *Ledger) reason(name nft.Reason) *reason {
	if l.reasons[name] == nil {
		l.reasons[name] = &reason{}
	}
	return l.reasons[name]
}

// nobody tells what the reasons grew by: of each sighting as much as there is room for, then the rest. Sightings are
// taken before the counters are read, so there is room for all of them, but for those that were on their way at the
// reading before: that told them among the rest.
func (l *Ledger) nobody(r Reading) (out []Denial) {
	for _, name := range nobodys() {
		of := l.reason(name)
		of.grown = plus(of.grown, since(of.last, r.Reasons[name]))
		of.last = r.Reasons[name]
		for _, d := range of.tell(name, r.Sightings) {
			d.Time = r.Time
			out = append(out, d)
		}
	}
	return out
}

func (r *reason) tell(name nft.Reason, sightings []Sighting) (out []Denial) {
	room := minus(r.grown, plus(r.explained, r.told))
	if room.Packets == 0 {
		return nil
	}
	r.told = plus(r.told, room)
	add := func(d Denial, n uint64) {
		d.Reason, d.Packets, d.Bytes = string(name), n, share(room.Bytes, n, room.Packets)
		room = minus(room, nft.Count{Packets: n, Bytes: d.Bytes})
		out = append(out, d)
	}
	for _, s := range sortby.Collect(slices.Values(sightings), compareSightings) {
		if n := min(s.Packets, room.Packets); s.Reason == name && n > 0 {
			add(Denial{Source: s.Source, Interface: s.Interface, Target: s.Target}, n)
		}
	}
	if room.Packets > 0 {
		add(Denial{}, room.Packets)
	}
	return out
}

func compareSightings(a, b Sighting) int {
	return cmp.Or(cmp.Compare(b.Packets, a.Packets), a.Source.Compare(b.Source), cmp.Compare(a.Interface, b.Interface), compareTargets(a.Target, b.Target))
}

// settled is the kernel's counter as far as it has been told. What containers' own counters had of it is read later, and may
// be ahead.
func (r *reason) settled() nft.Count {
	return plus(r.last, minus(plus(r.explained, r.told), r.grown))
}
