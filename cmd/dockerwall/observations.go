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
			return observe.Container{ID: c.ID, Subject: subjectOf(outcome.State, c), Audit: audited[id]}, ok
		},
		Names: f.resolver.CalledOf, Own: f.store.Own,
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

// named is a container's name and image, by which it is remembered. Texts are made plain: they are kept and shown.
func named(c docker.Container) observe.Subject {
	return observe.Subject{Name: clean(c.Name), Image: clean(c.Image)}
}

// Labels of those who manage containers. Docker compose gives the first to each container that it makes, of a value that
// goes with the service's configuration, and to no image that it builds; the others to both.
const (
	composeHash    = "com.docker.compose.config-hash"
	composeProject = "com.docker.compose.project"
	composeService = "com.docker.compose.service"
	swarmService   = "com.docker.swarm.service.name"
)

// subjectOf is who a container is to those who write policies. An image does not say whose it is: what its containers
// send would be suggested to a service of the image's choice.
func subjectOf(s reconcile.State, c docker.Container) observe.Subject {
	out := named(c)
	switch {
	case ownLabel(s, c, composeHash) != "":
		out.Project, out.Service = clean(c.Labels[composeProject]), clean(c.Labels[composeService])
	default:
		out.Service = clean(ownLabel(s, c, swarmService))
	}
	return out
}

// ownLabel is a container's label as it counts: one that its image brought along does not, see [policy.ParseLabels].
func ownLabel(s reconcile.State, c docker.Container, key string) string {
	label := c.Labels[key]
	image, known := s.ImageLabels[c.ImageID]
	if s.ImageLabels != nil && (!known || image[key] == label) {
		return ""
	}
	return label
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
