package reconcile

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/docker/dockertest"
	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/resolver"
)

// scenario is a host as one would tell of it: settings as the operator writes them, networks and
// containers by name. IDs are made from names unless given.
type scenario struct {
	GatewayNetworks string `json:",omitempty"`
	DefaultOutbound string `json:",omitempty"`
	DryRun          bool   `json:",omitempty"`
	TrustImages     bool   `json:",omitempty"`
	Resolvers       []netip.Addr
	Host            []netip.Addr
	Bridges         []string
	BindPorts       bool           `json:",omitempty"`
	Ports           []scenarioPort `json:",omitempty"`
	Names           map[string][]netip.Addr
	Denied          map[string][]netip.Addr // what denied names meant before, besides Names
	Unknown         []string                // denied names of which nothing is known, and wildcards of which too much is
	Below           map[string]beneath      // what was learned beneath wildcards, by what stands behind the "*."
	DeniedBelow     map[string]beneath      // likewise, beneath denied ones
	PrivateNames    []string
	Images          map[string]map[string]string
	Networks        []scenarioNetwork
	Containers      []scenarioContainer
}

// beneath are addresses of names.
type beneath map[string][]netip.Addr

type scenarioNetwork struct {
	Name, ID, Bridge string
	Driver           string // macvlan when Bridge is "none"
	Subnets          []netip.Prefix
	Endpoints        map[string][]netip.Addr // by container name
	MACs             map[string]string       `json:",omitempty"` // likewise
}

type scenarioPort struct {
	Name, Bridge string
	MAC          nft.MAC
	Foreign      bool `json:",omitempty"`
}

type scenarioContainer struct {
	Name, ID, Image, State, NetworkMode string
	Labels                              map[string]string
	DNS                                 []netip.Addr
	Privileged, EngineSocket            bool     `json:",omitempty"`
	CapAdd                              []string `json:",omitempty"`
	PidMode                             string   `json:",omitempty"`
}

// attached are the networks that have an endpoint of a container.
func (s scenario) attached(name string) (ids []string) {
	for _, n := range s.Networks {
		if _, ok := n.Endpoints[name]; ok {
			ids = append(ids, idOr(n.ID, n.Name))
		}
	}
	slices.Sort(ids)
	return ids
}

// state also returns what is wrong with the settings themselves.
func (s scenario) state() (State, []Problem) {
	out := State{
		Interfaces: hostnet.Interfaces{Addrs: s.Host, Bridges: hostBridges(s.Bridges...)},
		Names:      s.Names, Resolvers: resolver.Servers{Containers: s.Resolvers},
		Below: listed(s.Below), DeniedBelow: listed(s.DeniedBelow), Overflown: map[string]bool{},
		Config: Config{DryRun: s.DryRun, LogGroup: 32, PrivateNames: s.PrivateNames, BindPorts: s.BindPorts},
	}
	for _, token := range s.Unknown {
		if strings.HasPrefix(token, "*.") {
			out.Overflown[token] = true
		}
	}
	for i, p := range s.Ports {
		out.Ports = append(out.Ports, hostnet.Port{Index: int32(i), Name: p.Name, Bridge: p.Bridge, MAC: p.MAC, Foreign: p.Foreign})
	}
	var problems []Problem
	note := func(found []policy.Problem) {
		for _, p := range found {
			problems = append(problems, Problem{Problem: p})
		}
	}
	var found []policy.Problem
	out.Config.Networks, found = policy.ParseNetworks(s.GatewayNetworks)
	note(found)
	out.Config.Default, found = policy.Parse(s.DefaultOutbound)
	note(found)
	if !s.TrustImages {
		out.ImageLabels = map[string]map[string]string{"": nil} // the image of containers that name none
		for image, labels := range s.Images {
			out.ImageLabels[image] = labels
		}
	}
	ids := map[string]string{}
	for _, c := range s.Containers {
		ids[c.Name] = idOr(c.ID, c.Name)
		out.Docker.Containers = append(out.Docker.Containers, docker.Container{
			ID: ids[c.Name], Name: c.Name, ImageID: c.Image, State: c.State, NetworkMode: c.NetworkMode, Labels: c.Labels, Resolvers: c.DNS,
			Networks: s.attached(c.Name), Privileged: c.Privileged, CapAdd: c.CapAdd, PidMode: c.PidMode, EngineSocket: c.EngineSocket,
		})
	}
	for _, n := range s.Networks {
		out.Docker.Networks = append(out.Docker.Networks, n.network(ids))
	}
	out.Denied = s.denied(out)
	return out, problems
}

// listed is as a resolver lists it, but that an address may stand there under each of its names.
func listed(below map[string]beneath) map[string][]resolver.Named {
	out := make(map[string][]resolver.Named, len(below))
	for parent, names := range below {
		out[parent] = []resolver.Named{}
		for name, addrs := range names {
			for _, a := range addrs {
				out[parent] = append(out[parent], resolver.Named{Addr: a, Name: name})
			}
		}
		slices.SortFunc(out[parent], func(x, y resolver.Named) int { return cmp.Or(x.Addr.Compare(y.Addr), strings.Compare(x.Name, y.Name)) })
	}
	return out
}

