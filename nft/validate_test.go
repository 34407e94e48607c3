package nft

import (
	"net/netip"
	"slices"
	"testing"
)

func TestValidateRefuses(t *testing.T) {
	end := func(bridge, a string) Endpoint { return Endpoint{bridge, netip.MustParseAddr(a)} }
	own := func(m Matches) func(*Ruleset) {
		return func(r *Ruleset) { r.Containers[0].Own.Allow = m }
	}
	address := addrs("192.0.2.1")[0]
	tests := map[string]func(*Ruleset){
		"ranges that overlap":                           own(Matches{Nets: Literals{Any: nets("10.0.0.0/8", "10.1.0.0/16")}}),
		"the same range twice":                          own(Matches{Nets: Literals{ICMP: nets("10.0.0.0/8", "10.0.0.0/8")}}),
		"a range that goes backwards":                   own(Matches{Nets: Literals{Any: []Range{{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.1")}}}}),
		"a range of two families":                       own(Matches{Nets: Literals{Any: []Range{{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("2001:db8::1")}}}}),
		"a range of nothing":                            own(Matches{Nets: Literals{Any: []Range{{}}}}),
		"a range among single addresses":                own(Matches{Addrs: Literals{Any: nets("10.0.0.0/8")}}),
		"a wide box among single addresses":             own(Matches{Addrs: Literals{Boxes: []Box{{nets("10.0.0.0/8")[0], TCP, Ports{1, 1}}}}}),
		"boxes that overlap in one corner":              own(Matches{Nets: Literals{Boxes: []Box{{nets("10.0.0.0/8")[0], TCP, Ports{1, 80}}, {nets("10.1.0.0/16")[0], TCP, Ports{80, 90}}}}}),
		"a box without protocol":                        own(Matches{Nets: Literals{Boxes: []Box{{address, 0, Ports{1, 1}}}}}),
		"a box with ports backwards":                    own(Matches{Nets: Literals{Boxes: []Box{{address, TCP, Ports{2, 1}}}}}),
		"a clause of icmp with ports":                   own(Matches{All: []Clause{{ICMP, Ports{1, 1}}}}),
		"a clause with ports backwards":                 own(Matches{Host: []Clause{{TCP, Ports{2, 1}}}}),
		"a clause of a protocol no rule has":            own(Matches{Internet: []Clause{{Proto: 47}}}),
		"two sets of names with one clause":             own(Matches{Names: []NameSet{{}, {}}}),
		"addresses of names not sorted":                 own(Matches{Names: []NameSet{{Addrs: named("192.0.2.2", "192.0.2.1")}}}),
		"a resolver twice":                              own(Matches{Resolvers: []netip.Addr{address.First, address.First}}),
		"an address with a zone":                        own(Matches{Resolvers: []netip.Addr{netip.MustParseAddr("fe80::1%eth0")}}),
		"an IPv4-mapped address":                        own(Matches{Resolvers: []netip.Addr{netip.MustParseAddr("::ffff:192.0.2.1")}}),
		"an endpoint on a bridge that is not fenced":    func(r *Ruleset) { r.Containers[0].Endpoints = []Endpoint{end("br-none", "172.18.0.2")} },
		"an endpoint of two containers":                 func(r *Ruleset) { r.Containers[1].Endpoints = r.Containers[0].Endpoints },
		"an ID that is not one":                         func(r *Ruleset) { r.Containers[0].ID = "0000 0000 01" },
		"containers not sorted":                         func(r *Ruleset) { r.Containers[0].ID = "f00000000000" },
		"a mode that is not one":                        func(r *Ruleset) { r.Containers[0].Mode = 7 },
		"a source that does not exist":                  func(r *Ruleset) { r.Containers[0].Shared = []string{"nobody"} },
		"a source's name that would break out of nft":   func(r *Ruleset) { r.Sources[0].Name = "a { b" },
		"sources not sorted":                            func(r *Ruleset) { r.Sources[0].Name = "z" },
		"a bridge twice":                                func(r *Ruleset) { r.Bridges = append(r.Bridges, Bridge{Name: "docker0"}) },
		"a network twice":                               func(r *Ruleset) { r.Bridges[1].Network = r.Bridges[0].Network },
		"a network that is not an ID":                   func(r *Ruleset) { r.Bridges[1].Network = "blue" },
		"a subnet that is none":                         func(r *Ruleset) { r.Bridges[1].Subnets = []netip.Prefix{{}} },
		"a bridge without name":                         func(r *Ruleset) { r.Bridges[1].Name = "" },
		"a bridge with a name of 16 bytes":              func(r *Ruleset) { r.Bridges[1].Name = "br-0123456789abc" },
		"a bridge with a quote in its name":             func(r *Ruleset) { r.Bridges[1].Name = `br"` },
		"a bridge with a newline in its name":           func(r *Ruleset) { r.Bridges[1].Name = "br\n" },
		"a bridge with a star at the end of its name":   func(r *Ruleset) { r.Bridges[1].Name = "br-*" },
		"a bridge whose name is not text":               func(r *Ruleset) { r.Bridges[1].Name = "br\xff" },
		"a bridge both fenced and free":                 func(r *Ruleset) { r.Free = []string{"br-blue"} },
		"a free bridge twice":                           func(r *Ruleset) { r.Free = []string{"br-free", "br-free"} },
		"ports not sorted":                              func(r *Ruleset) { r.Ports[0].Name = "vetz" },
		"a port twice":                                  func(r *Ruleset) { r.Ports[0].Name = r.Ports[1].Name },
		"a port whose name would break out of nft":      func(r *Ruleset) { r.Ports[0].Name = `a" }` },
		"a port without MAC":                            func(r *Ruleset) { r.Ports[0].MAC = MAC{} },
		"a port with a group's MAC":                     func(r *Ruleset) { r.Ports[0].MAC[0] |= 1 },
		"a MAC of two ports":                            func(r *Ruleset) { r.Ports[0].MAC = r.Ports[1].MAC },
		"a port with the host's MAC":                    func(r *Ruleset) { r.Ports[0].MAC = r.Bridges[1].MAC },
		"an address of two ports":                       func(r *Ruleset) { r.Ports[0].Addrs = r.Ports[1].Addrs },
		"a port with the host's address":                func(r *Ruleset) { r.Ports[2].Addrs = r.Bridges[1].Addrs[:1] },
		"addresses of a port not sorted":                func(r *Ruleset) { slices.Reverse(r.Ports[0].Addrs) },
		"an address of a port twice":                    func(r *Ruleset) { r.Ports[0].Addrs[1] = r.Ports[0].Addrs[0] },
		"a port that has no address yet":                func(r *Ruleset) { r.Ports[0].Addrs = parseAddrs("0.0.0.0") },
		"a port with the address of nobody":             func(r *Ruleset) { r.Ports[0].Addrs = parseAddrs("::") },
		"a port with a group's address":                 func(r *Ruleset) { r.Ports[0].Addrs = parseAddrs("ff02::1") },
		"a port with an IPv4-mapped address":            func(r *Ruleset) { r.Ports[0].Addrs = parseAddrs("::ffff:172.17.0.9") },
		"a host's address with a zone":                  func(r *Ruleset) { r.Bridges[0].Addrs = parseAddrs("fe80::1%eth0") },
		"what is not public being an IPv4-mapped range": func(r *Ruleset) { r.NotPublic = prefixes("::ffff:10.0.0.0/104") },
	}
	if err := sample().Validate(); err != nil {
		t.Fatalf("the sample is refused: %v", err)
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			r := clone(sample())
			spoil(&r)
			if err := r.Validate(); err == nil {
				t.Error("accepted")
			}
		})
	}
}
