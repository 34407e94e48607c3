package status

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/reconcile"
	"github.com/dockerwall/dockerwall/sortby"
)

// Labels by which compose and Swarm mark their containers.
const (
	composeProject = "com.docker.compose.project"
	composeService = "com.docker.compose.service"
	swarmService   = "com.docker.swarm.service.name"
	swarmServiceID = "com.docker.swarm.service.id"
)

const labelPrefix = "dockerwall."

// Modes of a container that package policy has no word for, and the words of dockerwall.deny.
const (
	unfenced = "unfenced"
	dropped  = "drop"
	rejected = "reject"
)

// host knows what all containers have in common.
type host struct {
	in       Input
	fates    map[string]reconcile.Fate
	byID     map[string]docker.Container
	rules    map[string]nft.Container // by 12 digits
	networks map[string]string        // names by ID
	attached map[string][]string      // names of networks with an endpoint, by container ID
	names    *names
}

func newHost(in Input) *host {
	h := &host{
		in: in, fates: reconcile.Fates(in.Outcome.State, in.Outcome.Ruleset), byID: map[string]docker.Container{},
		rules: map[string]nft.Container{}, networks: map[string]string{}, attached: map[string][]string{}, names: newNames(in),
	}
	for _, c := range in.Outcome.State.Docker.Containers {
		h.byID[c.ID] = c
	}
	for _, c := range in.Outcome.Ruleset.Containers {
		h.rules[c.ID] = c
	}
	for _, n := range in.Outcome.State.Docker.Networks {
		h.networks[n.ID] = n.Name
		for _, e := range n.Endpoints {
			h.attached[e.ContainerID] = append(h.attached[e.ContainerID], n.Name)
		}
	}
	return h
}

// containers are the running ones, by name.
func (h *host) containers(findings map[string][]api.Finding) []api.Container {
	out := make([]api.Container, 0, len(h.fates))
	for id, fate := range h.fates {
		c := h.container(h.byID[id], fate)
		c.Findings = append(c.Findings, findings[id]...)
		sortby.Stable(c.Findings, func(x, y api.Finding) int { return cmp.Compare(x.Severity, y.Severity) }) // errors first
		out = append(out, c)
	}
	sortby.Func(out, func(x, y api.Container) int {
		return cmp.Or(strings.Compare(x.Name, y.Name), strings.Compare(x.ID, y.ID))
	})
	return out
}

func (h *host) container(c docker.Container, fate reconcile.Fate) api.Container {
	net := c // whose network and policy it has
	if fate.Shares != "" {
		net = h.byID[fate.Shares]
	}
	out := api.Container{
		ID: c.ID, Name: c.Name, Image: c.Image, Project: c.Labels[composeProject],
		Service: cmp.Or(c.Labels[composeService], c.Labels[swarmService]), Networks: h.networksOf(net), Addrs: h.addrs(net),
		Unfenced: fate.Unfenced, Shares: h.byID[fate.Shares].Name, Deny: dropped, Outbound: outbound(c.Labels),
		Policy: []api.PolicyToken{}, Names: []api.ResolvedName{}, Findings: []api.Finding{}, History: h.history(c.ID),
	}
	out.Findings = append(out.Findings, h.deployLabels(c)...)
	if fate.Unfenced != "" {
		out.Mode = unfenced
		return out
	}
	h.policy(&out, net)
	if fate.Shares == "" {
		traffic := h.in.Counters.Containers[short(c.ID)]
		out.Sent, out.Denied = api.Count(traffic.Sent), api.Count(traffic.Denied)
		out.Findings = append(out.Findings, h.unheldDNS(c)...)
	}
	return out
}

// policy tells what counts for a container that is fenced.
func (h *host) policy(out *api.Container, c docker.Container) {
	p := h.in.Outcome.State.Policy(c)
	out.Mode, out.ModeOrigin = p.Mode.String(), p.ModeOrigin
	said := h.in.Outcome.State.Overlay.Containers[c.ID]
	out.ModeChange = modeChange(said.Mode)
	if p.Reject {
		out.Deny = rejected
	}
	for _, t := range p.Tokens {
		out.Policy = append(out.Policy, api.PolicyToken{Token: t.String(), Origin: t.Origin, Grant: grantOf(t, said)})
		if pattern, ok := t.Dest.(policy.Pattern); ok {
			resolved, more := h.names.of(pattern, t.Deny)
			for _, name := range resolved {
				name.Token = t.String()
				out.Names = append(out.Names, name)
			}
			out.MoreNames += more
		}
	}
}

// outbound is the label as it stands; policy folds its case only to report it.
func outbound(labels map[string]string) string { return labels[policy.LabelOutbound] }

func (h *host) history(id string) []uint64 {
	if h.in.History == nil {
		return []uint64{}
	}
	return h.in.History(id)
}

// networksOf are names, sorted; of a network that no listing has, its ID is the name.
func (h *host) networksOf(c docker.Container) []string {
	out := slices.Clone(h.attached[c.ID])
	for _, id := range c.Networks {
		out = append(out, cmp.Or(h.networks[id], id))
	}
	slices.Sort(out)
	if out = slices.Compact(out); out == nil {
		return []string{}
	}
	return out
}

func (h *host) addrs(c docker.Container) []netip.Addr {
	out := []netip.Addr{}
	for _, e := range h.rules[short(c.ID)].Endpoints {
		if !e.Addr.IsLinkLocalUnicast() { // each has one by itself
			out = append(out, e.Addr)
		}
	}
	sortby.Func(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// unheldDNS says where a denial of _dns_ does not hold.
func (h *host) unheldDNS(c docker.Container) []api.Finding {
	p, found := h.in.Outcome.State.UnheldDNS(c, h.in.EngineAPI)
	if !found {
		return nil
	}
	return []api.Finding{finding(p)}
}

// deployLabels tells of labels that Swarm keeps with the service and does not give to its containers.
func (h *host) deployLabels(c docker.Container) []api.Finding {
	var keys []string
	for key := range h.in.Services[c.Labels[swarmServiceID]] {
		if strings.HasPrefix(strings.ToLower(key), labelPrefix) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	slices.Sort(keys)
	return []api.Finding{{
		Severity: policy.Error.String(), Token: strings.Join(keys[:min(len(keys), 5)], ", "),
		Message: "the labels stand on the Swarm service (deploy.labels), where they do nothing: its containers do not have them",
		Remedy:  "in the compose file write them under the service's own labels, not under deploy; for docker service use --container-label",
	}}
}

// TasksRun says whether any container belongs to a Swarm service, whose labels Services would have.
func TasksRun(s reconcile.State) bool {
	return slices.ContainsFunc(s.Docker.Containers, func(c docker.Container) bool { return c.Labels[swarmServiceID] != "" })
}

func short(id string) string { return id[:min(12, len(id))] }
