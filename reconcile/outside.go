package reconcile

import (
	"slices"
	"strings"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/sortby"
)

// Outside is what Build reports of containers beyond their labels: what of them no hook of ours sees, and what lets them
// step around the fence. It needs no more of s than Docker's state and the settings; the problems come in Build's order.
func Outside(s State) []Problem {
	b := newBuilder(s)
	b.networks()
	b.problems = nil
	b.indexBridgeless()
	for _, c := range s.Docker.Containers {
		b.outside(c)
		if len(b.endpoints[c.ID]) > 0 {
			b.freeWayOut(c)
		} else {
			b.unmanaged(c)
		}
	}
	sortby.Func(b.problems, compareProblems)
	return b.problems
}

// outside reports what of a container no hook of ours sees, and what lets it step around the fence.
func (b *builder) outside(c docker.Container) {
	if ended(c) {
		return
	}
	if c.NetworkMode == "host" {
		b.reportUnseen(c, RuleHostNetwork, "host", "the container is in the host's own network, where nothing is fenced", "put it on a bridge network")
		return // it could not be freer
	}
	if name, shares := strings.CutPrefix(c.NetworkMode, "container:"); shares {
		if labelled(c.Labels) {
			b.sharing(c, name)
		}
		b.ruledElsewhere(c)
	}
	b.unseen(c)
	b.stepsAround(c)
}

// reportUnseen is an Error where labels ask for what does not hold.
func (b *builder) reportUnseen(c docker.Container, rule, token, message, remedy string) {
	p := policy.Problem{Severity: policy.Warning, Rule: rule, Token: token, Message: message, Remedy: remedy}
	if labelled(c.Labels) && b.state.labels(c).mode != policy.ModeOff {
		p.Severity, p.Message, p.Remedy = policy.Error, message+"; its labels do nothing there", remedy+", or remove the labels"
	}
	b.reportOn(c, p)
}

// sharing reports labels that differ from those that count.
func (b *builder) sharing(c docker.Container, with string) {
	i := slices.IndexFunc(b.state.Docker.Containers, func(o docker.Container) bool { return o.ID == with || o.Name == with })
	if i >= 0 && b.state.labels(b.state.Docker.Containers[i]).equal(b.state.labels(c)) {
		return
	}
	b.reportOn(c, policy.Problem{
		Severity: policy.Error, Rule: RuleSharedLabels, Token: c.NetworkMode, Message: "the container shares another's network, whose policy counts; its own labels do nothing",
		Remedy: "put them on that container, or remove them here",
	})
}

// ruledElsewhere reports rules of files that are for a container, but not for the one whose network it shares.
func (b *builder) ruledElsewhere(c docker.Container) {
	holder := holderOf(b.state.Docker, c)
	counts := map[string]bool{}
	for _, m := range b.state.library.matched[holder.ID].each() {
		counts[m.key] = true
	}
	for _, m := range b.state.library.matched[c.ID].each() {
		if where := m.where(); !counts[m.key] {
			b.reportOn(c, policy.Problem{
				Severity: policy.Error, Rule: RuleSharedLabels, Token: where, Message: "the container shares the network of " + holder.Name + ", whose policy counts; the rule at " + where + " does nothing for it",
				Remedy: "have the rule match that container",
			})
		}
	}
}

// unseen reports networks that are not of driver bridge, those of one driver together.
func (b *builder) unseen(c docker.Container) {
	byDriver := map[string][]string{}
	for _, id := range c.Networks {
		if n, ok := b.bridgeless[id]; ok {
			byDriver[n.Driver] = append(byDriver[n.Driver], n.Name)
		}
	}
	for driver, names := range byDriver {
		slices.Sort(names)
		token := strings.Join(names, ", ")
		switch driver {
		case "macvlan", "ipvlan":
			b.reportUnseen(c, RuleNoHook, token, "the container is on a network of driver "+driver+": what it sends there passes none of the host's hooks", "use a bridge network instead")
		case "overlay":
			b.reportOn(c, policy.Problem{
				Severity: policy.Warning, Rule: RuleOverlay, Token: token, Message: "the container is on an overlay network: what it sends to containers there is not fenced; what leaves by docker_gwbridge is",
				Remedy: "keep apart on networks of their own what must not reach one another",
			})
		default:
			b.reportUnseen(c, RuleNoHook, token, "the container is on a network of driver "+driver+", which dockerwall does not know: what it sends there may pass none of the host's hooks", "use a bridge network instead")
		}
	}
}

// unmanaged reports labels of a container that is on networks which are left alone, and on no other.
func (b *builder) unmanaged(c docker.Container) {
	if network, ok := b.unfenced[c.ID]; ok && labelled(c.Labels) && b.state.labels(c).mode != policy.ModeOff {
		b.reportOn(c, policy.Problem{
			Severity: policy.Error, Rule: RuleUnmanaged, Token: network, Message: "the container's network is left alone (GATEWAY_NETWORKS); its labels do nothing there",
			Remedy: "put it on a network that is fenced, manage this one, or remove the labels",
		})
	}
}

// freeWayOut reports that a fenced container is also on a network which is left alone.
func (b *builder) freeWayOut(c docker.Container) {
	if network, ok := b.unfenced[c.ID]; ok {
		b.report(Problem{Container: c.Name, ID: c.ID, Degrades: true, Problem: policy.Problem{
			Severity: policy.Warning, Rule: RuleFreeWayOut, Token: network,
			Message: "the container is fenced, but also sits on a network that is not: a free way out",
			Remedy:  "disconnect it from that network, or manage the network too (GATEWAY_NETWORKS)",
		}})
	}
}

// indexBridgeless notes the networks that a container can send by and that have no bridge here, by ID and by name.
func (b *builder) indexBridgeless() {
	b.bridgeless = map[string]docker.Network{}
	for _, n := range b.state.Docker.Networks {
		if n.Driver != "bridge" && n.Driver != "host" && n.Driver != "null" {
			b.bridgeless[n.ID], b.bridgeless[n.Name] = n, n
		}
	}
}

// stepsAround reports what makes a container as good as root on the host, or lets it change the host's network.
func (b *builder) stepsAround(c docker.Container) {
	means := slices.DeleteFunc(slices.Clone(c.CapAdd), func(capability string) bool { return !steps(capability, c.PidMode) })
	if c.Privileged {
		means = []string{"it is privileged"}
	} else if len(means) > 0 {
		means = []string{"it has " + strings.Join(means, ", ")}
	}
	if c.EngineSocket {
		means = append(means, "it sees the socket of a container engine")
	}
	if len(means) == 0 {
		return
	}
	b.reportOn(c, policy.Problem{
		Severity: policy.Warning, Rule: RuleStepsAround, Message: "the container can step around the fence: " + strings.Join(means, " and "),
		Remedy: "take that from it, or trust it as you trust the host",
	})
}

// steps says whether a capability is a way around. NET_RAW, which Docker gives by itself, is none where addresses are
// bound to ports.
func steps(capability, pidMode string) bool {
	switch capability {
	case "ALL", "NET_ADMIN", "SYS_ADMIN", "SYS_MODULE", "SYS_RAWIO", "DAC_READ_SEARCH", "BPF":
		return true
	case "SYS_PTRACE":
		return pidMode == "host"
	default:
		return false
	}
}

func labelled(labels map[string]string) bool {
	for key := range labels {
		if policy.IsLabel(key) {
			return true
		}
	}
	return false
}

// ended says whether a container has nothing left to send; one about to start has not.
func ended(c docker.Container) bool {
	return c.State == "exited" || c.State == "dead" || c.State == "removing"
}
