package reconcile

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
)

// attachment is a container's place on a fenced bridge.
type attachment struct{ bridge, container string }

// owner is whose a MAC is: of several the first, and shared.
type owner struct {
	attachment
	shared bool
}

// standing are the ports whose other end has a MAC: the first two by name, without a second the only one.
type standing struct{ first, second hostnet.Port }

// findPorts are the ports of known containers on fenced bridges, found by their MAC and without addresses yet. A MAC
// that two containers or two ports have finds none: who is behind which cannot be told.
func (b *builder) findPorts() map[attachment]*nft.Port {
	if !b.state.Config.BindPorts {
		return nil
	}
	ports := b.portsByMAC()
	found := make([]nft.Port, 0, len(ports))
	out := make(map[attachment]*nft.Port, len(ports))
	for mac, o := range b.ownersOfMACs() {
		switch p, ok := ports[mac]; {
		case o.shared:
			b.reportShared(o.attachment, "two containers on Docker's networks have the MAC "+mac.String()+", so neither is bound to its port")
		case p.second != (hostnet.Port{}):
			b.reportShared(o.attachment, "two ports have the MAC "+mac.String()+" at their other end, so "+p.first.Name+" and "+p.second.Name+" are not bound")
		case ok && p.first.Bridge == o.bridge:
			found = append(found, nft.Port{Name: p.first.Name, MAC: mac})
			out[o.attachment] = &found[len(found)-1]
		}
	}
	return out
}

func (b *builder) reportShared(at attachment, message string) {
	network := at.bridge
	for _, n := range b.fenced {
		if n.Bridge == at.bridge {
			network = n.Name
		}
	}
	b.report(Problem{Problem: policy.Problem{
		Severity: policy.Warning, Rule: RuleMACTwice, Token: network, Message: message, Remedy: "give each container a MAC of its own (leave --mac-address out)",
	}})
}

// portsByMAC are the ports of fenced bridges whose names can be part of a rule. Of two with one name, which there are
// for the moment of a rename, neither is meant.
func (b *builder) portsByMAC() map[nft.MAC]standing {
	fenced := make(map[string]bool, len(b.fenced))
	for _, n := range b.fenced {
		fenced[n.Bridge] = true
	}
	names := make(map[string]int, len(b.state.Ports))
	for _, p := range b.state.Ports {
		names[p.Name]++
	}
	out := make(map[nft.MAC]standing, len(b.state.Ports))
	for _, p := range b.state.Ports {
		if p.Foreign || !fenced[p.Bridge] || names[p.Name] > 1 || !isInterface(p.Name) {
			continue
		}
		s, taken := out[p.MAC]
		switch {
		case !taken:
			s.first = p
		case p.Name < s.first.Name:
			s.first, s.second = p, s.first
		case s.second.Name == "" || p.Name < s.second.Name:
			s.second = p
		}
		out[p.MAC] = s
	}
	return out
}

// ownersOfMACs are whose MACs are. The host's own on a fenced bridge belongs to nobody else.
func (b *builder) ownersOfMACs() map[nft.MAC]owner {
	known := make(map[string]bool, len(b.state.Docker.Containers))
	for _, c := range b.state.Docker.Containers {
		known[c.ID] = true
	}
	out := make(map[nft.MAC]owner, len(known))
	for _, n := range b.fenced {
		for _, e := range n.Endpoints {
			mac, ok := macOf(e)
			if !ok || !known[e.ContainerID] {
				continue
			}
			at := attachment{n.Bridge, e.ContainerID}
			o, taken := out[mac]
			if !taken || o.bridge == at.bridge && at.container < o.container { // bridges come sorted
				o.attachment = at
			}
			out[mac] = owner{o.attachment, taken}
		}
	}
	for _, bridge := range b.rules.Bridges {
		delete(out, bridge.MAC)
	}
	return out
}

// foreignPorts reports ports of fenced bridges behind which there is no container: frames go there on their bridge and pass
// none of our hooks.
func (b *builder) foreignPorts() {
	for _, n := range b.fenced {
		var names []string
		for _, p := range b.state.Ports {
			if p.Foreign && p.Bridge == n.Bridge {
				names = append(names, p.Name)
			}
		}
		if slices.Sort(names); len(names) > 0 {
			b.reportNetwork(n, RuleStrangePort, "its bridge "+n.Bridge+" also has the port "+strings.Join(names, ", ")+", which is no container's: what is behind it is on the containers' own network, a router there too, and is not fenced",
				"take it off the bridge, or give the network a bridge of its own")
		}
	}
}

// macOf is the MAC that Docker gave an endpoint, if that can be one interface's.
func macOf(e docker.Endpoint) (mac nft.MAC, ok bool) {
	mac, err := nft.ParseMAC(e.MAC)
	return mac, err == nil && mac != (nft.MAC{}) && mac[0]&1 == 0
}

// claimedBy are the addresses that an endpoint claims. The link-local one is the container's only when its port is
// bound: else anybody could use it.
func claimedBy(e docker.Endpoint, port *nft.Port) []netip.Addr {
	addrs := []netip.Addr{e.IPv4, e.IPv6}
	if port != nil && e.IPv6.IsValid() {
		addrs = append(addrs, port.MAC.LinkLocal())
	}
	return plainAddrs(addrs)
}

// isInterfaces says whether an address can be an interface's own: others are what somebody sends from who has none.
func isInterfaces(a netip.Addr) bool {
	return !a.IsUnspecified() && !a.IsMulticast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// bindPorts takes over the ports with what their containers may use. An address that two have, or the host on a fenced
// bridge, is bound to neither, and if it is a link-local one, nobody's.
func (b *builder) bindPorts(ports map[attachment]*nft.Port) {
	users := make(map[netip.Addr]int, 3*len(ports))
	for at, p := range ports {
		for _, end := range b.endpoints[at.container] {
			if end.Bridge == at.bridge && isInterfaces(end.Addr) {
				p.Addrs = append(p.Addrs, end.Addr)
			}
		}
	}
	for _, ends := range b.endpoints {
		for _, end := range ends {
			users[end.Addr]++
		}
	}
	for _, bridge := range b.rules.Bridges {
		for _, a := range bridge.Addrs {
			users[a] = 2
		}
	}
	for at, p := range ports {
		shared := func(a netip.Addr) bool { return users[a] > 1 }
		if slices.ContainsFunc(p.Addrs, shared) {
			p.Addrs = slices.DeleteFunc(p.Addrs, shared)
			b.endpoints[at.container] = slices.DeleteFunc(b.endpoints[at.container], func(e nft.Endpoint) bool {
				return e.Bridge == at.bridge && e.Addr.IsLinkLocalUnicast() && shared(e.Addr)
			})
		}
	}
	b.rules.Ports = make([]nft.Port, 0, len(ports))
	for at, p := range ports {
		p.Also = b.elsewhere(at, users)
		b.rules.Ports = append(b.rules.Ports, *p)
	}
	slices.SortFunc(b.rules.Ports, func(x, y nft.Port) int { return strings.Compare(x.Name, y.Name) })
}

// elsewhere are the addresses that a container has on other networks than the one of an attachment, and nobody else.
func (b *builder) elsewhere(at attachment, users map[netip.Addr]int) []netip.Addr {
	var out []netip.Addr
	for _, end := range b.endpoints[at.container] {
		if end.Bridge != at.bridge && isInterfaces(end.Addr) && !end.Addr.IsLinkLocalUnicast() && users[end.Addr] < 2 {
			out = append(out, end.Addr)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}