// denied is what is known of denied names: all but Unknown.
func (s scenario) denied(of State) map[string][]netip.Addr {
	deny := Names(of).Deny
	out := make(map[string][]netip.Addr, len(deny))
	for _, name := range deny {
		if !slices.Contains(s.Unknown, name) {
			out[name] = append(append(addrList{}, s.Names[name]...), s.Denied[name]...)
		}
	}
	return out
}

func (n scenarioNetwork) network(ids map[string]string) docker.Network {
	out := docker.Network{ID: idOr(n.ID, n.Name), Name: n.Name, Driver: "bridge", Bridge: n.Bridge, Subnets: n.Subnets}
	switch {
	case n.Bridge == "none":
		out.Bridge, out.Driver = "", cmp.Or(n.Driver, "macvlan")
		return out // Docker tells of no endpoints there
	case n.Bridge == "":
		out.Bridge = "br-" + out.ID[:12]
	}
	for name, addrs := range n.Endpoints {
		e := docker.Endpoint{ContainerID: idOr(ids[name], name), EndpointID: n.Name + name, MAC: n.MACs[name]}
		for _, a := range addrs {
			if a.Is4() {
				e.IPv4 = a
			} else {
				e.IPv6 = a
			}
		}
		out.Endpoints = append(out.Endpoints, e)
	}
	slices.SortFunc(out.Endpoints, func(a, b docker.Endpoint) int { return strings.Compare(a.ContainerID, b.ContainerID) })
	return out
}

func idOr(id, name string) string {
	if id != "" {
		return id
	}
	return dockertest.ID(name)
}

func readScenario(t testing.TB, text []byte) scenario {
	t.Helper()
	var s scenario
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		t.Fatalf("state.json: %v", err)
	}
	return s
}

func addrs(texts ...string) []netip.Addr {
	var out []netip.Addr
	for _, t := range texts {
		out = append(out, netip.MustParseAddr(t))
	}
	return out
}

func prefixes(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, t := range texts {
		out = append(out, netip.MustParsePrefix(t))
	}
	return out
}

// build fails the test when the kernel would refuse what comes out.
func build(t testing.TB, s State) (nft.Ruleset, []Problem) {
	t.Helper()
	r, problems := Build(s)
	for _, p := range problems {
		if p.Rule == "" {
			t.Errorf("breaks no rule: %v", p)
		}
	}
	if err := r.Validate(); err != nil {
		t.Fatalf("the kernel would refuse it: %v", err)
	}
	return r, problems
}

type addrList = []netip.Addr

// endpoints are pairs of a container's name and its address; a name may stand twice.
func endpoints(pairs ...string) map[string][]netip.Addr {
	out := map[string][]netip.Addr{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = append(out[pairs[i]], netip.MustParseAddr(pairs[i+1]))
	}
	return out
}

// hostBridges are bridges of which no more is known than their names.
func hostBridges(names ...string) (out []hostnet.Bridge) {
	for _, name := range names {
		out = append(out, hostnet.Bridge{Name: name})
	}
	return out
}

// turn reverses whatever Docker and the host list.
func turn(s *State) {
	slices.Reverse(s.Docker.Containers)
	slices.Reverse(s.Docker.Networks)
	for _, n := range s.Docker.Networks {
		slices.Reverse(n.Endpoints)
		slices.Reverse(n.Subnets)
	}
	slices.Reverse(s.Interfaces.Addrs)
	slices.Reverse(s.Interfaces.Bridges)
	slices.Reverse(s.Ports)
	slices.Reverse(s.Resolvers.Containers)
	for _, a := range s.Names {
		slices.Reverse(a)
	}
	for _, a := range s.Denied {
		slices.Reverse(a)
	}
	for _, below := range []map[string][]resolver.Named{s.Below, s.DeniedBelow} {
		for _, named := range below {
			slices.Reverse(named)
		}
	}
}

// single is the host of packet tests: container "web" with a label, one neighbour without, on docker0.
func single(label, preset string) scenario {
	return scenario{
		DefaultOutbound: preset,
		Resolvers:       addrs("198.51.100.53", "2001:db8:ffff::53"),
		Host:            addrs("127.0.0.1", "::1", "198.51.100.1", "2001:db8:ffff::1", "172.17.0.1", "172.18.0.1"),
		Bridges:         []string{"docker0", "virbr0"},
		Networks: []scenarioNetwork{
			{Name: "bridge", Bridge: "docker0", Subnets: prefixes("172.17.0.0/16", "fd00:17::/64"), Endpoints: endpoints("web", "172.17.0.2", "web", "fd00:17::2", "db", "172.17.0.3")},
			{Name: "other", Subnets: prefixes("172.18.0.0/16"), Endpoints: endpoints("cache", "172.18.0.2")},
			{Name: "routed", Subnets: prefixes("198.51.100.128/25", "2001:db8:c::/64")},
		},
		Containers: []scenarioContainer{
			{Name: "web", Labels: map[string]string{"dockerwall.outbound": label}}, {Name: "db"}, {Name: "cache"},
		},
	}
}
