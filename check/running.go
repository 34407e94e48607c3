package check

import (
	"strings"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/reconcile"
	"github.com/dockerwall/dockerwall/sortby"
)

// Host is a host with its containers.
type Host struct {
	State reconcile.State
	// Problems are those of Build, in which the state's Denied holds every denied name.
	Problems []reconcile.Problem
	API      string // version that the Engine speaks, such as "1.41"
}

// Running is how many containers there are to check.
func (h Host) Running() (n int) {
	for _, c := range h.State.Docker.Containers {
		if isRunning(c) {
			n++
		}
	}
	return n
}

func isRunning(c docker.Container) bool { return c.State == "running" || c.State == "paused" }

// Check checks the containers of a host.
func (h Host) Check(o Options) []Finding {
	o.Grammar = h.State.Operator.Grammar()
	c := checker{options: o}
	for _, p := range h.Problems {
		f := found(p.Problem)
		f.Container = p.Container
		c.add(f)
	}
	var subjects []subject
	own := ownIDs()
	for _, one := range h.State.Docker.Containers {
		if !isRunning(one) {
			continue
		}
		add := func(f Finding) {
			f.Container = one.Name
			c.add(f)
		}
		s := subject{h.own(one), func(f Finding) { // problems of labels are known
			if own[f.Rule] {
				add(f)
			}
		}}
		c.labels(s)
		subjects = append(subjects, subject{s.labels, add})
		h.deniesDNS(one, s.labels, add)
	}
	c.missing(subjects)
	return ordered(c.findings)
}

// own are the labels that do not come from the image.
func (h Host) own(c docker.Container) (out []label) {
	image := h.State.ImageLabels[c.ImageID]
	for key, value := range c.Labels {
		if v, ok := image[key]; !ok || v != value {
			out = append(out, label{key: key, value: value})
		}
	}
	sortby.Func(out, func(a, b label) int { return strings.Compare(a.key, b.key) })
	return out
}

// deniesDNS reports a denial that no hook of ours can hold, where it stands.
func (h Host) deniesDNS(c docker.Container, labels []label, add func(Finding)) {
	p, is := h.State.UnheldDNS(c, h.API)
	if !is {
		return
	}
	f := found(p)
	for _, l := range labels {
		if !l.policies() {
			continue
		}
		for _, e := range h.State.Operator.Grammar().Entries(l.value) {
			if e.Deny && e.Dest == policy.DNS {
				f.Label, f.Position = l.key, e.Pos
			}
		}
	}
	add(f)
}

// ownIDs are the rules of this package.
func ownIDs() map[string]bool {
	out := map[string]bool{}
	for _, r := range ownRules() {
		out[r.ID] = true
	}
	return out
}
