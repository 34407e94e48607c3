package reconcile

import (
	"slices"
	"strings"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/policy"
)

// outside reports labels that do nothing, because their container has no endpoint of its own.
func (b *builder) outside(c docker.Container) {
	if !labelled(c.Labels) || ended(c) {
		return
	}
	if c.NetworkMode == "host" {
		b.reportOn(c, policy.Problem{
			Severity: policy.Warning, Message: "the container is in the host's own network, where nothing is fenced; its labels do nothing",
			Remedy: "put it on a bridge network, or remove the labels",
		})
	}
	name, shares := strings.CutPrefix(c.NetworkMode, "container:")
	if !shares {
		return
	}
	i := slices.IndexFunc(b.state.Docker.Containers, func(o docker.Container) bool { return o.ID == name || o.Name == name })
	if i >= 0 && b.state.labels(b.state.Docker.Containers[i]).equal(b.state.labels(c)) {
		return
	}
	b.reportOn(c, policy.Problem{
		Severity: policy.Error, Token: c.NetworkMode, Message: "the container shares another's network, whose policy counts; its own labels do nothing",
		Remedy: "put them on that container, or remove them here",
	})
}

func labelled(labels map[string]string) bool {
	for key := range labels {
		if isOurs(key) {
			return true
		}
	}
	return false
}

// ended says whether a container has nothing left to send; one about to start has not.
func ended(c docker.Container) bool {
	return c.State == "exited" || c.State == "dead" || c.State == "removing"
}
