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

// keepWarm has a name asked for again; the one not seen for the longest time makes room.
func (b *below) keepWarm(e *learned, now time.Time) {
	if b.warm[e.name] == nil {
		if len(b.warm) >= maxWarm {
			b.cool(b.coldest())
		}
		b.warm[e.name] = e
		e.cold = false
	}
	b.schedule(e, now)
}

func (b *below) coldest() (coldest *learned) {
	for _, e := range b.warm {
		if coldest == nil || e.seen.Before(coldest.seen) {
			coldest = e
		}
	}
	return coldest
}

// cool leaves a name to its lifetimes.
func (b *below) cool(e *learned) {
	delete(b.warm, e.name)
	e.cold = true
}

// schedule says when a warm name is asked for.
func (b *below) schedule(e *learned, now time.Time) {
	e.asking = false
	first := now.Add(minLife)
	for _, l := range e.leases {
		if l.current && l.expires.After(now) {
			first = sooner(first, l.expires)
		}
	}
	e.due = now.Add(b.limits.early(first.Sub(now) * 3 / 4))
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
}

// next is when due or expire has something to do; zero means never.
func (b *below) next() (next time.Time) {
	for _, e := range b.warm {
		if !e.asking {
			next = sooner(next, e.due)
		}
	}
	var lapse time.Time
	for _, e := range b.names {
		lapse = sooner(lapse, e.next())
	}
	if !lapse.IsZero() {
		next = sooner(next, lapse.Truncate(expiryStep).Add(expiryStep))
	}
	return next
}

// renew gives every warm name back that was handed out: the resolvers have changed, or Run begins anew.
func (b *below) renew(now time.Time) {
	for _, e := range b.warm {
		e.asking = false
		e.due = sooner(e.due, now.Add(b.limits.early(minLife/2)))
	}
}
