package reconcile

import (
	"testing"

	"github.com/dockerwall/dockerwall/nft"
)

func TestPathsThatNoPolicyDecides(t *testing.T) {
	web := func(change func(*nft.Packet)) nft.Packet {
		p := nft.Packet{Hook: nft.Forward, In: "docker0", InBridge: true, Out: "eth0", Src: addrs("172.17.0.2")[0], Dst: addrs("203.0.113.1")[0], Proto: nft.TCP, DstPort: 443}
		change(&p)
		return p
	}
	for name, test := range map[string]struct {
		packet   nft.Packet
		dry      bool
		networks string
		pass     bool
		reason   nft.Reason
	}{
		"to a neighbour on the same network":          {web(func(p *nft.Packet) { p.Out, p.Dst = "docker0", addrs("172.17.0.3")[0] }), false, "", true, ""},
		"to the network's broadcast address":          {web(func(p *nft.Packet) { p.Out, p.Dst, p.Proto = "docker0", addrs("255.255.255.255")[0], nft.UDP }), false, "", true, ""},
		"by the same bridge to elsewhere":             {web(func(p *nft.Packet) { p.Out = "docker0" }), false, "", false, nft.Denied},
		"from an address that is nobody's":            {web(func(p *nft.Packet) { p.Src = addrs("172.17.0.99")[0] }), false, "", false, nft.Unknown},
		"from an address that is nobody's, dry run":   {web(func(p *nft.Packet) { p.Src = addrs("172.17.0.99")[0] }), true, "", true, nft.Unknown},
		"from another network's address":              {web(func(p *nft.Packet) { p.Src = addrs("172.18.0.2")[0] }), false, "", false, nft.Unknown},
		"from a bridge of a network not listed yet":   {web(func(p *nft.Packet) { p.In = "br-0123456789ab" }), false, "", false, nft.Unknown},
		"from such a bridge, when networks are named": {web(func(p *nft.Packet) { p.In = "br-0123456789ab" }), false, "bridge", true, ""},
		"from a network that is excluded":             {web(func(p *nft.Packet) { p.Src = addrs("172.17.0.99")[0] }), false, "!bridge", true, ""},
		"from a bridge that is not Docker's":          {web(func(p *nft.Packet) { p.In = "virbr0" }), false, "", true, ""},
		"a reply":                                     {web(func(p *nft.Packet) { p.State = nft.StateEstablished }), false, "", true, ""},
		"an error about a flow of its own":            {web(func(p *nft.Packet) { p.State, p.Proto, p.Own = nft.StateRelated, nft.ICMP, true }), false, "", true, ""},
		"an error about a flow of others":             {web(func(p *nft.Packet) { p.State, p.Proto = nft.StateRelated, nft.ICMP }), false, "", false, nft.Denied},
		"a related connection that is no error":       {web(func(p *nft.Packet) { p.State = nft.StateRelated }), false, "", false, nft.Denied},
		"what conntrack finds invalid":                {web(func(p *nft.Packet) { p.State = nft.StateInvalid }), false, "", false, nft.Invalid},
		"the middle of a TCP flow that nobody knows":  {web(func(p *nft.Packet) { p.Stray = true }), false, "", false, nft.Stray},
		"a server's segment toward a container":       {web(func(p *nft.Packet) { p.In, p.InBridge, p.Out, p.Stray = "eth0", false, "docker0", true }), false, "", false, nft.Stray},
		"multicast to the host":                       {web(func(p *nft.Packet) { p.Hook, p.Out, p.Dst, p.Proto = nft.Input, "", addrs("224.0.0.251")[0], nft.UDP }), false, "", false, nft.Multicast},
		"neighbour discovery": {web(func(p *nft.Packet) {
			p.Hook, p.Out, p.Src, p.Dst, p.Proto, p.Type = nft.Input, "", addrs("fe80::2")[0], addrs("ff02::1")[0], nft.ICMPv6, 135
		}), false, "", true, ""},
		"denied by policy, dry run": {web(func(*nft.Packet) {}), true, "", true, nft.Denied},
	} {
		t.Run(name, func(t *testing.T) {
			s := single("", "")
			s.DryRun, s.GatewayNetworks = test.dry, test.networks
			state, _ := s.state()
			r, _ := build(t, state)
			if j := r.Judge(test.packet); j.Pass != test.pass || j.Reason != test.reason {
				t.Errorf("pass %v (%s), want %v (%s)", j.Pass, j.Reason, test.pass, test.reason)
			}
		})
	}
}
