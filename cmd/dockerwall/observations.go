package main

import (
	"context"
	"sync"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/droplog"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/observe"
	"github.com/dockerwall/dockerwall/packet"
	"github.com/dockerwall/dockerwall/plain"
	"github.com/dockerwall/dockerwall/reconcile"
)

// What the daemon remembers of what was denied.

// observe makes the parts that remember; fresh says that all that the kernel counted is ours.
func (f *fence) observe(fresh bool) error {
	told := f.store.Baseline()
	if fresh {
		told = &observe.Baseline{}
	}
	f.feed = observe.NewFeed(func() { f.observer.Kick() })
	var err error
	f.observer, err = observe.NewObserver(observe.Options{
		Kernel: f.kernel, View: f.view, Baseline: told, Watched: f.feed.Watched, Logger: f.logger,
		Sinks: []func([]observe.Denial){f.store.Add, f.feed.Publish, f.noted.history.Record, f.decided},
	})
	return err
}

// dropped follows each packet that nflog shows.
func (f *fence) dropped(d droplog.Drop) {
	f.dropLog.Handle(d)
	f.observer.Drop(d)
}

// view is who is who now.
func (f *fence) view() (observe.View, bool) {
	outcome, good := f.loop.Last()
	if !good {
		return observe.View{}, false
	}
	byID := containersByID(outcome.State.Docker)
	audited := map[string]bool{}
	for _, c := range outcome.Ruleset.Containers {
		audited[c.ID] = c.Mode == nft.Audit
	}
	opener := sync.OnceValue(func() reconcile.Opener { return reconcile.NewOpener(outcome.State) })
	return observe.View{
		Container: func(id string) (observe.Container, bool) {
			c, ok := byID[id]
			return observe.Container{ID: c.ID, Subject: subjectOf(c), Audit: audited[id]}, ok
		},
		Names: f.resolver.CalledOf,
		Token: func(t observe.Target, names []string) (string, bool) {
			host := opener().Host(t.Dst)
			token, ok := opener().Token(reconcile.Destination{Addr: t.Dst, Port: t.Port, Proto: t.Proto}, names)
			if !ok {
				return "", host
			}
			return token.String(), host
		},
		DryRun: outcome.Ruleset.DryRun,
	}, true
}

// subjectOf is who a container is to those who write policies. Its texts are made plain: they are kept and shown.
func subjectOf(c docker.Container) observe.Subject {
	service := c.Labels["com.docker.compose.service"]
	if service == "" {
		service = c.Labels["com.docker.swarm.service.name"]
	}
	return observe.Subject{
		Name: clean(c.Name), Image: clean(c.Image),
		Project: clean(c.Labels["com.docker.compose.project"]), Service: clean(service),
	}
}

// denials answers those who watch.
func (f *fence) denials(ctx context.Context, n int, follow bool, send func(api.Denial) error) error {
	return f.feed.Follow(ctx, n, follow, func(d observe.Denial) error { return send(denialObject(d)) })
}

// denialObject is a Denial as the API has it.
func denialObject(d observe.Denial) api.Denial {
	out := api.Denial{
		ID: d.ID, Time: d.Time, Container: d.Subject.Name, ContainerID: d.ContainerID, Image: d.Subject.Image,
		Destination: d.Target.Dst, Port: d.Target.Port, Names: d.Names, Interface: plain.Text(d.Interface, maxCell),
		Reason: d.Reason, Verdict: api.VerdictDenied, Packets: d.Packets, Bytes: d.Bytes, Token: d.Token, First: d.First, Lost: d.Lost,
	}
	if d.Target.Dst.IsValid() {
		out.Protocol = packet.ProtocolName(d.Target.Proto)
	}
	if d.Source.IsValid() {
		out.Source = d.Source.String()
	}
	if d.Audit {
		out.Verdict = api.VerdictAudit
	}
	return out
}
