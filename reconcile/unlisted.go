package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/sortby"
)

// What Docker lists decides which bridges are fenced, and an Engine may be another one than before, or say nonsense. No
// answer lets go of a bridge that stands.

func hasBridge(networks []docker.Network, bridge string) bool {
	return slices.ContainsFunc(networks, func(n docker.Network) bool { return n.Bridge == bridge })
}

func (s State) stands(bridge string) bool {
	return slices.ContainsFunc(s.Interfaces.Bridges, func(b hostnet.Bridge) bool { return b.Name == bridge })
}

// removing is how long a bridge may outlive its network in Docker's list before that is a problem: an Engine that removes a
// network first lists it no more, and then deletes the bridge (libnetwork, network.delete).
const removing = 5 * time.Second

// keepUnlisted adds the managed networks of the last state that Docker does not list any more though their bridges stand,
// without endpoints.
func (g *Gather) keepUnlisted(s *State) error {
	listed := s.Docker.Networks
	lacking := func(n docker.Network) bool { return !hasBridge(listed, n.Bridge) }
	if slices.ContainsFunc(g.bridged, lacking) { // what was read before the listing may have gone with the network
		interfaces, err := g.Interfaces()
		if err != nil {
			return fmt.Errorf("read interfaces: %w", err)
		}
		s.Interfaces = interfaces
	}
	now, since := time.Now(), map[string]time.Time{}
	for _, n := range g.bridged {
		if !lacking(n) || !s.stands(n.Bridge) {
			continue
		}
		s.Docker.Networks = append(s.Docker.Networks, n)
		first, before := g.unlisted[n.Bridge]
		if !before {
			first = now
		}
		since[n.Bridge] = first
		if now.Sub(first) >= removing {
			s.unlisted = append(s.unlisted, n.Bridge)
		}
	}
	g.bridged, g.unlisted = nil, since
	for _, n := range s.Docker.Networks {
		if n.Bridge != "" && g.Config.Networks.Manages(n.Name) {
			n.Endpoints = nil
			g.bridged = append(g.bridged, n)
		}
	}
	return nil
}

// usual are the networks whose bridges have no name of their own for [dockersBridge].
func usual() []docker.Network {
	return []docker.Network{{Name: "bridge", Bridge: "docker0"}, {Name: "docker_gwbridge", Bridge: "docker_gwbridge"}}
}

// usualBridges fences docker0 and docker_gwbridge where they stand and Docker does not list their networks.
func (b *builder) usualBridges() {
	for _, n := range usual() {
		if b.state.stands(n.Bridge) && !hasBridge(b.state.Docker.Networks, n.Bridge) && b.state.Config.Networks.Manages(n.Name) {
			b.rules.Bridges = append(b.rules.Bridges, b.bridge(n.Bridge))
		}
	}
	sortby.Func(b.rules.Bridges, func(x, y nft.Bridge) int { return strings.Compare(x.Name, y.Name) })
	for _, n := range b.fenced {
		if slices.Contains(b.state.unlisted, n.Bridge) {
			b.report(Problem{Degrades: true, Problem: policy.Problem{
				Severity: policy.Warning, Rule: RuleUnlisted, Token: n.Name,
				Message: "Docker does not list this network any more, but its bridge " + n.Bridge + " stands; what comes from there is denied",
				Remedy:  "see whether the Engine is the one it was (DOCKER_HOST, its data); delete the bridge if nobody needs it, or restart the daemon to let it go",
			}})
		}
	}
}
