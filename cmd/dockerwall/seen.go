package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/observe"
	"github.com/dockerwall/dockerwall/operator"
	"github.com/dockerwall/dockerwall/packet"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/reconcile"
	"github.com/dockerwall/dockerwall/sortby"
)

// maxForeignLabel bounds labels that are not ours, in bytes: rules may match them, and longer ones are left out.
const maxForeignLabel = 1024

// maxSeenNames is how many names of an address a record has, its own among them.
const maxSeenNames = 8

// observations answers for one container, by its name or the beginning of its ID, or for all with "".
func (f *fence) observations(ctx context.Context, container string) (api.Observations, error) {
	reading, cancel := context.WithTimeout(ctx, readingTimeout)
	defer cancel()
	f.observer.Fresh(reading)
	f.contacts.List()
	f.store.Refresh()
	state, rules := f.loop.Now()
	w := recall{f: f, state: state, opener: reconcile.NewOpener(state), running: map[observe.Subject]docker.Container{}, called: calledIn(state)}
	for _, c := range state.Docker.Containers {
		if isRunning(c) {
			w.running[named(c)] = c
		}
	}
	out := api.Observations{Until: time.Now(), Host: f.observedHost(state, rules.DryRun), Subjects: []api.ObservedSubject{}}
	for _, h := range f.store.Observed() {
		id := w.running[nameAndImage(h.Subject)].ID
		if container == "" || h.Subject.Name == container || len(container) >= minID && strings.HasPrefix(id, container) {
			out.Subjects = append(out.Subjects, w.subject(h))
		}
	}
	if container != "" && len(out.Subjects) == 0 {
		return out, fmt.Errorf("%w: %s has not run since observations began; `docker ps` lists those that run", api.ErrNoContainer, clean(container))
	}
	return out, nil
}

func (f *fence) observedHost(s reconcile.State, dryRun bool) api.ObservedHost {
	out := api.ObservedHost{
		Addresses: append([]netip.Addr{}, s.Interfaces.Addrs...), Resolvers: append([]netip.Addr{}, s.Resolvers.Containers...), Networks: []api.ObservedNetwork{},
		GatewayNetworks: f.written.networks, DefaultOutbound: f.written.outbound, DryRun: dryRun, TrustImages: s.ImageLabels == nil, PrivateNames: s.Config.PrivateNames,
	}
	for _, n := range s.Docker.Networks {
		if n.Bridge != "" {
			out.Networks = append(out.Networks, api.ObservedNetwork{ID: n.ID, Name: n.Name, Bridge: n.Bridge, Subnets: append([]netip.Prefix{}, n.Subnets...)})
		}
	}
	for _, r := range s.Operator.Rules {
		out.Rules = append(out.Rules, observedRule(r))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Operator.Groups)) {
		g := s.Operator.Groups[name]
		out.Groups = append(out.Groups, api.ObservedGroup{Name: string(name), File: g.File, Outbound: tokensText(g.Policy.Tokens)})
	}
	return out
}

func observedRule(r operator.Rule) api.ObservedRule {
	out := api.ObservedRule{File: r.File, Line: r.Line, Match: api.ObservedMatch(r.Match), Outbound: tokensText(r.Policy.Tokens), Reject: r.Reject}
	if r.Mode != nil {
		out.Mode = r.Mode.String()
	}
	return out
}

// tokensText is a text that has the tokens.
func tokensText(tokens []policy.Token) string {
	var out []string
	for _, t := range tokens {
		out = append(out, t.String())
	}
	return strings.Join(out, ", ")
}

// calledIn are the names that the state has addresses by: the daemon asks for names itself, which no container may have.
func calledIn(s reconcile.State) map[netip.Addr][]string {
	out := map[netip.Addr][]string{}
	for name, addrs := range s.Names {
		for _, a := range addrs {
			out[a] = append(out[a], name)
		}
	}
	for _, below := range s.Below {
		for _, n := range below {
			out[n.Addr] = append(out[n.Addr], n.Name)
		}
	}
	for a := range out {
		slices.Sort(out[a])
		out[a] = slices.Compact(out[a])
	}
	return out
}

