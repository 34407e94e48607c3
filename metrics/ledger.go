package metrics

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"sort"
	"time"
)

// ledger turns snapshots into the families of single containers: what the kernel says into counters that are
// bounded in number, exact in sum and never decrease. It is pure: the caller gives the time.
type ledger struct {
	mode     Destination
	accounts map[string]*account // by the id label
	taken    int                 // series of dockerwall_dropped_packets, "other" included
	overflow uint64              // packets told as "other" for want of a series
	denied   uint64              // packets denied to containers, gone ones included
	invalid  uint64              // of these, packets that conntrack could not place
	reasons  map[string]*counter
}

// idDigits is how much of a container's ID the id label shows, as it always did.
const idDigits = 18

// maxReasons bounds the reason label; ours are a handful of constants.
const maxReasons = 32

func newLedger(mode Destination) *ledger {
	return &ledger{mode: mode, accounts: make(map[string]*account), reasons: make(map[string]*counter)}
}

// update takes one snapshot.
func (l *ledger) update(s Snapshot, now time.Time) {
	for _, c := range s.Containers {
		l.take(c, now)
	}
	for reason, n := range s.Reasons {
		l.reason(reason).advance(n)
	}
	for _, a := range l.accounts {
		a.gone = a.gone || now.Sub(a.seen) >= keepDead
	}
	l.retire(now)
}

// leave takes the last readings of what the coming commit deletes.
func (l *ledger) leave(containers []Container, now time.Time) {
	for _, c := range containers {
		l.take(c, now).leave(c)
	}
	l.retire(now)
}

// left says whether what was to leave is gone.
func (l *ledger) left(went bool) {
	for _, a := range l.accounts {
		a.left(went)
	}
}

func (l *ledger) take(c Container, now time.Time) *account {
	a := l.account(c)
	a.seen, a.name, a.image, a.info = now, label(c.Name), label(c.Image), infoOf(c)
	a.audit, a.gone = c.Audited, false
	l.total(a, c)
	if !c.Partial {
		l.charge(a, c, now)
		a.forgetParts()
	}
	return a
}

func (l *ledger) account(c Container) *account {
	id := label(c.ID[:min(len(c.ID), idDigits)])
	if l.accounts[id] == nil {
		l.accounts[id] = &account{id: id, parts: make(map[string]*part), series: make(map[target]*series), readings: make(map[flow]*reading)}
	}
	return l.accounts[id]
}

// total books what container c sent and was denied in all.
func (l *ledger) total(a *account, c Container) {
	before, invalid := a.denied, a.invalid
	a.totals(c)
	l.denied += a.denied - before
	l.invalid += a.invalid - invalid
	if a.denied > 0 && !a.reserved {
		a.reserved = true
		l.taken++
		l.squeeze()
	}
}

// charge books what has not been told of what c was denied to destinations.
func (l *ledger) charge(a *account, c Container, now time.Time) {
	// A destination grows only by what the total grew, read a moment before; the rest stays due.
	room := a.denied - a.shown() - a.other
	if a.behind && !c.Unread {
		a.catchUp(c.Denied)
	} else {
		for _, d := range inOrder(c.Denied) {
			room -= l.attribute(a, d, room, now)
		}
	}
	a.behind = c.Unread
	a.forgetReadings()
	a.other += room
	if l.mode != ByNone {
		l.overflow += room
	}
}

// attribute books at most room packets of d to its series and returns how many.
func (l *ledger) attribute(a *account, d Denied, room uint64, now time.Time) uint64 {
	t, ok := l.mode.targetOf(d)
	if !ok {
		return 0
	}
	r := a.reading(d)
	if r.due(d.Packets) == 0 || room == 0 {
		return 0
	}
	s := a.series[t]
	if s == nil {
		if s = l.admit(a, t, d); s == nil {
			r.advanceBy(d.Packets, math.MaxUint64) // told as other
			return 0
		}
	}
	n := r.advanceBy(d.Packets, room)
	s.packets += n
	s.grown = now
	return n
}

// admit gives t a series if there is one left.
func (l *ledger) admit(a *account, t target, d Denied) *series {
	if len(a.series)+1 >= maxContainerSeries || l.taken >= maxSeries {
		return nil
	}
	s := &series{domains: l.mode.domains(d)}
	a.series[t] = s
	l.taken++
	return s
}

// squeeze takes the idlest series of all away when a container's "other" needs its place.
func (l *ledger) squeeze() {
	if l.taken <= maxSeries {
		return
	}
	var from *account
	var idlest target
	var found *series
	for _, a := range l.inOrder() {
		if t, s := a.idlest(); s != nil && (found == nil || s.grown.Before(found.grown)) {
			from, idlest, found = a, t, s
		}
	}
	if found != nil {
		from.fold(idlest)
		l.taken--
	}
}

// retire ends series that are idle and accounts whose container is gone. One that is there may not have been read for long.
func (l *ledger) retire(now time.Time) {
	for id, a := range l.accounts {
		for _, t := range a.targets() {
			if now.Sub(a.series[t].grown) >= idleSeries {
				a.fold(t)
				l.taken--
			}
		}
		if a.gone && now.Sub(a.seen) >= keepDead {
			l.taken -= len(a.series)
			if a.reserved {
				l.taken--
			}
			delete(l.accounts, id)
		}
	}
}

func (l *ledger) reason(name string) *counter {
	name = label(name)
	c := l.reasons[name]
	if c == nil {
		c = &counter{}
		if len(l.reasons) < maxReasons {
			l.reasons[name] = c
		}
	}
	return c
}

// inOrder are the accounts by ID.
func (l *ledger) inOrder() []*account {
	accounts := make([]*account, 0, len(l.accounts))
	for _, id := range slices.Sorted(maps.Keys(l.accounts)) {
		accounts = append(accounts, l.accounts[id])
	}
	return accounts
}

// inOrder sorts destinations of one scrape: the most denied come first to a series.
func inOrder(denied []Denied) []Denied {
	out := slices.Clone(denied)
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i], out[j]
		return cmp.Or(
			cmp.Compare(b.Packets, a.Packets),
			a.Dst.Compare(b.Dst),
			cmp.Compare(a.Port, b.Port),
			cmp.Compare(a.Proto, b.Proto)) < 0
	})
	return out
}
