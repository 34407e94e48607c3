package reconcile

import (
	"cmp"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/sortby"
)

// networks sorts bridges into fenced and free ones, and endpoints by container.
func (b *builder) networks() {
	b.endpoints, b.unfenced = map[string][]nft.Endpoint{}, map[string]string{}
	last := ""
	for _, n := range b.sortedNetworks() {
		switch {
		case n.Bridge == "":
		case !isInterface(n.Bridge):
			b.reportNetwork(n, RuleBridge, "the name of its bridge cannot be part of a rule; the network is not fenced", "create the network with another com.docker.network.bridge.name")
		case n.Bridge == last:
			b.reportNetwork(n, RuleBridge, "its bridge is another network's too; what its containers send is denied", "create the network with a bridge of its own")
		case b.state.Config.Networks.Manages(n.Name):
			b.fence(n)
		default:
			b.free(n)
		}
		last = n.Bridge
	}
	b.usualBridges()
	b.claims()
	b.foreignBridges()
	b.namedNetworks()
	b.rules.NotPublic = b.notPublic()
}

// sortedNetworks are Docker's networks by bridge. Where two have the same one, a managed network comes
// first, and only that one counts.
func (b *builder) sortedNetworks() []docker.Network {
	free := func(n docker.Network) int {
		if b.state.Config.Networks.Manages(n.Name) {
			return 0
		}
		return 1
	}
	return sortby.Collect(slices.Values(b.state.Docker.Networks), func(x, y docker.Network) int {
		return cmp.Or(strings.Compare(x.Bridge, y.Bridge), cmp.Compare(free(x), free(y)), strings.Compare(x.ID, y.ID))
	})
}

func (b *builder) fence(n docker.Network) {
	bridge := b.bridge(n.Bridge)
	bridge.Network, bridge.Subnets = b.networkID(n), plainPrefixes(n.Subnets)
	b.rules.Bridges = append(b.rules.Bridges, bridge)
	b.fenced = append(b.fenced, n)
}

// bridge is what the host has on a bridge.
func (b *builder) bridge(name string) nft.Bridge {
	out := nft.Bridge{Name: name}
	if i := slices.IndexFunc(b.state.Interfaces.Bridges, func(i hostnet.Bridge) bool { return i.Name == name }); i >= 0 {
		out.MAC, out.Addrs = b.state.Interfaces.Bridges[i].MAC, plainAddrs(b.state.Interfaces.Bridges[i].Addrs)
		out.Addrs = slices.DeleteFunc(out.Addrs, func(a netip.Addr) bool { return !isInterfaces(a) })
	}
	return out
}

// claims sorts the endpoints of fenced networks by container, and binds them to ports.
func (b *builder) claims() {
	ports := b.findPorts()
	for _, n := range b.fenced {
		b.claim(n, ports)
	}
	b.bindPorts(ports)
	b.foreignPorts()
}

func (b *builder) claim(n docker.Network, ports map[attachment]*nft.Port) {
	claims := map[nft.Endpoint]string{}
	for _, e := range n.Endpoints {
		for _, a := range claimedBy(e, ports[attachment{n.Bridge, e.ContainerID}]) {
			end := nft.Endpoint{Bridge: n.Bridge, Addr: a}
			if other, ok := claims[end]; ok && other != e.ContainerID {
				b.reportNetwork(n, RuleAddressTwice, "two containers claim "+a.String()+" on it; what comes from there is denied", "disconnect one of them")
				claims[end] = ""
				continue
			}
			claims[end] = e.ContainerID
		}
	}
	for end, id := range claims {
		if id != "" {
			b.endpoints[id] = append(b.endpoints[id], end)
		}
	}
	for _, e := range n.Endpoints {
		if len(b.endpoints[e.ContainerID]) > 1 {
			sortby.Func(b.endpoints[e.ContainerID], compareEndpoints)
		}
	}
}

func compareEndpoints(x, y nft.Endpoint) int {
	return cmp.Or(strings.Compare(x.Bridge, y.Bridge), x.Addr.Compare(y.Addr))
}

// networkID is "" where the ID cannot name the chain that lets a network's containers reach one another.
func (b *builder) networkID(n docker.Network) string {
	id := short(n.ID)
	taken := slices.ContainsFunc(b.rules.Bridges, func(o nft.Bridge) bool { return o.Network == id })
	if isShortID(id) && !taken {
		return id
	}
	b.reportNetwork(n, RuleNetworkID, "its ID is none of Docker's, or begins as another network's does; its containers may not reach one another", "create the network anew")
	return ""
}

func (b *builder) free(n docker.Network) {
	b.rules.Free = append(b.rules.Free, n.Bridge)
	for _, e := range n.Endpoints {
		b.unfenced[e.ContainerID] = n.Name
	}
}

// dockersBridge is a name that Docker gives a bridge by itself; one that its listing lacks is of a
// network just made, or just gone.
var dockersBridge = regexp.MustCompile(`^br-[0-9a-f]{12}$`)

// foreignBridges frees br-* bridges that are not Docker's.
func (b *builder) foreignBridges() {
	for _, bridge := range b.state.Interfaces.Bridges {
		name := bridge.Name
		ours := slices.ContainsFunc(b.rules.Bridges, func(br nft.Bridge) bool { return br.Name == name })
		if strings.HasPrefix(name, "br-") && !ours && !dockersBridge.MatchString(name) && isInterface(name) {
			b.rules.Free = append(b.rules.Free, name)
		}
	}
	slices.Sort(b.rules.Free)
	b.rules.Free = slices.Compact(b.rules.Free)
}

// isInterface says whether package nft takes a name for an interface's.
func isInterface(name string) bool { return nft.Ruleset{Free: []string{name}}.Validate() == nil }

// namedNetworks reports names in GATEWAY_NETWORKS that mean less than they seem to.
func (b *builder) namedNetworks() {
	only, except := b.state.Config.Networks.Names()
	for _, name := range append(only, except...) {
		i := slices.IndexFunc(b.state.Docker.Networks, func(n docker.Network) bool { return n.Name == name })
		switch {
		case i < 0:
			b.report(Problem{Degrades: true, Problem: policy.Problem{
				Severity: policy.Warning, Rule: policy.RuleNetworks, Token: name, Message: "GATEWAY_NETWORKS names a network that does not exist",
				Remedy: "correct the name, or create the network; see `docker network ls`",
			}})
		case slices.Contains(only, name) && b.state.Docker.Networks[i].Bridge == "":
			b.reportNetwork(b.state.Docker.Networks[i], policy.RuleNetworks, "GATEWAY_NETWORKS names it, but it has no bridge on this host and is not fenced", "only networks of driver bridge can be fenced")
		}
	}
}

// notPublic is what _internet_ never opens: what is not public by registry, this host, and Docker's
// networks, with the NAT64 and 6to4 spellings of their IPv4 addresses.
func (b *builder) notPublic() []netip.Prefix {
	registry := policy.NotPublic()
	out := slices.Clone(registry)
	add := func(p netip.Prefix) {
		known := func(r netip.Prefix) bool { return r.Bits() <= p.Bits() && r.Contains(p.Addr()) }
		if !slices.ContainsFunc(registry, known) {
			out = append(out, spellings(p)...)
		}
	}
	for _, a := range plainAddrs(b.state.Interfaces.Addrs) {
		add(netip.PrefixFrom(a, a.BitLen()))
	}
	for _, n := range b.state.Docker.Networks {
		for _, p := range plainPrefixes(n.Subnets) {
			add(p)
		}
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}
