package resolver

import (
	"context"
	"math"
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
	for busy, changed := 0, r.reload(); ; {
		if changed {
			kick()
		}
		queue = append(queue, r.due()...)
		for ; busy < parallel && len(queue) > 0; busy++ {
			name := queue[0]
			queue = queue[1:]
			workers.Go(func() { r.work(ctx, name, results) })
		}
		next.Reset(r.idle())
		changed = false
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
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
	r.cache.Refresh(time.Now())
}

func (r *Resolver) due() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cache.Due(time.Now())
}

// idle is how long there is nothing to do.
func (r *Resolver) idle() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := r.cache.Next()
	if next.IsZero() {
		return math.MaxInt64
	}
	return max(time.Until(next), 0)
}

func (r *Resolver) expire() (changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cache.Expire(time.Now())
}

// settle takes a result in.
func (r *Resolver) settle(out outcome) (changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	before := r.cache.failing(out.name)
	if out.answer != nil {
		changed = r.cache.Observe(*out.answer, now)
	}
	if out.failure != nil {
		changed = r.cache.Failed(*out.failure, now) || changed
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
	r.cache.Refresh(time.Now())
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
