package nft

import (
	"net/netip"
)

func addrs(texts ...string) []Range {
	var out []Range
	for _, t := range texts {
		a := netip.MustParseAddr(t)
		out = append(out, Range{a, a})
	}
	return out
}

func nets(texts ...string) []Range {
	var out []Range
	for _, t := range texts {
		out = append(out, rangeOf(netip.MustParsePrefix(t)))
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

func named(texts ...string) []NamedAddr {
	var out []NamedAddr
	for _, t := range texts {
		out = append(out, NamedAddr{netip.MustParseAddr(t), "www.example.org"})
	}
	return out
}

func mac(text string) MAC {
	m, err := ParseMAC(text)
	if err != nil {
		panic(err)
	}
	return m
}

func samplePorts() []Port {
	return []Port{
		{Name: "veth02", MAC: mac("02:42:ac:11:00:02"), Addrs: parseAddrs("172.17.0.2", "fe80::42:acff:fe11:2")},
		{Name: "veth03", MAC: mac("02:42:ac:11:00:03"), Addrs: parseAddrs("172.17.0.3", "fd00:1::3"), Also: parseAddrs("172.18.0.3")},
		{Name: "veth04", MAC: mac("02:42:ac:11:00:04"), Addrs: nil},
	}
}

// sample is a ruleset in which everything occurs that a ruleset can hold.
func sample() Ruleset {
	end := func(bridge, a string) Endpoint { return Endpoint{bridge, netip.MustParseAddr(a)} }
	return Ruleset{
		FenceUnknown: true,
		LogGroup:     32,
		BindPorts:    true,
		Ports:        samplePorts(),
		Bridges: []Bridge{
			{Name: "br-blue", Network: "b00000000001", Subnets: prefixes("172.18.0.0/16", "fd00:1::/64")},
			{Name: "docker0", Network: "b00000000002", Subnets: prefixes("172.17.0.0/16"), MAC: mac("02:42:ac:11:00:01"), Addrs: parseAddrs("172.17.0.1", "fe80::1")},
		},
		Free:      []string{"br-free", "virbr0"},
		NotPublic: prefixes("10.0.0.0/8", "172.16.0.0/12", "172.18.0.0/16", "192.168.0.0/16", "224.0.0.0/3", "fc00::/7", "fe80::/10", "ff00::/8"),
		Sources: []Source{
			{Name: "default", Allow: Matches{
				Addrs: Literals{Any: addrs("203.0.113.9")},
				Names: []NameSet{{Addrs: named("198.51.100.1", "198.51.100.2", "2001:db8:5::1")}},
			}, Deny: Matches{Nets: Literals{Any: nets("203.0.113.128/25")}}},
			{Name: "resolvers", Allow: Matches{Resolvers: []netip.Addr{netip.MustParseAddr("198.51.100.53"), netip.MustParseAddr("2001:db8::53")}}},
		},
		Containers: []Container{
			{ID: "000000000001", Name: "web", Endpoints: []Endpoint{end("br-blue", "172.18.0.2"), end("br-blue", "fd00:1::2")},
				Shared: []string{"default", "resolvers"},
				Own: Source{
					Allow: Matches{
						Host:     []Clause{{TCP, Ports{5432, 5432}}, {0, Ports{8000, 8080}}},
						Internet: []Clause{{TCP, Ports{443, 443}}},
						Addrs: Literals{Any: addrs("192.0.2.7", "2001:db8:1::7"), ICMP: addrs("192.0.2.8"),
							Boxes: []Box{{addrs("192.0.2.9")[0], TCP, Ports{443, 443}}, {addrs("192.0.2.9")[0], UDP, Ports{53, 60}}}},
						Nets: Literals{Any: append(nets("10.0.0.0/8", "2001:db8:2::/48"), Range{netip.MustParseAddr("192.0.2.20"), netip.MustParseAddr("192.0.2.29")}),
							ICMP:  nets("198.51.100.0/24", "2001:db8:3::/48"),
							Boxes: []Box{{nets("203.0.113.0/25")[0], TCP, Ports{80, 80}}, {nets("2001:db8:4::/48")[0], UDP, Ports{0, 65535}}}},
						Names: []NameSet{
							{Addrs: named("192.0.2.100", "2001:db8:9::1")},
							{Clause: Clause{Ports: Ports{443, 443}}, Addrs: named("192.0.2.101")},
							{Clause: Clause{Proto: TCP}, Addrs: named("192.0.2.102")},
							{Clause: Clause{Proto: ICMP}, Addrs: named("192.0.2.103", "2001:db8:9::3")},
							{Clause: Clause{TCP, Ports{1000, 2000}}, Addrs: named("192.0.2.104")},
						},
					},
					Deny: Matches{
						Host:      []Clause{{TCP, Ports{22, 22}}},
						Internet:  []Clause{{UDP, Ports{443, 443}}},
						Addrs:     Literals{Any: addrs("10.6.6.6"), Boxes: []Box{{addrs("10.6.6.7")[0], TCP, Ports{25, 25}}}},
						Nets:      Literals{Any: nets("10.66.0.0/16", "2001:db8:2:6::/64"), Boxes: []Box{{nets("10.67.0.0/16")[0], UDP, Ports{1, 1000}}}},
						Names:     []NameSet{{Addrs: named("10.0.0.9")}, {Clause: Clause{TCP, Ports{80, 80}}, Addrs: named("10.0.0.10")}},
						Resolvers: []netip.Addr{netip.MustParseAddr("10.0.0.53")},
					},
				}},
			{ID: "000000000002", Name: "audited \"x\"\n", Mode: Audit, Endpoints: []Endpoint{end("docker0", "172.17.0.2")}},
			{ID: "000000000003", Name: "off", Mode: Off, Endpoints: []Endpoint{end("docker0", "172.17.0.3")}},
			{ID: "000000000004", Name: "reject", Reject: true, Endpoints: []Endpoint{end("docker0", "172.17.0.4"), end("br-blue", "172.18.0.4")}, Shared: []string{"resolvers"}},
			{ID: "000000000005", Name: "all", Endpoints: []Endpoint{end("docker0", "172.17.0.5")}, Own: Source{Allow: Matches{All: []Clause{{}}}}},
		},
	}
}
