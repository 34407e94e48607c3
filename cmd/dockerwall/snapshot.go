package main

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/metrics"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/reconcile"
)

// snapshot is the state of the fence for one scrape: the kernel's counters under Docker's names.
func (f *fence) snapshot(context.Context) metrics.Snapshot {
	outcome, good := f.loop.Last()
	out := metrics.Snapshot{
		Reasons: map[string]uint64{}, Enforcing: good && outcome.Err == nil && !outcome.Ruleset.DryRun,
		DryRun: outcome.Ruleset.DryRun, DockerUp: f.engine.Connected(), LabelErrors: labelErrors(outcome.Problems),
		ResolverQueries: map[string]uint64{}, FlowsCut: f.cutter.Count(),
	}
	asked := f.resolver.Counters()
	out.DNS = f.answers.snapshot(asked)
	for result, n := range asked.Queries {
		out.ResolverQueries[result.String()] = n
	}
	counters, err := f.kernel.Counters()
	if err != nil {
		f.logger.Error("counters not read for this scrape", "err", err)
		return out
	}
	for reason, c := range counters.Reasons {
		out.Reasons[string(reason)] = c.Packets
	}
	byID := containersByID(outcome.State.Docker)
	for _, c := range outcome.Ruleset.Containers {
		countMode(&out, c.Mode)
		out.Containers = append(out.Containers, f.container(byID[c.ID], counters.Containers[c.ID]))
	}
	out.Unfenced = reconcile.Unfenced(outcome.State, outcome.Ruleset)
	return out
}

func countMode(s *metrics.Snapshot, m nft.Mode) {
	switch m {
	case nft.Audit:
		s.Audited++
	case nft.Off:
		s.Off++
	default:
		s.Fenced++
	}
}

func (f *fence) container(c docker.Container, t nft.Traffic) metrics.Container {
	out := metrics.Container{
		ID: c.ID, Name: c.Name, Image: c.Image,
		SentPackets: t.Sent.Packets, SentBytes: t.Sent.Bytes, DropPackets: t.Denied.Packets, DropBytes: t.Denied.Bytes,
	}
	if t.Denied.Packets == 0 {
		return out
	}
	denials, err := f.kernel.Denials(c.ID[:12])
	if err != nil {
		f.logger.Error("denied destinations not read for this scrape", "container", c.Name, "err", err)
	}
	for _, d := range denials {
		out.Denied = append(out.Denied, metrics.Denied{
			Dst: d.Dst, Port: d.Port, Proto: d.Proto, Packets: d.Packets, Bytes: d.Bytes, Names: f.resolver.NamesOf(d.Dst),
		})
	}
	return out
}

// leaving books the last counts of containers whose chains are about to go, so that the next scrape
// still has them.
func (f *fence) leaving(containers []nft.Container) {
	outcome, _ := f.loop.Last()
	byID := containersByID(outcome.State.Docker)
	out := make([]metrics.Container, 0, len(containers))
	for _, c := range containers {
		traffic, err := f.kernel.Traffic(c)
		if err != nil {
			f.logger.Debug("last counts not read", "container", c.Name, "err", err)
			continue
		}
		f.noted.left(traffic)
		out = append(out, f.container(byID[c.ID], traffic))
	}
	f.metrics.Observe(out)
	f.observer.Leaving(containers)
}

func containersByID(h docker.Host) map[string]docker.Container {
	out := make(map[string]docker.Container, len(h.Containers))
	for _, c := range h.Containers {
		if len(c.ID) >= 12 {
			out[c.ID[:12]] = c
		}
	}
	return out
}

func labelErrors(problems []reconcile.Problem) []metrics.LabelErrors {
	var out []metrics.LabelErrors
	for _, p := range problems {
		if p.ID == "" || p.Severity != policy.Error {
			continue
		}
		if n := len(out); n > 0 && out[n-1].ID == p.ID {
			out[n-1].Count++
			continue
		}
		out = append(out, metrics.LabelErrors{ID: p.ID, Name: p.Container, Count: 1})
	}
	return out
}

// containerName tells the log whose chain denied a packet.
func (f *fence) containerName(chain string) (id, name string) {
	outcome, _ := f.loop.Last()
	for _, c := range outcome.State.Docker.Containers {
		if short := nft.ContainerOf(chain); short != "" && strings.HasPrefix(c.ID, short) {
			return c.ID, c.Name
		}
	}
	return "", ""
}

// health says whether the fence stands as it should.
func (f *fence) health() api.Health {
	outcome, good := f.loop.Last()
	h := api.Health{
		Healthy: good && outcome.Err == nil && overdue(outcome.At, f.noted.since, time.Now()) == "", Version: buildInfo().Version, DryRun: outcome.Ruleset.DryRun,
		DockerUp: f.engine.Connected(), DNSMode: f.answers.modeName(), Fenced: len(outcome.Ruleset.Containers), Generation: int(f.commits.Load()),
	}
	h.Unfenced = reconcile.Unfenced(outcome.State, outcome.Ruleset)
	h.Problems, h.Findings = len(outcome.Problems), findings(outcome.Problems)
	h.Reasons = f.reasons(outcome, good)
	return h
}

// findings are the first few problems in words, errors before warnings.
func findings(problems []reconcile.Problem) (out []string) {
	for _, severity := range []policy.Severity{policy.Error, policy.Warning} {
		for _, p := range problems {
			if p.Severity == severity && len(out) < 5 {
				out = append(out, strings.TrimPrefix(p.Container+": "+p.Problem.String(), ": "))
			}
		}
	}
	return out
}

// portsDegraded says what is missing where addresses are not bound to ports.
func portsDegraded(r nft.Ruleset) string {
	if r.BindPorts {
		return ""
	}
	return "addresses are not bound to bridge ports, which this kernel cannot do: a container with NET_RAW can send with another's address; cap_drop NET_RAW closes that"
}

// containerDNS are the resolvers that containers bring with --dns.
func (f *fence) containerDNS() []netip.Addr {
	if f.loop == nil { // asked by resolver.New
		return nil
	}
	outcome, _ := f.loop.Last()
	var out []netip.Addr
	for _, c := range outcome.State.Docker.Containers {
		out = append(out, c.Resolvers...)
	}
	return out
}