// recall says what was observed of subjects.
type recall struct {
	f       *fence
	state   reconcile.State
	opener  reconcile.Opener
	running map[observe.Subject]docker.Container
	called  map[netip.Addr][]string
}

func (w recall) subject(h observe.Observed) api.ObservedSubject {
	out := api.ObservedSubject{
		Container: h.Subject.Name, Image: h.Subject.Image, Project: h.Subject.Project, Service: h.Subject.Service,
		Since: h.Since, Last: h.Last, Labels: map[string]string{}, Records: []api.ObservedRecord{}, Lost: h.Lost,
	}
	if c, ok := w.running[nameAndImage(h.Subject)]; ok {
		w.fill(&out, c)
	} else if h.Outbound != "" {
		out.Labels[policy.LabelOutbound] = h.Outbound
	}
	for _, c := range h.Contacts {
		r := w.record(h.Subject, c.Target, c.Names)
		if c.Via.IsValid() { // asks for the host's port, which is what is to be allowed
			asked := w.record(h.Subject, observe.Target{Dst: c.Via.Addr(), Port: c.Via.Port(), Proto: c.Proto}, nil)
			r.Token = asked.Token
		}
		r.Via, r.Verdict, r.Count, r.First, r.Last = c.Via, api.VerdictAllowed, c.Connections, c.First, c.Last
		out.Records = append(out.Records, r)
	}
	for _, c := range h.Records {
		if !c.Dst.IsValid() || c.Dst.IsMulticast() {
			continue // no policy allows it
		}
		r := w.record(h.Subject, c.Target, c.Names)
		r.Verdict, r.Count, r.First, r.Last = api.VerdictDenied, c.Packets, c.First, c.Last
		if c.Audit {
			r.Verdict = api.VerdictAudit
		}
		out.Records = append(out.Records, r)
	}
	sortby.Stable(out.Records, func(a, b api.ObservedRecord) int {
		return cmp.Or(a.Destination.Compare(b.Destination), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port))
	})
	return out
}

// fill adds what is known of a container that runs.
func (w recall) fill(out *api.ObservedSubject, c docker.Container) {
	out.ID, out.Resolvers = c.ID, c.Resolvers
	image, known := w.state.ImageLabels[c.ImageID]
	out.ImageGone = w.state.ImageLabels != nil && !known
	out.Labels, out.ImageLabels = shortLabels(c.Labels), shortLabels(image)
	for _, n := range w.state.Docker.Networks {
		for _, e := range n.Endpoints {
			if e.ContainerID != c.ID {
				continue
			}
			end := api.ObservedEndpoint{Network: n.Name, Addresses: []netip.Addr{}}
			for _, a := range []netip.Addr{e.IPv4, e.IPv6} {
				if a.IsValid() {
					end.Addresses = append(end.Addresses, a)
				}
			}
			out.Endpoints = append(out.Endpoints, end)
		}
	}
	said := w.state.Overlay.Containers[c.ID]
	var added []policy.Token
	for _, g := range said.Grants {
		added = append(added, g.Token)
	}
	out.Added = tokensText(added)
	switch {
	case said.Mode == nil:
	case said.Mode.Paused:
		out.Mode = policy.ModeAudit.String()
	default:
		out.Mode = said.Mode.Mode.String()
	}
}

// shortLabels are labels without long ones that are not ours.
func shortLabels(labels map[string]string) map[string]string {
	out := map[string]string{}
	for key, value := range labels {
		if policy.IsLabel(key) || len(key)+len(value) <= maxForeignLabel {
			out[key] = value
		}
	}
	return out
}

// record is a target with its names: those that it was recorded with, and those that it has now.
func (w recall) record(of observe.Subject, t observe.Target, names []string) api.ObservedRecord {
	out := api.ObservedRecord{Destination: t.Dst, Port: t.Port, Protocol: packet.ProtocolName(t.Proto)}
	for _, name := range slices.Concat(names, w.called[t.Dst]) {
		if !slices.Contains(out.Names, name) && len(out.Names) < maxSeenNames {
			out.Names = append(out.Names, name)
		}
	}
	if token, ok := w.opener.Token(reconcile.Destination{Addr: t.Dst, Port: t.Port, Proto: t.Proto}, w.f.store.Own(of, names)); ok {
		out.Token = token.String()
	}
	return out
}
