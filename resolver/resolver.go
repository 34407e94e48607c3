package resolver

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options are the resolver's settings; the zero value is a daemon on the host itself.
type Options struct {
	Files        Files               // the host's lists of resolvers
	Extra        string              // DOCKERWALL_RESOLVERS
	ContainerDNS func() []netip.Addr // the --dns of all containers; called from New and Run; nil = none
	Mark         uint32              // SO_MARK of the daemon's own queries, 0 = none; without CAP_NET_ADMIN they stay unmarked
	Timeout      time.Duration       // for one reply over one transport; default 2 s
	Limits       Limits              // of the cache; Jitter defaults to random
	// Known are addresses that names had when an earlier daemon ended. A name takes its own over when it, or a
	// wildcard above it, is first wanted, so that a restart takes nothing away before the resolvers answer; a
	// denied name is known by them.
	Known map[string][]netip.Addr
	// InUse says which of addrs a flow is going to now. Those stay, though their lifetime is over. It is called
	// from Run, not often; nil = none are.
	InUse  func(addrs []netip.Addr) (map[netip.Addr]bool, error)
	Logger *slog.Logger // default: discard
}

// parallel is how many names are asked at once; pollFiles is how often the lists of resolvers are looked at.
const (
	parallel  = 16
	pollFiles = 5 * time.Second
)

// Resolver keeps the addresses of the wanted names. Safe for concurrent use; Run does the asking.
type Resolver struct {
	options Options
	log     *slog.Logger
	tally   *tally
	ask     func(ctx context.Context, name string, servers []netip.AddrPort) outcome
	wake    chan struct{}

	stamps [3]stamp // of texts; both New's and then Run's alone
	texts  Sources

	checked time.Time // when InUse was asked; this and the next are Run's alone
	blind   bool      // it could not say

	mu      sync.Mutex
	cache   *Cache
	below   *below
	guard   Guard
	servers Servers
	known   map[string][]netip.Addr // not yet taken over
	lost    bool                    // something that was learned is gone, or a denial is known: to be committed
	reverse reverse
	told    refusals
}

// New reads the host's lists of resolvers and returns a Resolver that wants no names.
func New(options Options) (*Resolver, error) {
	if options.Timeout < 0 || options.Limits.AnswerAddrs < 0 || options.Limits.NameAddrs < 0 {
		return nil, errors.New("resolver options: negative timeout or limit")
	}
	if options.Timeout == 0 {
		options.Timeout = 2 * time.Second
	}
	if options.Limits.Jitter == nil {
		options.Limits.Jitter = rand.Float64
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	a := newAsker(options.Timeout, options.Mark)
	r := &Resolver{
		options: options, log: options.Logger, tally: a.tally, ask: a.lookup,
		wake: make(chan struct{}, 1), cache: NewCache(options.Limits), below: newBelow(options.Limits),
		known: maps.Clone(options.Known),
	}
	r.below.refuse = r.refused
	r.stamps, r.texts = options.Files.stamps(), options.Files.Read()
	r.servers = r.discover()
	return r, nil
}

// Wanted is what policies ask for: names, and wildcards by what stands behind their "*.", all canonical.
type Wanted struct {
	Allow, Deny           []string
	AllowBelow, DenyBelow []string
	Guard                 Guard // what no answer may open on this host
}

// Want says what is wanted from now on, replacing what was. Names() and Denied() have new names' addresses once Run has
// asked for them; those beneath wildcards come from what Learn is given. It does not block and may be called
// before and during Run.
func (r *Resolver) Want(w Wanted) {
	now := time.Now()
	r.mu.Lock()
	r.guard, r.below.guard = w.Guard, w.Guard
	denied := r.below.newlyDenied(w.Deny, r.cache)
	r.wantBelow(w, now)
	r.cache.Want(w.Allow, w.Deny, now)
	r.cache.know(denied)
	for _, name := range slices.Concat(w.Allow, w.Deny) {
		if addrs, ok := r.known[name]; ok {
			r.cache.Keep(name, addrs, now)
			delete(r.known, name)
		}
	}
	r.mu.Unlock()
	r.rouse()
}

// rouse makes Run look again.
func (r *Resolver) rouse() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// wantBelow gives new wildcards what an earlier daemon knew, each name to the first ones above it. It is not known to
// later ones: by then its addresses may be old.
func (r *Resolver) wantBelow(w Wanted, now time.Time) {
	if !r.below.want(w.AllowBelow, w.DenyBelow, r.cache) {
		return
	}
	exact := map[string]bool{} // these take their own over later
	for _, name := range slices.Concat(w.Allow, w.Deny) {
		exact[name] = true
	}
	for name, addrs := range r.known {
		if !r.below.covers(name) {
			continue
		}
		r.below.keep(name, addrs, now)
		if !exact[name] {
			delete(r.known, name)
		}
	}
}

// Names is the addresses of every wanted name, sorted; none when nothing is known (yet). They
// are not guarded: see Guard. The slices are shared and must not be changed.
func (r *Resolver) Names() map[string][]netip.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := map[string][]netip.Addr{}
	for name, e := range r.cache.names {
		names[name] = e.live()
	}
	return names
}

