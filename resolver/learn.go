package resolver

import (
	"context"
	"net/netip"
	"slices"
	"time"
)

// Learn takes in a reply that a trusted resolver sent to somebody who asked it, and returns what of it has to be in
// the kernel before it goes on. What was known already is part of that, for it may still be on its way there.
// The next Names, Below, Denied and DeniedBelow have it. It does not block.
func (r *Resolver) Learn(reply Reply) []Found {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []Found
	gone := func() uint64 { return r.cache.evicted + r.below.evicted + r.below.over }
	before := gone()
	for _, a := range reply.Answers {
		found = append(found, r.below.hear(a, now)...)
		found = append(found, r.hearExact(a, now)...)
	}
	r.below.fit(reply.Answers...)
	r.reverse.add(reply)
	if r.lost = r.lost || gone() != before; r.lost {
		r.rouse()
	}
	return found
}

// hearExact takes in what a name means that may be wanted in full.
func (r *Resolver) hearExact(a Answer, now time.Time) []Found {
	e := r.cache.names[a.Name]
	if e == nil {
		return nil
	}
	d := r.cache.denied[a.Name]
	before := d.at()
	r.cache.hear(a, now)
	var found []Found
	if d != nil {
		found = append(found, Found{Name: a.Name, Deny: true, Addrs: sortedRecords(a.Addrs)})
		r.lost = r.lost || d.at().known != before.known || d.at().over != before.over
	}
	if !e.allowed {
		return found
	}
	records, _ := a.capped(r.options.Limits)
	if addrs := e.having(r.allowed(a.Name, records)); len(addrs) > 0 {
		found = append(found, Found{Name: a.Name, Addrs: addrs})
	}
	return found
}

// allowed leaves out what no answer may open to a name that is wanted in full.
func (r *Resolver) allowed(name string, records []Record) []Record {
	var out []Record
	for _, rec := range records {
		if reason := r.guard.Refuse(rec.Addr, name, false); reason != "" {
			r.refused(name, rec.Addr, reason)
			continue
		}
		out = append(out, rec)
	}
	return out
}

// maxAsked bounds the names of one reply that are asked for.
const maxAsked = 4

// Ask asks for those names that are wanted, a few at most, and returns what [Resolver.Learn] would of the answers. It is for a
// reply that cannot be read to its end, or be believed: all it does is say which names are of interest. It blocks for
// as long as ctx and the resolvers let it.
func (r *Resolver) Ask(ctx context.Context, names ...string) (found []Found) {
	wanted, servers := r.wanted(names)
	for _, name := range wanted[:min(len(wanted), maxAsked)] {
		if out := r.ask(ctx, name, servers); out.answer != nil {
			found = append(found, r.Learn(Reply{Question: name, Answers: []Answer{*out.answer}})...)
		}
	}
	return found
}

// wanted leaves out names that nobody wants, and says who is to be asked for the others.
func (r *Resolver) wanted(names []string) (wanted []string, servers []netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range names {
		if r.cache.names[name] != nil || r.below.covers(name) {
			wanted = append(wanted, name)
		}
	}
	return wanted, r.servers.Ask
}

// NamesOf is what an address was called in answers of late, whether or not that was allowed; sorted, a few at most.
func (r *Resolver) NamesOf(addr netip.Addr) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(slices.Values(r.reverse.names(addr)))
}

// CalledOf is [Resolver.NamesOf] in another order: the name of the latest answer comes first.
func (r *Resolver) CalledOf(addr netip.Addr) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := slices.Clone(r.reverse.names(addr))
	slices.Reverse(names)
	return names
}

// refused counts and logs what the guard does not let an answer open. The caller holds the lock.
func (r *Resolver) refused(name string, addr netip.Addr, reason string) {
	if r.told.note(name, reason, time.Now()) {
		r.log.Warn("a DNS answer names an address that no answer can open", "name", name, "addr", addr, "reason", reason)
	}
}
