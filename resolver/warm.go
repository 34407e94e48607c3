package resolver

import "time"

// Learned names are kept warm: asked for again when three quarters of a lifetime are over, so that a program which
// resolved a name once still reaches it. Only so many, and only those that containers asked for of late.
const (
	maxWarm = 1024
	warmFor = 24 * time.Hour
)

// expiryStep is how exactly learned addresses expire: many lapse together, in one commit.
const expiryStep = 10 * time.Second

// keepWarm has a name asked for again; a colder one makes room. One that is warm already is asked no later than it would
// have been: an answer to others is one family's, and must not put off the question for the other's for ever.
func (b *below) keepWarm(e *learned, now time.Time) {
	if b.warm[e.name] != nil {
		e.due = sooner(e.due, b.again(e, now))
		return
	}
	if len(b.warm) >= maxWarm {
		b.cool(b.coldest())
	}
	b.warm[e.name] = e
	e.cold, e.asking, e.due = false, false, b.again(e, now)
	for _, z := range e.zones {
		z.warm++
	}
}

// coldest is the name that makes room: the one not seen for the longest time, of those beneath the wildcard that has
// the most, so that whoever asks for many names beneath one cools no others'.
func (b *below) coldest() (coldest *learned) {
	most := 0
	for _, e := range b.warm {
		crowd := maxWarm
		for _, z := range e.zones {
			crowd = min(crowd, z.warm)
		}
		if coldest == nil || crowd > most || crowd == most && e.seen.Before(coldest.seen) {
			coldest, most = e, crowd
		}
	}
	return coldest
}

// cool leaves a name to its lifetimes.
func (b *below) cool(e *learned) {
	delete(b.warm, e.name)
	e.cold = true
	for _, z := range e.zones {
		z.warm--
	}
	b.watch(e)
}

// again is when to ask again for a name that was just answered.
func (b *below) again(e *learned, now time.Time) time.Time {
	var first time.Time
	for _, l := range e.leases {
		if l.current && l.expires.After(now) {
			first = sooner(first, l.expires)
		}
	}
	if first.IsZero() {
		first = now.Add(minLife)
	}
	return now.Add(b.limits.early(first.Sub(now) * 3 / 4))
}

// due hands out the names to ask now, each once until observe or failed.
func (b *below) due(now time.Time) (names []string) {
	for name, e := range b.warm {
		switch {
		case e.asking || e.due.After(now):
		case now.Sub(e.seen) > warmFor:
			b.cool(e)
		default:
			e.asking = true
			names = append(names, name)
		}
	}
	return names
}

// failed takes in that the daemon's own question had no answer: what is known stays for five such.
func (b *below) failed(f Failure, now time.Time) {
	e := b.names[f.Name]
	if e == nil {
		return
	}
	for i := range e.failures {
		if f.Families.has(i) {
			e.failures[i]++
		}
	}
	e.asking = false
	e.due = now.Add(b.limits.early(backoff(e.failed())))
	b.watch(e)
}

// next is when due or expire has something to do; zero means never.
func (b *below) next() (next time.Time) {
	for _, e := range b.warm {
		if !e.asking {
			next = sooner(next, e.due)
		}
	}
	return sooner(next, b.step())
}

// step is when the next addresses go; zero means never.
func (b *below) step() time.Time {
	if b.lapse.IsZero() {
		return time.Time{}
	}
	return b.lapse.Truncate(expiryStep).Add(expiryStep)
}

// ripe says whether it is time for expire, which looks at all names.
func (b *below) ripe(now time.Time) bool {
	step := b.step()
	return !step.IsZero() && !now.Before(step)
}

// watch notes when the next of a name's addresses lapses.
func (b *below) watch(e *learned) { b.lapse = sooner(b.lapse, e.next()) }

// renew gives every warm name back that was handed out: the resolvers have changed, or Run begins anew.
func (b *below) renew(now time.Time) {
	for _, e := range b.warm {
		e.asking = false
		e.due = sooner(e.due, now.Add(b.limits.early(minLife/2)))
	}
}
