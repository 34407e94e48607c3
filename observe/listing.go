package observe

import (
	"hash/maphash"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/dockerwall/dockerwall/flows"
	"github.com/dockerwall/dockerwall/sortby"
)

// listing is one look at all flows.
type listing struct {
	contacts   *Contacts
	each       map[string]int // flows known, by container
	opened     map[opening]*tally
	lost, over map[Subject]uint64
	gone       map[netip.Addr]Subject // as in Contacts.left
	fresh      []fresh
}

// opening is what connections have in common that are told together.
type opening struct {
	subject Subject
	route
}

// tally is what is seen of them; goes says that there are some that are known from an earlier listing.
type tally struct {
	Opened
	goes bool
}

// fresh is a flow that is there for the first time.
type fresh struct {
	src  netip.Addr
	into *tally
}

// add takes in a flow of a container.
func (l *listing) add(f flows.Seen, o Owned) {
	c := l.contacts
	f.PickedUp = false // it may become so
	hash := maphash.Comparable(c.seed, f)
	_, seen := c.seen[hash]
	if !seen && !l.room(o.ID) {
		l.over[o.Subject]++
		return
	}
	l.each[o.ID]++
	c.seen[hash] = 0
	key := opening{o.Subject, route{o.Target, o.Via}}
	into := l.opened[key]
	if into == nil {
		into = &tally{Opened: o.Opened}
		into.Connections = 0
		l.opened[key] = into
	}
	into.goes = into.goes || seen
	if !seen {
		l.fresh = append(l.fresh, fresh{f.Src.Addr(), into})
	}
}

// room says whether one more flow of a container can be remembered.
func (l *listing) room(id string) bool {
	known := len(l.contacts.seen)
	switch {
	case known < mostFlows:
		return l.each[id] < manyFlows
	default:
		return known < allFlows && l.each[id] < fewFlows
	}
}

// end counts what is there for the first time, and tells the sink. What a daemon finds at its start an earlier one has
// counted, if it knew of the like.
func (l *listing) end(whole bool) {
	c := l.contacts
	c.mu.Lock()
	meanwhile := maps.Clone(c.left)
	c.mu.Unlock()
	for _, f := range l.fresh {
		was, left := l.gone[f.src]
		_, leaves := meanwhile[f.src]
		if leaves || left && was != f.into.Subject {
			l.lost[f.into.Subject]++
			continue
		}
		f.into.Connections++
	}
	out := make([]Opened, 0, len(l.opened))
	for _, o := range l.opened {
		known := !c.before && c.opt.Known(o.Opened)
		if known {
			o.Connections = 0
		}
		if o.Connections > 0 || o.goes || known {
			out = append(out, o.Opened)
		}
	}
	l.overflow()
	l.forget(whole)
	c.before = c.before || whole
	l.tell(out)
}

// overflow adds to what is lost those flows that there is no room for, as far as they are more than at the time before.
func (l *listing) overflow() {
	for subject, n := range l.over {
		if was := l.contacts.over[subject]; n > was {
			l.lost[subject] += n - was
		}
	}
	l.contacts.over = l.over
}

// forget forgets flows that ended.
func (l *listing) forget(whole bool) {
	if !whole {
		return
	}
	seen := l.contacts.seen
	for hash, age := range seen {
		if age >= keepFlow {
			delete(seen, hash)
			continue
		}
		seen[hash] = age + 1
	}
}

// told at once: the store's lock is held for so many.
const toldAtOnce = 1024

func (l *listing) tell(out []Opened) {
	at := time.Now()
	sortby.Func(out, func(a, b Opened) int { return compareContacts(a.Contact, b.Contact) })
	lost := l.lost
	for some := range slices.Chunk(out, toldAtOnce) {
		l.contacts.opt.Sink(at, some, lost)
		lost = nil
	}
	if len(lost) > 0 {
		l.contacts.opt.Sink(at, nil, lost)
	}
}
