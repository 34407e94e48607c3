package reconcile

import (
	"net/netip"
	"slices"

	"github.com/dockerwall/dockerwall/docker"
)

// member is a container attached to a network, with the addresses that it asked for there.
type member struct {
	docker.Container
	fixed []netip.Addr
}

// fixedIn are the addresses of a subnet that it asked for.
func (m member) fixedIn(p netip.Prefix) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(m.fixed), func(a netip.Addr) bool { return !p.Contains(a) })
}

// asks says whether it asked for an address of the family of p, so that Docker chooses none for it.
func (m member) asks(p netip.Prefix) bool {
	return slices.ContainsFunc(m.fixed, func(a netip.Addr) bool { return a.Is4() == p.Addr().Is4() })
}

// pool is a subnet of a network.
type pool struct {
	subnet netip.Prefix
	parts  []netip.Prefix // from which Docker chooses; the subnet itself, or ranges in it
	taken  []netip.Addr   // which it never chooses
}

// pools are those of a network; gates are the host's own addresses on its bridge.
func pools(n docker.Network, gates []netip.Addr) (out []pool) {
	taken := slices.Concat(gates, plainAddrs(n.Gateways), plainAddrs(n.Reserved))
	for _, subnet := range plainPrefixes(n.Subnets) {
		p := pool{subnet: subnet, taken: taken}
		for _, part := range plainPrefixes(n.Ranges) {
			if subnet.Contains(part.Addr()) && subnet.Bits() <= part.Bits() {
				p.parts = append(p.parts, part)
			}
		}
		if len(p.parts) == 0 {
			p.parts = []netip.Prefix{subnet}
		}
		out = append(out, p)
	}
	return out
}

// own is an address that can only be one container's.
type own struct {
	container docker.Container
	addr      netip.Addr
}

// share parts the addresses that containers with a restart policy may get after a boot into those that can only be one
// container's, and others; sorted, each once.
func (p pool) share(members []member) (certain []own, others []netip.Addr) {
	asked := map[netip.Addr]int{}
	come, chosen := 0, false
	for _, m := range members {
		for _, a := range m.fixedIn(p.subnet) {
			asked[a]++
		}
		chosen = chosen || !m.asks(p.subnet)
		if m.Restarts {
			come++
		}
	}
	for _, m := range members {
		for _, a := range m.fixedIn(p.subnet) {
			switch {
			case !m.Restarts:
			case asked[a] == 1 && !(chosen && p.chooses(a)):
				certain = append(certain, own{m.Container, a})
			default:
				others = append(others, a)
			}
		}
	}
	if chosen {
		others = append(others, p.lowest(come)...)
	}
	others = slices.DeleteFunc(others, func(a netip.Addr) bool {
		return slices.ContainsFunc(certain, func(o own) bool { return o.addr == a })
	})
	slices.SortFunc(others, netip.Addr.Compare)
	return certain, slices.Compact(others)
}

// chooses says whether Docker may choose a for a container that asks for none.
func (p pool) chooses(a netip.Addr) bool {
	return slices.ContainsFunc(p.parts, func(part netip.Prefix) bool { return part.Contains(a) })
}

// lowest are the first n addresses that Docker chooses, of each part: never the subnet's own address. Where the gateway is
// not known, it is one more.
func (p pool) lowest(n int) (out []netip.Addr) {
	if n == 0 {
		return nil
	}
	if !slices.ContainsFunc(p.taken, p.subnet.Contains) {
		n++
	}
	n = min(n, maxRemembered)
	for _, part := range p.parts {
		a := part.Addr()
		for found := 0; found < n && part.Contains(a); a = a.Next() {
			if a != p.subnet.Addr() && !slices.Contains(p.taken, a) {
				out = append(out, a)
				found++
			}
		}
	}
	return out
}
