package main

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/metrics"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/operator"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/reconcile"
)

// snapshot is the state of the fence for one scrape: the kernel's counters under Docker's names.
func (f *fence) snapshot(ctx context.Context) metrics.Snapshot {
	outcome, good := f.loop.Last()
	out := metrics.Snapshot{
		Reasons: map[string]uint64{}, Enforcing: good && outcome.Err == nil && !outcome.Ruleset.DryRun,
		DryRun: outcome.Ruleset.DryRun, DockerUp: f.engine.Connected(), LabelErrors: labelErrors(outcome.Problems),
		ResolverQueries: map[string]uint64{}, FlowsCut: f.cutter.Count(), Findings: f.severities(outcome.Problems),
		PolicyErrors: operator.Errors(f.policies.Problems()),
	}
	asked := f.resolver.Counters()
	out.Changes = changesIn(outcome.State.Overlay)
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
	told, counted := tellerOf(outcome), countedOf(counters)
	details, cancel := context.WithTimeout(ctx, detailTime)
	defer cancel()
	for _, c := range fromAnywhere(outcome.Ruleset.Containers) {
		countMode(&out, c.Mode)
		out.Containers = append(out.Containers, f.container(details, told.container(c), counted[c.ID]))
		out.FirstSeen = append(out.FirstSeen, f.firstSeen(told.containers[c.ID]))
	}
	out.Unfenced = reconcile.Unfenced(outcome.State, outcome.Ruleset)
	out.Sets = f.sets(ctx, out.Containers)
	return out
}

// detailTime is how long a scrape reads denied destinations; the rest has its totals only. A full record takes some 10 ms.
const detailTime = 3 * time.Second

// lastDetailTime is the same for containers that go: their commit waits, and with it DNS answers.
const lastDetailTime = 50 * time.Millisecond

// fromAnywhere is all of a list from a place at random, so that none is always the last.
func fromAnywhere[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	first := rand.IntN(len(list))
	return slices.Concat(list[first:], list[:first])
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

// container adds what the kernel counted to what there is to tell of a container. Its denied destinations are left out
// when ctx is done.
func (f *fence) container(ctx context.Context, out metrics.Container, c counted) metrics.Container {
	out.Sent, out.Drops = c.sent, c.drops
	if c.denied == 0 || len(out.ID) < 12 {
		return out
	}
	if out.Unread = ctx.Err() != nil; out.Unread {
		return out
	}
	denials, err := f.kernel.Denials(out.ID[:12])
	if err != nil {
		f.logger.Error("denied destinations not read for this scrape", "container", out.Name, "err", err)
		out.Unread = true
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
	ctx, cancel := context.WithTimeout(context.Background(), lastDetailTime)
	defer cancel()
	f.lastCounts(containers, func(out metrics.Container, c nft.Container, counters nft.Counters) metrics.Container {
		f.noted.left(counters.Containers[c.ID])
		return f.container(ctx, out, countedOf(counters)[c.ID])
	})
	f.observer.Leaving(containers)
	f.vacated(containers)
}

// losing books the last counts of endpoints that are about to go from containers that stay.
func (f *fence) losing(containers []nft.Container) {
	f.vacated(containers)
	for i := range containers {
		containers[i].Mode = nft.Off // nothing but its endpoints' counters is read
	}
	f.lastCounts(containers, func(out metrics.Container, c nft.Container, counters nft.Counters) metrics.Container {
		last := countedOf(counters)[c.ID]
		out.Sent, out.Drops, out.Partial = last.sent, last.drops, true
		return out
	})
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

// healthy says whether the fence stands as it should; anybody who reaches the port of the metrics may ask.
func (f *fence) healthy() bool {
	outcome, good := f.loop.Last()
	return good && outcome.Err == nil && overdue(outcome.At, f.noted.since, time.Now()) == ""
}

// health is that, with the reasons.
func (f *fence) health() api.Health {
	outcome, good := f.loop.Last()
	h := api.Health{
		Healthy: f.healthy(), Version: buildInfo().Version, DryRun: outcome.Ruleset.DryRun,
		DockerUp: f.engine.Connected(), DNSMode: f.answers.modeName(), Generation: int(f.commits.Load()),
	}
	var modes metrics.Snapshot
	for _, c := range outcome.Ruleset.Containers {
		countMode(&modes, c.Mode)
	}
	h.Fenced, h.Unfenced = modes.Fenced, reconcile.Unfenced(outcome.State, outcome.Ruleset)
	problems := outcome.Problems
	for _, p := range f.policyProblems() {
		problems = append(slices.Clip(problems), reconcile.Problem{Problem: p})
	}
	h.Problems, h.Findings = len(problems), findings(problems)
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

// portsDegraded says what is missing where the kernel cannot bind addresses to ports.
func portsDegraded(can nft.Features) string {
	if can.Ports {
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
