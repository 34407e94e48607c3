package docker

import (
	"maps"
	"slices"
	"time"

	"github.com/docker/docker/api/types/container"
)

// snapshot is the cache: what Docker said, by ID. A List works on a copy; one that is published is
// only read.
type snapshot struct {
	containers map[string]Container
	networks   map[string]Network
	seen       map[string]time.Time // endpoint ID -> when it was first read
	ended      map[string]struct{}  // endpoint IDs that Docker still shows though their container died
}

// networkRead is one network as just read; gone when it is no more.
type networkRead struct {
	Network
	gone bool
	at   time.Time // when the answer was there
}

// next is the copy that a List fills, after p.
func (s snapshot) next(p plan) snapshot {
	n := snapshot{
		containers: map[string]Container{},
		networks:   map[string]Network{},
		seen:       map[string]time.Time{},
		ended:      map[string]struct{}{},
	}
	maps.Copy(n.seen, s.seen)
	if !p.everything {
		maps.Copy(n.containers, s.containers)
		maps.Copy(n.networks, s.networks)
		maps.Copy(n.ended, s.ended)
	}
	n.end(p.ended)
	return n
}

// end notes endpoints, by ID, that are over.
func (s snapshot) end(endpoints []string) {
	for _, id := range endpoints {
		s.ended[id] = struct{}{}
	}
}

// putContainers takes the answer for the asked IDs, or, with whole, for all there are.
func (s snapshot) putContainers(list []Container, asked []string, whole bool) {
	if whole {
		clear(s.containers)
	}
	for _, id := range asked {
		delete(s.containers, id)
	}
	for _, c := range list {
		s.containers[c.ID] = c
	}
}

// stop corrects the state of containers that have died. Docker 20.10 sends "die" a moment before its
// listing shows it, and nothing after.
func (s snapshot) stop(ids []string) {
	for _, id := range ids {
		if c := s.containers[id]; running(c) {
			c.State = container.StateExited
			s.containers[id] = c
		}
	}
}

func (s snapshot) putNetworks(reads []networkRead) {
	for _, r := range reads {
		if r.gone {
			delete(s.networks, r.ID)
			continue
		}
		s.networks[r.ID] = r.Network
		for _, e := range r.Endpoints {
			if _, ok := s.seen[e.EndpointID]; !ok {
				s.seen[e.EndpointID] = r.at
			}
		}
	}
}

// prune forgets what was noted of endpoints that no network shows any more.
func (s snapshot) prune() {
	shown := map[string]struct{}{}
	for _, n := range s.networks {
		for _, e := range n.Endpoints {
			shown[e.EndpointID] = struct{}{}
		}
	}
	gone := func(id string) bool { _, ok := shown[id]; return !ok }
	maps.DeleteFunc(s.seen, func(id string, _ time.Time) bool { return gone(id) })
	maps.DeleteFunc(s.ended, func(id string, _ struct{}) bool { return gone(id) })
}

// unknown are the containers that reads show and the listing has not.
func (s snapshot) unknown(reads []networkRead) []string {
	missing := map[string]struct{}{}
	for _, r := range reads {
		for _, e := range r.Endpoints {
			if _, ok := s.containers[e.ContainerID]; !ok {
				missing[e.ContainerID] = struct{}{}
			}
		}
	}
	return slices.Sorted(maps.Keys(missing))
}

// endedBy are the endpoints that the dead had while they lived. One first read after the death may
// belong to the container's next life: Docker decides about that one.
func (s snapshot) endedBy(died map[string]time.Time) []string {
	var out []string
	for _, n := range s.networks {
		for _, e := range n.Endpoints {
			if at, ok := died[e.ContainerID]; ok && e.EndpointID != "" && s.seen[e.EndpointID].Before(at) {
				out = append(out, e.EndpointID)
			}
		}
	}
	return out
}

// attachedTo are the networks on which the container has an endpoint.
func (s snapshot) attachedTo(id string) []string {
	var out []string
	for network, n := range s.networks {
		if slices.ContainsFunc(n.Endpoints, func(e Endpoint) bool { return e.ContainerID == id }) {
			out = append(out, network)
		}
	}
	return out
}

func (s snapshot) gateway() (id string, known bool) {
	for id, n := range s.networks {
		if n.Name == gatewayNetwork {
			return id, true
		}
	}
	return "", false
}

// host is the snapshot in order of IDs, without the endpoints that are over. Its maps and slices are the snapshot's own: a
// copy of each container's would be most of what a List of a thousand costs, and it makes one for each event.
func (s snapshot) host(complete func(*Container)) Host {
	h := Host{Containers: make([]Container, 0, len(s.containers)), Networks: make([]Network, 0, len(s.networks))}
	for _, id := range slices.Sorted(maps.Keys(s.containers)) {
		h.Containers = append(h.Containers, s.containers[id])
		complete(&h.Containers[len(h.Containers)-1])
	}
	over := func(e Endpoint) bool { _, ok := s.ended[e.EndpointID]; return ok }
	for _, id := range slices.Sorted(maps.Keys(s.networks)) {
		n := s.networks[id]
		if slices.ContainsFunc(n.Endpoints, over) {
			n.Endpoints = slices.DeleteFunc(slices.Clone(n.Endpoints), over)
		}
		h.Networks = append(h.Networks, n)
	}
	return h
}
