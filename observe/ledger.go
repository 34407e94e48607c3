package observe

import (
	"slices"
	"time"

	"github.com/dockerwall/dockerwall/nft"
)

// Reading is what the kernel has counted at one moment, in the order in which it must be read: sightings, totals, records.
type Reading struct {
	Time      time.Time
	Sightings []Sighting
	Parts     []nft.Part
	Reasons   map[nft.Reason]nft.Count
	// Records are those of the containers that [Ledger.Grown] named, by 12-digit ID.
	Records map[string][]nft.Denial
	// Unread are containers that the reading says nothing of, by 12-digit ID.
	Unread map[string]bool
	// Partial says that only some containers were read, and no reasons.
	Partial bool
}

// Ledger turns readings into Denials: what came since the reading before. At any time the packets and bytes of all that
// it told of a container add up to what the kernel's counters of it grew by. A counter that shows less than before
// began anew; one that does so and overtakes its old value between two readings cannot be told from one that went on, nor
// one that comes back after fewer than six readings without it.
//
// A packet of a container that no destination explains is told without one: reason "invalid" where conntrack could not
// place it, else "other" (stray segments, multicast, and what came after the record was full: the kernel's of 1,024
// destinations of a family, or that of the ledger of 50,000 in all). Packets of nobody we
// know add up to the kernel's counters of the reasons unknown, spoof, cut and invalid, the last without what containers'
// own counters have of it. Those that nflog showed are told with where they came from and went; the kernel logs ten a
// second of a reason, so the others are told without. Stray and multicast are counted for containers and others in one,
// so what others had of them is not told.
//
// It is pure, and not for use by two goroutines at once.
type Ledger struct {
	accounts map[string]*account // by 12-digit ID
	spare    int                 // destinations that may be remembered besides
	reasons  map[nft.Reason]*reason
	at       time.Time // of the last reading
	begun    bool
}

// Baseline is what has been told of the kernel's counters already.
type Baseline struct {
	Time    time.Time
	Parts   []nft.Part
	Records map[string][]nft.Denial // by 12-digit ID
	Reasons map[nft.Reason]nft.Count
}

// NewLedger goes on from a baseline; with an empty one all that was ever counted is told. With nil the first reading is
// the baseline, and what was counted before it is never told.
func NewLedger(b *Baseline) *Ledger {
	l := &Ledger{accounts: map[string]*account{}, reasons: map[nft.Reason]*reason{}}
	if b != nil {
		l.Take(Reading{Time: b.Time, Parts: b.Parts, Records: b.Records, Reasons: b.Reasons})
		l.begun = true
	}
	return l
}

// Begun says whether there is something to compare readings with.
func (l *Ledger) Begun() bool { return l.begun }

// Grown are the containers, by 12-digit ID, whose records are worth reading: those that were denied more than is known.
func (l *Ledger) Grown(parts []nft.Part) []string {
	var out []string
	for _, p := range parts {
		if p.Invalid || p.Packets == 0 {
			continue
		}
		a := l.accounts[p.ID]
		if a == nil || a.parts[p.Name] == nil || a.parts[p.Name].last.Packets != p.Packets {
			out = append(out, p.ID)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Take takes a reading in and returns what is new, container by container. ContainerID has 12 digits; who that is, names
// and tokens are for others to fill in.
func (l *Ledger) Take(r Reading) []Denial {
	out := l.some(r)
	if !r.Partial {
		out = append(out, l.rest(r)...)
	}
	return out
}

// some takes in what a reading has of containers, all of them or some; each must be whole. The sums are exact after it.
func (l *Ledger) some(r Reading) (out []Denial) {
	l.at = r.Time
	var ids []string
	for _, p := range r.Parts {
		ids = append(ids, p.ID)
		l.account(p.ID).grow(p)
	}
	l.spare = maxEntries
	for _, a := range l.accounts {
		l.spare -= len(a.record)
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		out = append(out, l.charge(id, r)...)
	}
	if !l.begun {
		return nil
	}
	return out
}

// rest ends a reading of which some has taken in all containers: it forgets those it says nothing of, and tells of nobody.
func (l *Ledger) rest(r Reading) []Denial {
	read := map[string]bool{}
	for _, p := range r.Parts {
		read[p.ID] = true
	}
	for id, a := range l.accounts {
		if !read[id] && !r.Unread[id] && a.missed() {
			delete(l.accounts, id)
		}
	}
	out := l.nobody(r)
	if !l.begun {
		l.begun = true
		return nil
	}
	return out
}

func (l *Ledger) account(id string) *account {
	if l.accounts[id] == nil {
		l.accounts[id] = &account{parts: map[string]*part{}, record: map[Target]*entry{}}
	}
	return l.accounts[id]
}

// charge tells what a container was denied since its last reading.
func (l *Ledger) charge(id string, r Reading) []Denial {
	a := l.accounts[id]
	if !r.Partial {
		a.forgetParts()
	}
	if a.room.Packets == 0 && a.invalid.Packets == 0 && !a.late {
		return nil
	}
	invalid := a.invalid
	a.invalid = nft.Count{}
	l.reason(nft.Invalid).explained = plus(l.reason(nft.Invalid).explained, invalid)
	out := a.charge(r.Records[id], r.Time, &l.spare)
	if invalid.Packets > 0 {
		out = append(out, Denial{Reason: string(nft.Invalid), Packets: invalid.Packets, Bytes: invalid.Bytes})
	}
	for i := range out {
		out[i].ContainerID, out[i].Time = id, r.Time
		if out[i].Reason == "" {
			out[i].Reason = string(nft.Denied)
		}
	}
	return out
}

// Forget takes a container's account away: its counters are gone, and others under the same ID begin at zero.
func (l *Ledger) Forget(id string) { delete(l.accounts, id) }

// Baseline is what has been told so far, for [NewLedger] after a restart of the daemon.
func (l *Ledger) Baseline() Baseline {
	b := Baseline{Time: l.at, Records: map[string][]nft.Denial{}, Reasons: map[nft.Reason]nft.Count{}}
	for id, a := range l.accounts {
		for name, p := range a.parts {
			b.Parts = append(b.Parts, nft.Part{ID: id, Name: name, Invalid: p.invalid, Count: p.last})
		}
		for t, e := range a.record {
			told := nft.Count{Packets: less(e.last.Packets, e.late.Packets), Bytes: less(e.last.Bytes, e.late.Bytes)}
			b.Records[id] = append(b.Records[id], nft.Denial{Dst: t.Dst, Proto: t.Proto, Port: t.Port, Count: told})
		}
	}
	for name, r := range l.reasons {
		b.Reasons[name] = r.settled()
	}
	return b
}

// other is what no destination explains.
func other(c nft.Count) Denial {
	return Denial{Reason: ReasonOther, Packets: c.Packets, Bytes: c.Bytes}
}

// since is what a counter grew by; one that shows less than before began anew.
func since(last, now nft.Count) nft.Count {
	if now.Packets < last.Packets {
		return now
	}
	return nft.Count{Packets: now.Packets - last.Packets, Bytes: less(now.Bytes, last.Bytes)}
}

func plus(a, b nft.Count) nft.Count {
	return nft.Count{Packets: a.Packets + b.Packets, Bytes: a.Bytes + b.Bytes}
}

func minus(a, b nft.Count) nft.Count {
	return nft.Count{Packets: less(a.Packets, b.Packets), Bytes: less(a.Bytes, b.Bytes)}
}

// less is a - b, never below zero.
func less(a, b uint64) uint64 { return a - min(a, b) }
