package check

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/reconcile"
	"github.com/dockerwall/dockerwall/sortby"
)

// Services is how many there are.
func (p Project) Services() int { return len(p.services) }

// Check checks a project: its labels, and whether its services can be fenced.
func (p Project) Check(o Options) []Finding {
	c := checker{options: o, findings: slices.Clone(p.notes)}
	var subjects []subject
	for _, s := range p.services {
		add := func(f Finding) {
			f.Service = s.name
			c.add(f)
		}
		subjects = append(subjects, subject{s.labels, add})
		c.labels(subjects[len(subjects)-1])
		s.undeployed(add)
		p.connected(s, o, add)
	}
	c.missing(subjects)
	c.outside(p)
	return ordered(c.findings)
}

// undeployed reports labels that containers do not get, or of which nothing is made there.
func (s service) undeployed(add func(Finding)) {
	for _, l := range s.build {
		if policy.IsLabel(l.key) || policy.Resembles(l.key) != "" {
			add(Finding{
				Rule: RuleBuildLabels, Severity: Warning, Label: l.key,
				Message: "labels under build are the image's, which are ignored: it does nothing", Remedy: "put it under labels of the service itself, or trust all images (TRUST_IMAGE_LABELS=true)",
			}.at(l.at))
		}
	}
	for _, l := range s.deploy {
		if policy.IsLabel(l.key) || policy.Resembles(l.key) != "" {
			add(Finding{
				Rule: RuleDeployLabels, Severity: Error, Label: l.key,
				Message: "labels under deploy are the service's, and containers do not get them: it does nothing", Remedy: "put it under labels of the service itself",
			}.at(l.at))
		}
	}
}

// connected looks at networks of which package reconcile has nothing to say.
func (p Project) connected(s service, o Options, add func(Finding)) {
	note := func(rule string, severity Severity, key, token, message, remedy string) {
		add(Finding{Rule: rule, Severity: severity, Token: token, Message: message, Remedy: remedy}.at(s.place(key)))
	}
	labelled := s.container().labelled()
	shares := strings.HasPrefix(s.mode, "container:") || strings.HasPrefix(s.mode, "service:")
	switch {
	case s.mode == "none" && labelled:
		note(RuleNoNetwork, Note, "network_mode", s.mode, "the container has no network, so there is nothing to fence, and its labels do nothing", "remove the labels")
	case shares && !labelled:
		note(RuleSharedNetwork, Note, "network_mode", s.mode, "the container shares another's network, whose policy counts", "put the labels on that container")
	}
	networks := p.networksOf(s)
	left := func(n composeNetwork) bool { return !o.Networks.Manages(n.name) }
	managed := slices.ContainsFunc(networks, func(n composeNetwork) bool { return !left(n) }) // then it is a free way out
	for _, n := range networks {
		if n.external && n.driver == "" {
			note(RuleExternal, Note, "networks", n.name, "the network is made elsewhere, and is taken for one of driver bridge", "check the running containers too: dockerwall check --running")
		}
		if left(n) && !managed && !labelled {
			note(reconcile.RuleUnmanaged, Note, "networks", n.name, "the container's network is left alone (GATEWAY_NETWORKS)", "manage the network, or use another, to have the container fenced")
		}
	}
}

// place is where a key of the service stands, the service itself where it has none.
func (s service) place(key string) Place {
	if at, ok := s.places[key]; ok {
		return at
	}
	return s.places[""]
}

// networksOf are those that a service is on, by name.
func (p Project) networksOf(s service) (out []composeNetwork) {
	keys := s.networks
	switch {
	case s.mode != "":
		keys = nil
		if !strings.Contains(s.mode, ":") && !slices.Contains([]string{"host", "none", "bridge", "default"}, s.mode) {
			out = append(out, composeNetwork{name: s.mode, external: true})
		} else if s.mode == "bridge" || s.mode == "default" {
			out = append(out, composeNetwork{name: "bridge", driver: "bridge", external: true})
		}
	case len(keys) == 0:
		keys = []string{"default"}
	}
	for _, key := range keys {
		if n, ok := p.networks[key]; ok {
			out = append(out, n)
		}
	}
	sortby.Func(out, func(a, b composeNetwork) int { return strings.Compare(a.name, b.name) })
	return slices.Compact(out)
}

// container is the service as the Engine would show it.
func (s service) container() container {
	c := s.holds
	c.Name, c.State, c.NetworkMode, c.EngineSocket = s.name, "running", s.mode, s.socket
	if with, ok := strings.CutPrefix(s.mode, "service:"); ok {
		c.NetworkMode = "container:" + with
	}
	c.Labels = map[string]string{}
	for _, l := range s.labels {
		if !l.bad {
			c.Labels[l.key] = l.value
		}
	}
	return container{c}
}

type container struct{ docker.Container }

func (c container) labelled() bool {
	for key := range c.Labels {
		if policy.IsLabel(key) {
			labels, _ := policy.ParseLabels(c.Labels, nil)
			return labels.Mode != policy.ModeOff
		}
	}
	return false
}

// host is the project as the Engine would show it, with addresses and IDs of its own.
func (p Project) host() docker.Host {
	var h docker.Host
	networks := map[string]*docker.Network{} // by name
	addr := netip.AddrFrom4([4]byte{10})
	for i, s := range p.services {
		c := s.container()
		c.ID = fmt.Sprintf("%012x%052x", i, 0)
		for _, n := range p.networksOf(s) {
			if networks[n.name] == nil {
				networks[n.name] = newNetwork(n, len(networks))
			}
			c.Networks = append(c.Networks, networks[n.name].ID)
			addr = addr.Next()
			networks[n.name].Endpoints = append(networks[n.name].Endpoints, docker.Endpoint{ContainerID: c.ID, IPv4: addr})
		}
		h.Containers = append(h.Containers, c.Container)
	}
	for _, name := range slices.Sorted(maps.Keys(networks)) {
		h.Networks = append(h.Networks, *networks[name])
	}
	return h
}

// newNetwork is of driver bridge unless another is named, as Docker has it.
func newNetwork(n composeNetwork, i int) *docker.Network {
	id := fmt.Sprintf("%064x", i)
	out := docker.Network{ID: id, Name: n.name, Driver: n.driver}
	if n.driver == "" || n.driver == "bridge" {
		out.Driver, out.Bridge = "bridge", fmt.Sprintf("br-%012x", i)
	}
	return &out
}

// outside takes over what package reconcile finds beyond the labels.
func (c *checker) outside(p Project) {
	byName := make(map[string]service, len(p.services))
	for _, s := range p.services {
		byName[s.name] = s
	}
	state := reconcile.State{Config: reconcile.Config{Networks: c.options.Networks}, Docker: p.host()}
	for _, problem := range reconcile.Outside(state) {
		s := byName[problem.Container]
		f := found(problem.Problem)
		f.Service = problem.Container
		if f.Rule == reconcile.RuleSharedLabels {
			f.Token = s.mode
		}
		c.add(f.at(s.place(keyOf(f.Rule, s))))
	}
}

// keyOf is the key of a service that a rule is about.
func keyOf(rule string, s service) string {
	switch rule {
	case reconcile.RuleHostNetwork, reconcile.RuleSharedLabels:
		return "network_mode"
	case reconcile.RuleStepsAround:
		switch {
		case s.holds.Privileged:
			return "privileged"
		case len(s.holds.CapAdd) > 0 && !s.socket:
			return "cap_add"
		case s.socket:
			return "volumes"
		}
	}
	if s.mode != "" {
		return "network_mode"
	}
	return "networks"
}