// Below is what was learned beneath each wanted wildcard, by what stands behind its "*.": sorted, each address once,
// with one of its names. The slices are shared and must not be changed.
func (r *Resolver) Below() map[string][]Named {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[string][]Named, len(r.below.allow))
	for parent, z := range r.below.allow {
		out[parent] = z.addrs()
	}
	return out
}

// DeniedBelow is every address that a name beneath each denied wildcard was heard to have while it is denied, as far as
// they are remembered: see Overflown. The slices are shared and must not be changed.
func (r *Resolver) DeniedBelow() map[string][]Named {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[string][]Named, len(r.below.deny))
	for parent, d := range r.below.deny {
		out[parent] = d.named()
	}
	return out
}

// Denied is every address that each denied name has had while it is denied, sorted; nil of a name that is
// not (all) known, see [Cache.Denied]. They are not guarded.
func (r *Resolver) Denied() map[string][]netip.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cache.Denied()
}

// Overflown are the denied names and wildcards ("*.example.com") of which more addresses were heard than can be
// remembered.
func (r *Resolver) Overflown() map[string]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]bool{}
	for name, d := range r.cache.denied {
		if d.stage.over {
			out[name] = true
		}
	}
	for parent, d := range r.below.deny {
		if d.stage.over {
			out["*."+parent] = true
		}
	}
	return out
}

// Servers is who is asked now. The slices are shared and must not be changed.
func (r *Resolver) Servers() Servers {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.servers
}

// Status is the state of every wanted name, sorted by name.
func (r *Resolver) Status() []NameStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cache.Status()
}

// Counters is what was counted since New.
func (r *Resolver) Counters() Counters {
	c := r.tally.counters()
	r.mu.Lock()
	defer r.mu.Unlock()
	c.Cut, c.Evicted = r.cache.cut+r.below.cut, r.cache.evicted+r.below.evicted
	c.Refused = maps.Clone(r.told.count)
	for _, z := range r.below.allow {
		c.Learned += len(z.addrs())
	}
	return c
}

// Resolve asks for names once, beside the cache and without Run, and returns the addresses of those that have any, sorted.
// The error joins one *LookupError per family or name that failed.
func (r *Resolver) Resolve(ctx context.Context, names []string) (map[string][]netip.Addr, error) {
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		slots    = make(chan struct{}, parallel)
		resolved = map[string][]netip.Addr{}
		errs     []error
		servers  = r.Servers().Ask
	)
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			out := r.ask(ctx, name, servers)
			mu.Lock()
			defer mu.Unlock()
			if out.answer != nil {
				resolved[name] = sortedAddrs(*out.answer)
			}
			if out.failure != nil {
				errs = append(errs, out.failure.Err)
			}
		})
	}
	wg.Wait()
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return resolved, errors.Join(errs...)
}

// sortedAddrs is the answer's addresses, each once.
func sortedAddrs(a Answer) []netip.Addr {
	var addrs []netip.Addr
	for _, r := range a.Addrs {
		addrs = append(addrs, r.Addr)
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(addrs)
}

// discover decides from the texts read last, the settings and the containers' --dns of now.
func (r *Resolver) discover() Servers {
	src := r.texts
	src.Extra = r.options.Extra
	if r.options.ContainerDNS != nil {
		src.Containers = r.options.ContainerDNS()
	}
	return Discover(src)
}
