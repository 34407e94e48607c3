package reconcile

import (
	"net/netip"

	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/resolver"
)

// Destination is where a container's packets go.
type Destination struct {
	Addr  netip.Addr
	Port  uint16 // of tcp, udp and sctp
	Proto uint8  // IANA number
}

// Opener says which token of a label would allow a destination on this host.
type Opener struct {
	guard resolver.Guard
	host  map[netip.Addr]bool
}

// NewOpener knows the host of a state.
func NewOpener(s State) Opener {
	o := Opener{guard: newGuard(s), host: map[netip.Addr]bool{}}
	for _, a := range plainAddrs(s.Interfaces.Addrs) {
		o.host[a] = true
	}
	return o
}

// Host says whether an address is the host's own.
func (o Opener) Host(a netip.Addr) bool { return o.host[a.Unmap().WithZone("")] }

// Token is the narrowest token that allows d: by the first of names that an answer with this address can open, else by
// the address. It is false for what no token allows: multicast, broadcast and no address at all. Protocols without a
// clause in the grammar (GRE, SCTP, …) are allowed with all others to that destination.
func (o Opener) Token(d Destination, names []string) (policy.Token, bool) {
	addr, ok := plain(d.Addr)
	if !ok || addr.IsMulticast() || addr.IsUnspecified() || addr == broadcast() {
		return policy.Token{}, false
	}
	t := policy.Token{Dest: policy.Literal{First: addr, Last: addr}, Clause: clauseFor(d)}
	if o.Host(addr) {
		t.Dest = policy.Host
		return t, true
	}
	for _, name := range names {
		if p, err := policy.ParsePattern(name); err == nil && !p.Wild() && o.guard.Refuse(addr, p.Name(), false) == "" {
			t.Dest = p
			break
		}
	}
	return t, true
}

// clauseFor is the narrowest clause that the grammar has for a packet.
func clauseFor(d Destination) policy.Clause {
	switch d.Proto {
	case nft.TCP:
		return policy.Clause{Proto: policy.ProtoTCP, Ports: onePort(d.Port)}
	case nft.UDP:
		return policy.Clause{Proto: policy.ProtoUDP, Ports: onePort(d.Port)}
	case nft.ICMP, nft.ICMPv6:
		return policy.Clause{Proto: policy.ProtoICMP}
	}
	return policy.Clause{}
}

// onePort is a range of one; port 0, which the grammar cannot name, is every port.
func onePort(p uint16) policy.PortRange { return policy.PortRange{First: p, Last: p} }
