package reconcile

import (
	"iter"
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/resolver"
)

// addresses knows what names mean now, and what of it DNS answers may open on this host.
type addresses struct {
	guard   resolver.Guard
	names   map[string][]netip.Addr
	denied  map[string][]netip.Addr
	one     [1]string
	below   map[string][]string // names of both beneath each parent, made when a wildcard first asks
	state   *State
	learned map[string][]nft.NamedAddr // beneath allowed wildcards, guarded, made when one first asks
}

// The guard's words that have a remedy of their own.
const (
	reasonHost    = "host"
	reasonPrivate = "private"
)

func newAddresses(s State) addresses {
	return addresses{guard: newGuard(s), names: s.Names, denied: s.Denied, state: &s, learned: map[string][]nft.NamedAddr{}}
}

// newGuard knows this host.
func newGuard(s State) resolver.Guard {
	guard := resolver.Guard{Private: s.Config.PrivateNames}
	for _, a := range plainAddrs(s.Interfaces.Addrs) {
		if !a.IsLoopback() && !a.IsLinkLocalUnicast() { // refused anyway; of the latter each veth has one
			guard.Host = append(guard.Host, a)
		}
	}
	for _, n := range s.Docker.Networks {
		guard.Docker = append(guard.Docker, plainPrefixes(n.Subnets)...)
	}
	return guard
}

// beneath are the addresses learned beneath a wildcard, of names that nobody spells out. What the guard refuses is
// not among those allowed; the resolver has told of it.
func (a *addresses) beneath(p policy.Pattern, deny bool) []nft.NamedAddr {
	if deny {
		return plainNamed(a.state.DeniedBelow[p.Name()])
	}
	if known, ok := a.learned[p.Name()]; ok {
		return known
	}
	out := slices.DeleteFunc(plainNamed(a.state.Below[p.Name()]), func(n nft.NamedAddr) bool {
		return a.guard.Refuse(n.Addr, n.Name, true) != ""
	})
	a.learned[p.Name()] = out
	return out
}

func plainNamed(named []resolver.Named) []nft.NamedAddr {
	out := make([]nft.NamedAddr, 0, len(named))
	for _, n := range named {
		if addr, ok := plain(n.Addr); ok {
			out = append(out, nft.NamedAddr{Addr: addr, Name: n.Name})
		}
	}
	return out
}

// known says whether all that a denied pattern has to deny is known.
func (a *addresses) known(p policy.Pattern) bool {
	return !a.state.Overflown[p.String()] && (p.Wild() || a.denied[p.Name()] != nil)
}

// matched are the names that p means, until the next call.
func (a *addresses) matched(p policy.Pattern) []string {
	if !p.Wild() {
		a.one[0] = p.Name()
		return a.one[:]
	}
	if a.below == nil {
		a.below = map[string][]string{}
		for name := range a.names {
			a.putBelow(name)
		}
		for name := range a.denied {
			if _, ok := a.names[name]; !ok {
				a.putBelow(name)
			}
		}
	}
	return a.below[p.Name()]
}

func (a *addresses) putBelow(name string) {
	for parent := range parents(name) {
		a.below[parent] = append(a.below[parent], name)
	}
}

// parents are what stands behind each dot of a name.
func parents(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, parent, ok := strings.Cut(name, "."); ok && yield(parent); _, parent, ok = strings.Cut(parent, ".") {
		}
	}
}

// of are the addresses of a name that is allowed, or denied.
func (a *addresses) of(name string, deny bool) []netip.Addr {
	if !deny {
		return a.names[name]
	}
	return slices.Concat(a.names[name], a.denied[name])
}

// plain is an address as the kernel's sets take it, unmapped. One with a zone is none: the zone is the
// host's, and nothing that a container could send to.
func plain(a netip.Addr) (netip.Addr, bool) {
	a = a.Unmap()
	return a, a.IsValid() && a.Zone() == ""
}

// plainAddrs are all that plain leaves, sorted, each once.
func plainAddrs(addrs []netip.Addr) []netip.Addr {
	out := make([]netip.Addr, 0, len(addrs))
	for _, a := range addrs {
		if a, ok := plain(a); ok {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// plainPrefixes are the prefixes likewise, masked. A mapped one that is more than IPv4 is left out.
func plainPrefixes(prefixes []netip.Prefix) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(prefixes))
	for _, p := range prefixes {
		if p.Addr().Is4In6() {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		if p.IsValid() {
			out = append(out, p.Masked())
		}
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}

// spellings are p and, of an IPv4 prefix, what stands for it under NAT64's well-known prefix (RFC 6052)
// and 6to4 (RFC 3056).
func spellings(p netip.Prefix) []netip.Prefix {
	if !p.Addr().Is4() {
		return []netip.Prefix{p}
	}
	v4 := p.Addr().As4()
	nat64 := [16]byte{0, 0x64, 0xff, 0x9b, 12: v4[0], v4[1], v4[2], v4[3]}
	sixToFour := [16]byte{0x20, 0x02, v4[0], v4[1], v4[2], v4[3]}
	return []netip.Prefix{p, netip.PrefixFrom(netip.AddrFrom16(nat64), 96+p.Bits()), netip.PrefixFrom(netip.AddrFrom16(sixToFour), 16+p.Bits())}
}
