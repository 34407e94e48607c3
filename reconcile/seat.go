package reconcile

import (
	"maps"
	"slices"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/nft"
)

// An endpoint of Docker has one veth as long as it is: libnetwork makes it for the endpoint and deletes it before it gives
// the endpoint's address to another (bridge driver, 20.10 to 28), and live-restore leaves both. So an endpoint whose port is
// gone is over, whatever the Engine said last. That counts where the Engine cannot be asked: when it comes back without
// live-restore, it gives addresses anew and starts containers before it answers.

// seat is one endpoint's life.
type seat struct{ network, container, endpoint string }

// seats are the interface indexes of the ports on which endpoints were seen.
type seats map[seat]int32

// place is a MAC on a bridge.
type place struct {
	bridge string
	mac    nft.MAC
}

func seatOf(n docker.Network, e docker.Endpoint) seat { return seat{n.ID, e.ContainerID, e.EndpointID} }

// lost are the networks, by ID, of endpoints whose ports are gone, and these endpoints. No ports at all, nil, is that
// nobody knows.
func (s seats) lost(ports []hostnet.Port) (networks []string, gone []seat) {
	if ports == nil {
		return nil, nil
	}
	there := indexes(ports)
	for seat, index := range s {
		if !there[index] {
			networks, gone = append(networks, seat.network), append(gone, seat)
		}
	}
	slices.Sort(networks)
	return slices.Compact(networks), gone
}

func indexes(ports []hostnet.Port) map[int32]bool {
	out := make(map[int32]bool, len(ports))
	for _, p := range ports {
		out[p.Index] = true
	}
	return out
}

// take seats endpoints that have none on the one port of their bridge with their MAC, and forgets those that are no more.
func (s seats) take(networks []docker.Network, ports []hostnet.Port) seats {
	if ports == nil {
		return s
	}
	const several = -1
	at := make(map[place]int32, len(ports))
	for _, p := range ports {
		here := place{p.Bridge, p.MAC}
		if _, taken := at[here]; taken {
			at[here] = several
		} else if !p.Foreign {
			at[here] = p.Index
		}
	}
	out := make(seats, len(s))
	for _, n := range networks {
		for _, e := range n.Endpoints {
			key := seatOf(n, e)
			index, seated := s[key]
			if mac, ok := macOf(e); !seated && ok {
				index, seated = at[place{n.Bridge, mac}]
			}
			if seated && index != several {
				out[key] = index
			}
		}
	}
	return out
}

// less are networks less the endpoints that leave says; the others are as they were.
func less(networks []docker.Network, leave func(docker.Network, docker.Endpoint) bool) (out []docker.Network, left bool) {
	for i, n := range networks {
		over := func(e docker.Endpoint) bool { return leave(n, e) }
		if !slices.ContainsFunc(n.Endpoints, over) {
			continue
		}
		if !left {
			out, left = slices.Clone(networks), true
		}
		out[i].Endpoints = slices.DeleteFunc(slices.Clone(n.Endpoints), over)
	}
	if !left {
		return networks, false
	}
	return out, true
}

// seated is the state after what the ports say now, which the Engine has not confirmed: endpoints whose port is gone are
// over, and so is one whose MAC a new port of its bridge has. Where the Engine is silent, one that never had a port is taken
// for over as soon as its bridge has any new one: who came may have its address. Else that one is more likely its own.
func (s State) seated(ports []hostnet.Port, silent bool) (State, bool) {
	if ports == nil || s.Ports == nil {
		return s, false
	}
	there, before := indexes(ports), indexes(s.Ports)
	grown, taken := map[string]bool{}, map[place]bool{}
	for _, p := range ports {
		if !before[p.Index] {
			grown[p.Bridge], taken[place{p.Bridge, p.MAC}] = true, true
		}
	}
	var left bool
	s.Docker.Networks, left = less(s.Docker.Networks, func(n docker.Network, e docker.Endpoint) bool {
		index, ok := s.seats[seatOf(n, e)]
		mac, _ := macOf(e)
		return ok && (!there[index] || taken[place{n.Bridge, mac}]) || !ok && silent && grown[n.Bridge]
	})
	if left {
		s.Ports = slices.DeleteFunc(slices.Clone(s.Ports), func(p hostnet.Port) bool { return !there[p.Index] })
	}
	return s, left
}

// over says of which endpoints the port is gone.
func (s seats) over(ports []hostnet.Port) func(docker.Network, docker.Endpoint) bool {
	there := indexes(ports)
	return func(n docker.Network, e docker.Endpoint) bool {
		index, ok := s[seatOf(n, e)]
		return ok && ports != nil && !there[index]
	}
}

// forget takes away seats of endpoints that the Engine has been asked about since.
func (s seats) forget(gone []seat) seats {
	out := maps.Clone(s)
	for _, seat := range gone {
		delete(out, seat)
	}
	return out
}
