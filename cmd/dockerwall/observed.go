package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/metrics"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/observe"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/reconcile"
)

// newStore makes what remembers observations; "" is nowhere on disk.
func (f *fence) newStore(dir string) *observe.Store {
	who := &askers{last: f.loop.Last}
	return observe.OpenStore(observe.StoreOptions{
		Dir: dir, Boot: observe.BootID(), Logger: f.logger, Running: f.running, Whose: who.of,
		Settled: func(do func(observe.Baseline)) { f.observer.Settled(do) },
	})
}

// outboundOf is a container's label as it counts.
func outboundOf(s reconcile.State, c docker.Container) string {
	return ownLabel(s, c, policy.LabelOutbound)
}

// besides are the tokens that count for a container besides those that stand in its label.
func besides(s reconcile.State, c docker.Container) (out []policy.Token) {
	for _, t := range s.Policy(c).Tokens {
		if t.Origin != reconcile.OriginLabel && t.Origin != reconcile.OriginImplied {
			out = append(out, t.Token)
		}
	}
	return out
}

func isRunning(c docker.Container) bool {
	return c.State == "running" || c.State == "paused" || c.State == "restarting"
}

// running are the containers that run and have a network of their own.
func (f *fence) running() (out []observe.Running) {
	outcome, _ := f.loop.Last()
	for _, c := range outcome.State.Docker.Containers {
		if isRunning(c) && len(c.Networks) > 0 {
			out = append(out, observe.Running{Subject: subjectOf(outcome.State, c), ID: c.ID, Outbound: outboundOf(outcome.State, c)})
		}
	}
	return out
}

func (f *fence) firstSeen(c docker.Container) metrics.FirstSeen {
	return metrics.FirstSeen{ID: c.ID, Name: c.Name, Count: f.store.Firsts(named(c))}
}

// askers find the container that has an address. Only one goroutine uses them.
type askers struct {
	last   func() (reconcile.Outcome, bool)
	at     time.Time // of the outcome that the index is of
	byAddr map[netip.Addr]docker.Container
	tokens map[string][]reconcile.Sourced // by ID, of those that asked
}

// of says who asked.
func (a *askers) of(q observe.Question) (observe.Asker, bool) {
	outcome, _ := a.last()
	if a.byAddr == nil || !a.at.Equal(outcome.At) {
		a.index(outcome)
	}
	c, known := a.byAddr[q.To]
	if !known {
		return observe.Asker{}, false
	}
	tokens, read := a.tokens[c.ID]
	if !read {
		tokens = outcome.State.Policy(c).Tokens
		a.tokens[c.ID] = tokens
	}
	return observe.Asker{Subject: subjectOf(outcome.State, c), ID: c.ID, Allowed: allowsName(tokens, q.Name)}, true
}

func (a *askers) index(o reconcile.Outcome) {
	a.at, a.byAddr, a.tokens = o.At, map[netip.Addr]docker.Container{}, map[string][]reconcile.Sourced{}
	byID := containersByID(o.State.Docker)
	for _, n := range o.State.Docker.Networks {
		for _, e := range n.Endpoints {
			if c, ok := byID[e.ContainerID[:min(len(e.ContainerID), 12)]]; ok {
				a.byAddr[e.IPv4], a.byAddr[e.IPv6] = c, c
			}
		}
	}
	delete(a.byAddr, netip.Addr{})
}

// allowsName says whether tokens allow a name at any port, as far as a name alone can tell.
func allowsName(tokens []reconcile.Sourced, name string) bool {
	allowed := false
	for _, t := range tokens {
		p, named := t.Dest.(policy.Pattern)
		switch {
		case named && p.Match(name), t.Dest == policy.All, t.Dest == policy.Internet:
			if t.Deny && t.Clause == (policy.Clause{}) {
				return false
			}
			allowed = allowed || !t.Deny
		}
	}
	return allowed
}

// readingTimeout is how long a suggestion waits for the kernel's counters of this moment.
const readingTimeout = 3 * time.Second

// suggest answers for one container, by its name or the beginning of its ID, or for all with "".
func (f *fence) suggest(ctx context.Context, container string) ([]api.Suggestion, error) {
	reading, cancel := context.WithTimeout(ctx, readingTimeout)
	defer cancel()
	f.observer.Fresh(reading)
	f.store.Refresh()
	outcome, _ := f.loop.Last()
	running := map[observe.Subject]docker.Container{}
	want := map[string]bool{container: true}
	for _, c := range outcome.State.Docker.Containers {
		if !isRunning(c) {
			continue
		}
		running[named(c)] = c
		if len(container) >= minID && strings.HasPrefix(c.ID, container) {
			want[c.Name] = true
		}
	}
	opener := reconcile.NewOpener(outcome.State)
	out := []api.Suggestion{}
	for _, h := range f.store.Observed() {
		if container != "" && !want[h.Subject.Name] {
			continue
		}
		one := observe.Case{
			Observed: h, Until: time.Now(), Existing: h.Outbound, Grammar: outcome.State.Operator.Grammar(), Others: besides(outcome.State, docker.Container{}), Token: opener.Token,
		}
		if c, ok := running[nameAndImage(h.Subject)]; ok {
			one.Existing, one.Mode, one.Others = outboundOf(outcome.State, c), modeOf(outcome.Ruleset, c.ID), besides(outcome.State, c)
		}
		out = append(out, observe.Suggest(one))
	}
	if container != "" && len(out) == 0 {
		return nil, fmt.Errorf("%w: %s has not run since observations began; `docker ps` lists those that run", api.ErrNoContainer, clean(container))
	}
	return out, nil
}

// minID is how many digits of an ID are taken for one.
const minID = 6

func nameAndImage(s observe.Subject) observe.Subject {
	return observe.Subject{Name: s.Name, Image: s.Image}
}

// modeOf is a container's mode as [api.Container] has it.
func modeOf(r nft.Ruleset, id string) string {
	for _, c := range r.Containers {
		switch {
		case !strings.HasPrefix(id, c.ID):
		case c.Mode == nft.Off:
			return policy.ModeOff.String()
		case c.Mode == nft.Audit || r.DryRun:
			return policy.ModeAudit.String()
		default:
			return policy.ModeEnforce.String()
		}
	}
	return "unfenced"
}
