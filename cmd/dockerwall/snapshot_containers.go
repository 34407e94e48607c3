package main

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/metrics"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/reconcile"
)

// teller knows what Docker says of the containers in a ruleset.
type teller struct {
	containers map[string]docker.Container // by 12-digit ID
	attached   map[string][]string         // names of networks with a bridge by a container's whole ID
	others     map[string]string           // names of the other networks by ID
	dryRun     bool
}

func tellerOf(o reconcile.Outcome) teller {
	t := teller{containers: containersByID(o.State.Docker), attached: make(map[string][]string), others: make(map[string]string), dryRun: o.Ruleset.DryRun}
	for _, n := range o.State.Docker.Networks {
		if n.Bridge == "" {
			t.others[n.ID] = n.Name
		}
		for _, e := range n.Endpoints {
			t.attached[e.ContainerID] = append(t.attached[e.ContainerID], n.Name)
		}
	}
	return t
}

// container is what there is to tell of one, without its counts.
func (t teller) container(c nft.Container) metrics.Container {
	d := t.containers[c.ID]
	return metrics.Container{
		ID: d.ID, Name: d.Name, Image: d.Image, Network: t.networkNames(d), Mode: modeName(c.Mode), Audited: t.dryRun || c.Mode == nft.Audit,
		Project: d.Labels["com.docker.compose.project"],
		Service: cmp.Or(d.Labels["com.docker.compose.service"], d.Labels["com.docker.swarm.service.name"]),
	}
}

// networkNames goes by the endpoints of networks, where there are any: a container's own list may be a minute old.
func (t teller) networkNames(c docker.Container) string {
	names := slices.Clone(t.attached[c.ID])
	for _, id := range c.Networks {
		if name, ok := t.others[id]; ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ",")
}

func modeName(m nft.Mode) string {
	switch m {
	case nft.Audit:
		return metrics.ModeAudit
	case nft.Off:
		return metrics.ModeOff
	default:
		return metrics.ModeEnforce
	}
}

// severities counts the findings that `dockerwall status` shows.
func (f *fence) severities(problems []reconcile.Problem) map[string]int {
	all := slices.Concat(f.settingsAndHost(), f.resolverProblems())
	for _, p := range problems {
		all = append(all, p.Problem)
	}
	out := make(map[string]int)
	for _, p := range all {
		if p.Severity == policy.Error {
			out[metrics.SeverityError]++
		} else {
			out[metrics.SeverityWarning]++
		}
	}
	return out
}

// sets are the kernel's sets that may run full. A container's record holds as many destinations of each family. The others
// are left out when ctx is done first.
func (f *fence) sets(ctx context.Context, containers []metrics.Container) []metrics.Set {
	denied := metrics.Set{Kind: "denied", Capacity: nft.DeniedSize}
	for _, c := range containers {
		v6 := 0
		for _, d := range c.Denied {
			if d.Dst.Is6() {
				v6++
			}
		}
		denied.Elements = max(denied.Elements, v6, len(c.Denied)-v6)
	}
	fills, err := f.kernel.Fills(ctx)
	if err != nil && ctx.Err() != nil {
		f.logger.Debug("sets not read for this scrape", "err", err)
		return []metrics.Set{denied}
	}
	if err != nil {
		f.logger.Error("sets not read for this scrape", "err", err)
		return []metrics.Set{denied}
	}
	out := []metrics.Set{denied}
	for _, fill := range fills {
		out = append(out, metrics.Set{Kind: fill.Kind, Elements: fill.Elements, Capacity: fill.Size})
	}
	return out
}
