package docker

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"golang.org/x/sync/errgroup"
)

const (
	inspections  = 4 // at a time
	inspectFirst = time.Second
	inspectLast  = 5 * time.Minute
)

// inspector knows what only the containers' inspect tells and what never changes: it is fixed at create.
type inspector struct {
	wake chan struct{} // of 1: there may be a container to inspect

	mu    sync.Mutex
	known map[string]own
	tries map[string]try // running and not known
	mute  bool           // a failure was logged and none has succeeded since
}

// try is a container to be inspected.
type try struct {
	busy     bool
	unsure   bool // see Container.ImageUnsure
	failures int
	due      time.Time
}

func newInspector() inspector {
	return inspector{wake: make(chan struct{}, 1), known: map[string]own{}, tries: map[string]try{}}
}

// complete adds to a container what is known of it.
func (i *inspector) complete(c *Container) {
	i.mu.Lock()
	defer i.mu.Unlock()
	own, known := i.known[c.ID]
	c.Resolvers, c.Privileged = slices.Clone(own.resolvers), own.privileged
	c.CapAdd, c.PidMode, c.Restarts = slices.Clone(own.capAdd), own.pidMode, own.restarts
	c.ImageUnsure = byID(*c) && !known
	if byID(*c) && own.image != "" {
		c.Image = own.image
	}
}

// byID says whether a listing has an image's ID in place of the reference, as it has once that means another image.
func byID(c Container) bool { return c.ImageID != "" && c.Image == c.ImageID }

// follow takes a new listing: running containers not known yet are to be inspected, others are
// left alone, for an inspect of one that is starting blocks until it has started.
func (i *inspector) follow(containers map[string]Container) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for id := range i.known {
		if _, there := containers[id]; !there {
			delete(i.known, id)
		}
	}
	for id := range i.tries {
		if !running(containers[id]) {
			delete(i.tries, id)
		}
	}
	for id, c := range containers {
		_, known := i.known[id]
		_, tried := i.tries[id]
		if running(c) && !known && !tried {
			i.tries[id] = try{unsure: byID(c)}
			wake(i.wake)
		}
	}
}

func running(c Container) bool {
	return c.State == container.StateRunning || c.State == container.StatePaused
}

// take are the containers to inspect now, and how long until there is another (0: not before wake).
func (i *inspector) take(now time.Time) (ids []string, next time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for id, t := range i.tries {
		switch left := t.due.Sub(now); {
		case t.busy:
		case left <= 0:
			t.busy = true
			i.tries[id] = t
			ids = append(ids, id)
		case next == 0 || left < next:
			next = left
		}
	}
	return ids, next
}

// learned takes what an inspect said, and tells whether the container's image was waited for.
func (i *inspector) learned(id string, o own) (image bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	t, wanted := i.tries[id]
	if wanted {
		i.known[id] = o
	}
	delete(i.tries, id)
	i.mute = false
	return t.unsure
}

// failed puts id off, and tells whether this is the first failure after a success.
func (i *inspector) failed(id string, now time.Time) (first bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if t, wanted := i.tries[id]; wanted {
		i.tries[id] = try{unsure: t.unsure, failures: t.failures + 1, due: now.Add(backoff(t.failures, inspectFirst, inspectLast))}
	}
	wake(i.wake)
	first = !i.mute
	i.mute = true
	return first
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// LearnResolvers inspects every running container of the last List whose own resolvers are not known, and
// returns when it has tried each once. It is for callers that do not Run; the next List has the answers.
func (c *Client) LearnResolvers(ctx context.Context) {
	var g errgroup.Group
	g.SetLimit(inspections)
	c.startInspections(ctx, &g, func() {})
	_ = g.Wait() // each failure was logged
}

// inspectRunning inspects containers as listings show them running, and kicks for each that has
// resolvers of its own.
func (c *Client) inspectRunning(ctx context.Context, kick func()) {
	var g errgroup.Group
	g.SetLimit(inspections)
	defer func() { _ = g.Wait() }() // it has no errors
	for ctx.Err() == nil {
		next := c.startInspections(ctx, &g, kick)
		var later <-chan time.Time
		if next > 0 {
			later = time.After(next)
		}
		select {
		case <-ctx.Done():
		case <-later:
		case <-c.inspect.wake:
		}
	}
}

func (c *Client) startInspections(ctx context.Context, g *errgroup.Group, kick func()) (next time.Duration) {
	ids, next := c.inspect.take(time.Now())
	for _, id := range ids {
		g.Go(func() error {
			c.inspectContainer(ctx, id, kick)
			return nil
		})
	}
	return next
}

func (c *Client) inspectContainer(ctx context.Context, id string, kick func()) {
	var o own
	what := call{
		what: "inspect container " + id + " of Docker", endpoint: "GET /containers/{id}/json",
		without: "its own resolvers (--dns), privileges and added capabilities are not known",
	}
	err := c.ask(ctx, what, func(ctx context.Context, e engine) error {
		answer, err := e.ContainerInspect(ctx, id)
		o = ownFrom(answer)
		return err
	})
	image := false
	switch {
	case err == nil || notFound(err):
		image = c.inspect.learned(id, o)
	case c.inspect.failed(id, time.Now()) && ctx.Err() == nil:
		c.log.Warn("the containers' own resolvers (--dns) and capabilities are not known, trying again", "container", id, "err", err)
	}
	if image || !o.ordinary() {
		kick()
	}
}

// own is what a container was created with, as Container has it.
type own struct {
	resolvers  []netip.Addr
	privileged bool
	capAdd     []string
	pidMode    string
	restarts   bool
	image      string // the reference
}

// ordinary says that nothing is the container's own, but for its image.
func (o own) ordinary() bool {
	return len(o.resolvers) == 0 && !o.privileged && len(o.capAdd) == 0 && o.pidMode == "" && !o.restarts
}

// ownFrom takes of the --dns servers those that are addresses, in their order.
func ownFrom(answer container.InspectResponse) own {
	if answer.ContainerJSONBase == nil || answer.HostConfig == nil {
		return own{}
	}
	out := own{privileged: answer.HostConfig.Privileged, pidMode: string(answer.HostConfig.PidMode)}
	out.restarts = !answer.HostConfig.RestartPolicy.IsNone()
	if answer.Config != nil {
		out.image = answer.Config.Image
	}
	for _, server := range answer.HostConfig.DNS {
		if a := parseAddr(server); a.IsValid() {
			out.resolvers = append(out.resolvers, a)
		}
	}
	out.capAdd = Capabilities(answer.HostConfig.CapAdd)
	return out
}

// Capabilities are the names of capabilities as Container.CapAdd has them: in capitals, without CAP_, sorted.
func Capabilities(names []string) (out []string) {
	for _, name := range names {
		out = append(out, strings.TrimPrefix(strings.ToUpper(name), "CAP_"))
	}
	slices.Sort(out)
	return out
}
