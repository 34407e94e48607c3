package docker

import (
	"maps"
	"slices"
	"time"
)

// marks are what the next List must read again. The zero value is nothing.
type marks struct {
	everything bool
	containers map[string]struct{}  // created, started, ended, renamed, removed
	networks   map[string]struct{}  // created, removed
	attached   map[string]string    // network ID -> driver: somebody connected or disconnected
	died       map[string]time.Time // container ID -> when, by the Engine's clock, which is the host's
	runs       map[string]bool      // container ID -> whether its last event of the two was start, not die
}

// note adds what an event touches, and tells whether it touched anything.
func (m *marks) note(e event) bool {
	id := e.Actor.ID
	switch e.Type + " " + e.Action {
	case "container create", "container rename", "container destroy":
		set(&m.containers, id, struct{}{})
	case "container start":
		set(&m.containers, id, struct{}{})
		set(&m.runs, id, true)
	case "container die":
		set(&m.containers, id, struct{}{})
		set(&m.died, id, e.at())
		set(&m.runs, id, false)
	case "network create", "network destroy", "network remove":
		set(&m.networks, id, struct{}{})
	case "network connect", "network disconnect":
		driver := e.Actor.Attributes["type"]
		set(&m.attached, id, driver)
		if c := e.Actor.Attributes["container"]; driver != bridgeDriver && isID(c) { // no network tells of its endpoint
			set(&m.containers, c, struct{}{})
		}
	default:
		return false
	}
	return true
}

// add puts back the marks of a List that did not succeed.
func (m *marks) add(old marks) {
	m.everything = m.everything || old.everything
	restore(&m.containers, old.containers)
	restore(&m.networks, old.networks)
	restore(&m.attached, old.attached)
	restore(&m.died, old.died)
	restore(&m.runs, old.runs)
}

// plan is what one List reads, and which endpoints and containers it knows to have ended.
type plan struct {
	everything   bool
	containers   []string // by ID
	networks     []string // by ID
	listNetworks bool     // and read the bridges that are new in the list
	ended        []string // endpoint IDs
	stopped      []string // container IDs
}

func (m marks) plan(s snapshot) plan {
	p := plan{everything: m.everything, listNetworks: m.everything, ended: s.endedBy(m.died)}
	for id, runs := range m.runs {
		if !runs {
			p.stopped = append(p.stopped, id)
		}
	}
	if m.everything {
		return p
	}
	networks := maps.Clone(m.networks)
	for id := range m.died {
		for _, n := range s.attachedTo(id) {
			set(&networks, n, struct{}{})
		}
	}
	for id := range m.attached {
		if n, known := s.networks[id]; !known || n.Bridge != "" {
			set(&networks, id, struct{}{})
		}
	}
	if len(m.attached) > 0 {
		if id, known := s.gateway(); known {
			set(&networks, id, struct{}{})
		} else {
			p.listNetworks = slices.ContainsFunc(slices.Collect(maps.Values(m.attached)), bringsGateway)
		}
	}
	p.containers = slices.Sorted(maps.Keys(m.containers))
	p.networks = slices.Sorted(maps.Keys(networks))
	return p
}

// bringsGateway tells the drivers whose endpoints make libnetwork create docker_gwbridge and an
// endpoint on it, without an event (libnetwork/default_gateway.go).
func bringsGateway(driver string) bool {
	return driver != bridgeDriver && driver != "host" && driver != "null"
}

func set[V any](m *map[string]V, key string, value V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = value
}

// restore adds what is not there yet: what came later is newer.
func restore[V any](m *map[string]V, old map[string]V) {
	for key, value := range old {
		if _, ok := (*m)[key]; !ok {
			set(m, key, value)
		}
	}
}
