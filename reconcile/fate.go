package reconcile

import (
	"slices"
	"strings"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/sortby"
)

// Fate is whether the rules are about a running container, and if not, why.
type Fate struct {
	// Fenced says that the rules are about it. One whose address nobody knows yet is: all it sends is denied.
	Fenced bool
	// Shares is the ID of the container whose network, and so whose fate, it has.
	Shares string
	// Unfenced says why no rule is about it; "" where one is, and where it has no network to send by.
	Unfenced string
	// Beside are the networks by which a fenced container can leave past the fence, sorted by name.
	Beside []string
}

// Fates are those of the running containers, by ID.
func Fates(s State, r nft.Ruleset) map[string]Fate {
	f := newFates(s, r)
	out := make(map[string]Fate, len(s.Docker.Containers))
	for _, c := range s.Docker.Containers {
		if c.State == "running" || c.State == "paused" {
			out[c.ID] = f.of(c)
		}
	}
	return out
}

// Unfenced is how many running containers none of the rules is about: those in the host's network, on macvlan, or on
// networks that are left alone only. Who shares the network of a container that is fenced is fenced by that one's
// policy, and who has no network has nothing to fence.
func Unfenced(s State, r nft.Ruleset) (n int) {
	for _, f := range Fates(s, r) {
		if f.Unfenced != "" {
			n++
		}
	}
	return n
}

// fates knows the networks of each container.
type fates struct {
	containers map[string]docker.Container // by ID and by name
	networks   map[string]docker.Network   // likewise
	attached   map[string][]string         // IDs of networks that have an endpoint of a container, which its own listing may lack
	fenced     map[string]bool             // bridges
	free       map[string]bool             // likewise
}

func newFates(s State, r nft.Ruleset) fates {
	f := fates{
		containers: make(map[string]docker.Container, 2*len(s.Docker.Containers)), networks: map[string]docker.Network{},
		attached: map[string][]string{}, fenced: map[string]bool{}, free: map[string]bool{},
	}
	for _, c := range s.Docker.Containers {
		f.containers[c.Name] = c
	}
	for _, c := range s.Docker.Containers {
		f.containers[c.ID] = c
	}
	for _, n := range s.Docker.Networks {
		f.networks[n.Name], f.networks[n.ID] = n, n
		for _, e := range n.Endpoints {
			f.attached[e.ContainerID] = append(f.attached[e.ContainerID], n.ID)
		}
	}
	for _, b := range r.Bridges {
		f.fenced[b.Name] = true
	}
	for _, name := range r.Free {
		f.free[name] = true
	}
	return f
}

func (f fates) of(c docker.Container) Fate {
	with, shares := strings.CutPrefix(c.NetworkMode, "container:")
	if !shares {
		return f.alone(c)
	}
	other, ok := f.containers[with]
	if !ok || strings.HasPrefix(other.NetworkMode, "container:") { // Docker allows no chain of them
		return Fate{Unfenced: "it shares the network of a container that is gone"}
	}
	fate := f.alone(other)
	fate.Shares = other.ID
	return fate
}

// alone is the fate of a container with a network of its own.
func (f fates) alone(c docker.Container) (out Fate) {
	if c.NetworkMode == "host" {
		return Fate{Unfenced: "it is in the host's own network"}
	}
	var why []string
	for _, n := range f.networksOf(c) {
		reason := f.open(n)
		switch {
		case n.Bridge != "" && f.fenced[n.Bridge]:
			out.Fenced = true
		case reason != "":
			why = append(why, reason)
			if n.Driver != "overlay" { // what leaves the host from there is fenced
				out.Beside = append(out.Beside, n.Name)
			}
		}
	}
	if !out.Fenced {
		return Fate{Unfenced: strings.Join(why, "; ")}
	}
	slices.Sort(out.Beside)
	return out
}

// open says why a network is not fenced, "" if nothing can be sent by it.
func (f fates) open(n docker.Network) string {
	switch {
	case n.Driver == "null" || n.Driver == "host":
		return ""
	case n.Bridge == "":
		return "network " + n.Name + " is of driver " + n.Driver + ", which passes none of the host's hooks"
	case f.free[n.Bridge]:
		return "network " + n.Name + " is left alone (GATEWAY_NETWORKS)"
	}
	return "network " + n.Name + " has a bridge whose name cannot be part of a rule"
}

// networksOf are sorted by name.
func (f fates) networksOf(c docker.Container) []docker.Network {
	ids := map[string]bool{}
	var out []docker.Network
	for _, id := range slices.Concat(c.Networks, f.attached[c.ID]) {
		if n, ok := f.networks[id]; ok && !ids[n.ID] {
			ids[n.ID] = true
			out = append(out, n)
		}
	}
	sortby.Func(out, func(x, y docker.Network) int { return strings.Compare(x.Name, y.Name) })
	return out
}
