package reconcile

import (
	"net/netip"
	"slices"

	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/resolver"
	"github.com/dockerwall/dockerwall/sortby"
)

// TapSetting is how DNS answers are stopped now; the zero value is not at all.
type TapSetting struct {
	Mode  nft.TapMode
	Queue uint16 // or nflog group
	Mark  uint32 // of the daemon's own questions
}

// Tap has DNS answers stopped from the next run on, which it asks for.
func (l *Loop) Tap(t TapSetting) {
	l.tap.Store(&t)
	l.Kick()
}

func (l *Loop) tapSetting() TapSetting {
	if t := l.tap.Load(); t != nil {
		return *t
	}
	return TapSetting{}
}

// BuildTap says whose answers are stopped on this host, and where: those of every resolver that containers or the host
// ask, on their way to a fenced bridge or to a process of the host. A resolver in a container counts only if
// DOCKERWALL_RESOLVERS names it. It is pure and total.
func BuildTap(s State, r nft.Ruleset, t TapSetting) nft.Tap {
	out := nft.Tap{Mode: t.Mode, Queue: t.Queue, Mark: t.Mark, Bridges: dockerBridges(s)}
	for _, b := range r.Bridges {
		out.Fenced = append(out.Fenced, b.Name)
	}
	for _, server := range s.Resolvers.Named {
		addr, ok := plain(server.Addr())
		if bridge := bridgeOf(s, addr); ok && bridge != "" {
			out.Containers = append(out.Containers, nft.TapServer{Bridge: bridge, AddrPort: netip.AddrPortFrom(addr, server.Port())})
		}
	}
	sortby.Func(out.Containers, func(a, b nft.TapServer) int { return a.AddrPort.Compare(b.AddrPort) })
	out.Containers = slices.Compact(out.Containers)
	var asked []netip.Addr
	for _, server := range s.Resolvers.Ask {
		if server.Port() == resolver.Port {
			asked = append(asked, server.Addr())
		}
	}
	out.Host = plainAddrs(slices.Concat(s.Resolvers.Host, namedOnPort(s.Resolvers.Named)))
	asked = append(asked, s.Resolvers.Containers...)
	for _, c := range s.Docker.Containers {
		asked = append(asked, c.Resolvers...)
	}
	out.Resolvers = slices.DeleteFunc(plainAddrs(asked), netip.Addr.IsLoopback)
	return out
}

func namedOnPort(servers []netip.AddrPort) (addrs []netip.Addr) {
	for _, s := range servers {
		if s.Port() == resolver.Port {
			addrs = append(addrs, s.Addr())
		}
	}
	return addrs
}

// dockerBridges are the bridges of all networks, fenced or not, and those that are Docker's by their name.
func dockerBridges(s State) []string {
	names := []string{"docker0", "docker_gwbridge"}
	for _, n := range s.Docker.Networks {
		if isInterface(n.Bridge) {
			names = append(names, n.Bridge)
		}
	}
	for _, b := range s.Interfaces.Bridges {
		if dockersBridge.MatchString(b.Name) {
			names = append(names, b.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// bridgeOf is the bridge of the network that addr belongs to, "" if there is none; of several the first by name. The
// host's own addresses on it are no container's.
func bridgeOf(s State, addr netip.Addr) (bridge string) {
	if slices.Contains(plainAddrs(s.Interfaces.Addrs), addr) {
		return ""
	}
	for _, n := range s.Docker.Networks {
		within := slices.ContainsFunc(plainPrefixes(n.Subnets), func(p netip.Prefix) bool { return p.Contains(addr) })
		if within && isInterface(n.Bridge) && (bridge == "" || n.Bridge < bridge) {
			bridge = n.Bridge
		}
	}
	return bridge
}
