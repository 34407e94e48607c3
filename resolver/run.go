package resolver

import (
	"context"
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Run asks for the names that are due until ctx is done, and then returns nil. It calls kick, from its own goroutine, when the
// live or denied addresses or the servers have changed; kick must not block. One Run at a time.
func (r *Resolver) Run(ctx context.Context, kick func()) error {
	var workers sync.WaitGroup
	defer workers.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	r.report(r.Servers())
	r.start()
	results := make(chan outcome)
	poll := time.NewTicker(pollFiles)
	defer poll.Stop()
	next := time.NewTimer(0)
	defer next.Stop()
	var queue []string
	var looked time.Time
	for busy, changed := 0, r.reload(); ; {
		if changed {
			kick()
		}
		if now := time.Now(); len(queue) == 0 || now.Sub(looked) > lookEvery {
			queue, looked = append(queue, r.due()...), now
			next.Reset(r.idle())
		}
		for ; busy < parallel && len(queue) > 0; busy++ {
			name := queue[0]
			queue = queue[1:]
			workers.Go(func() { r.work(ctx, name, results) })
		}
		changed = false
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
			changed = r.takeLost()
		case out := <-results:
			busy--
			changed = r.settle(out)
		case <-next.C:
			changed = r.expire()
		case <-poll.C:
			if changed = r.reload(); changed {
				queue = nil // due again, with the new servers
			}
		}
	}
}

// lookEvery is the least time between two looks at all names while some of those due wait: of thousands, each answer would
// have all looked at.
const lookEvery = 10 * time.Millisecond

// work asks for one name.
func (r *Resolver) work(ctx context.Context, name string, results chan<- outcome) {
	out := r.ask(ctx, name, r.Servers().Ask)
	select {
	case <-ctx.Done(): // what failed because we stop says nothing
	case results <- out:
	}
}

// start makes every name due: an earlier Run may have ended in the middle of asking.
func (r *Resolver) start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refresh(time.Now())
}

// refresh makes every name due that may be. The caller holds the lock.
func (r *Resolver) refresh(now time.Time) {
	r.cache.Refresh(now)
	r.below.renew(now)
}

func (r *Resolver) due() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	names := append(r.cache.Due(now), r.below.due(now)...)
	slices.Sort(names)
	return slices.Compact(names)
}

// takeLost says whether what was learned since took something away.
func (r *Resolver) takeLost() (lost bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	lost, r.lost = r.lost, false
	return lost
}

// idle is how long there is nothing to do.
func (r *Resolver) idle() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := sooner(r.cache.Next(), r.below.next())
	if next.IsZero() {
		return math.MaxInt64
	}
	if now := time.Now(); !next.After(now) && r.options.InUse != nil { // what has lapsed waits for a look at the flows
		next = sooner(r.checked.Add(useEvery), now.Add(useEvery))
	}
	return max(time.Until(next), 0)
}

// expire takes away what has lapsed and no flow uses.
func (r *Resolver) expire() (changed bool) {
	now := time.Now()
	r.mu.Lock()
	ripe := r.below.ripe(now)
	lapsed := r.lapsed(now, ripe)
	r.mu.Unlock()
	if len(lapsed) == 0 {
		return false
	}
	used, known := r.inUse(lapsed, now)
	if !known {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.options.InUse != nil {
		used = spare(lapsed, used, r.lapsed(now, ripe))
	}
	changed = r.cache.Expire(now, used)
	if ripe {
		changed = r.below.expire(now, used) || changed
	}
	return changed
}

// lapsed is the addresses whose lifetime is over, of learned names only where those are ripe. The caller holds the lock.
func (r *Resolver) lapsed(now time.Time, ripe bool) []netip.Addr {
	addrs := r.cache.Lapsed(now)
	if ripe {
		addrs = append(addrs, r.below.lapsed(now)...)
	}
	return addrs
}

// spare is those used of the addresses asked about, and what has lapsed meanwhile: that has its turn next time.
func spare(asked []netip.Addr, used map[netip.Addr]bool, lapsed []netip.Addr) map[netip.Addr]bool {
	spared := make(map[netip.Addr]bool, len(lapsed))
	for _, addr := range lapsed {
		spared[addr] = true
	}
	for _, addr := range asked {
		spared[addr] = used[addr]
	}
	return spared
}

// useEvery is the least time between two looks at all flows, which cost what a busy host has of them.
const useEvery = 30 * time.Second

// inUse says which addresses flows go to. It is not known when that was looked at a moment ago. Where it cannot be
// known at all, lifetimes alone decide.
func (r *Resolver) inUse(addrs []netip.Addr, now time.Time) (used map[netip.Addr]bool, known bool) {
	switch {
	case r.options.InUse == nil:
		return nil, true
	case now.Sub(r.checked) < useEvery:
		return nil, false
	}
	r.checked = now
	used, err := r.options.InUse(addrs)
	if err != nil {
		if !r.blind {
			r.log.Warn("addresses go when their lifetime is over, also those in use", "err", err)
		}
		used = nil
	}
	r.blind = err != nil
	return used, true
}

// settle takes a result in.
func (r *Resolver) settle(out outcome) (changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	before := r.cache.failing(out.name)
	if out.answer != nil {
		changed = r.cache.Observe(*out.answer, now)
		changed = r.below.observe(*out.answer, now) || changed
		r.reverse.add(Reply{Question: out.name, Answers: []Answer{*out.answer}})
	}
	if out.failure != nil {
		changed = r.cache.Failed(*out.failure, now) || changed
		r.below.failed(*out.failure, now)
	}
	switch failing := r.cache.failing(out.name); {
	case failing && !before:
		r.log.Warn("name not resolved", "name", out.name, "err", out.failure.Err)
	case before && !failing:
		r.log.Info("name resolved again", "name", out.name)
	}
	return changed
}

// reload looks at the lists of resolvers, reads the files when they have changed, and reports whether the
// servers did. New servers are asked for everything at once.
func (r *Resolver) reload() (changed bool) {
	if stamps := r.options.Files.stamps(); stamps != r.stamps {
		r.stamps, r.texts = stamps, r.options.Files.Read()
	}
	servers := r.discover()
	if servers.Equal(r.Servers()) {
		return false
	}
	r.report(servers)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.servers = servers
	r.refresh(time.Now())
	return true
}

// report logs who is asked and what is wrong with the lists.
func (r *Resolver) report(servers Servers) {
	r.log.Info("resolvers", "ask", servers.Ask, "containers", servers.Containers)
	for _, p := range servers.Problems {
		r.log.Warn("resolver entry not used", "file", p.File, "line", p.Line, "err", p.Text)
	}
	if servers.Degraded != "" {
		r.log.Warn("resolvers of containers not known", "err", servers.Degraded)
	}
}
