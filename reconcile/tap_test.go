package reconcile

import (
	"net/netip"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/resolver"
)

// tapHost is a host with docker0, a user's network and one that is excluded.
func tapHost() scenario {
	return scenario{
		GatewayNetworks: "!lab",
		Host:            addrs("127.0.0.1", "192.0.2.1", "172.17.0.1", "172.18.0.1", "fe80::1"),
		Bridges:         []string{"br-0123456789ab", "br-blue", "br-lan", "docker0", "virbr0"},
		Networks: []scenarioNetwork{
			{Name: "bridge", Bridge: "docker0", Subnets: prefixes("172.17.0.0/16")},
			{Name: "blue", Bridge: "br-blue", Subnets: prefixes("172.18.0.0/16", "fd00:2::/64")},
			{Name: "lab", Bridge: "lab0", Subnets: prefixes("172.19.0.0/16")},
			{Name: "mac", Bridge: "none", Subnets: prefixes("192.0.2.0/25")},
		},
		Containers: []scenarioContainer{{Name: "web"}, {Name: "db"}},
	}
}

func ports(texts ...string) (out []netip.AddrPort) {
	for _, t := range texts {
		out = append(out, netip.MustParseAddrPort(t))
	}
	return out
}

// plainly compares addresses by what they are.
func plainly() gocmp.Option {
	return cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{})
}

func TestWhoseAnswersAreStopped(t *testing.T) {
	for name, test := range map[string]struct {
		sources    resolver.Sources // the texts, as files have them
		dns        map[string]addrList
		resolvers  []netip.Addr
		host       []netip.Addr
		containers []nft.TapServer
	}{
		"resolv.conf's, with containers and with the host": {
			sources:   resolver.Sources{ResolvConf: resolver.Text{Data: []byte("nameserver 198.51.100.54\nnameserver 198.51.100.53\nnameserver 2001:db8::53\n")}},
			resolvers: addrs("198.51.100.53", "198.51.100.54", "2001:db8::53"), host: addrs("198.51.100.53", "198.51.100.54", "2001:db8::53"),
		},
		"on loopback, with the host alone": {
			sources: resolver.Sources{
				ResolvConf: resolver.Text{Data: []byte("nameserver 127.0.0.53\n")}, Resolved: resolver.Text{Data: []byte("nameserver 198.51.100.53\n")},
			},
			resolvers: addrs("198.51.100.53"), host: addrs("127.0.0.53"),
		},
		"Docker's own choice where the host has loopback ones only": {
			sources:   resolver.Sources{ResolvConf: resolver.Text{Data: []byte("nameserver 127.0.0.1\nnameserver ::1\n")}},
			resolvers: addrs("8.8.4.4", "8.8.8.8"), host: addrs("127.0.0.1", "::1"),
		},
		"daemon.json's, with containers": {
			sources: resolver.Sources{
				ResolvConf: resolver.Text{Data: []byte("nameserver 198.51.100.53\n")}, DaemonJSON: resolver.Text{Data: []byte(`{"dns": ["203.0.113.53", "172.17.0.1"]}`)},
			},
			resolvers: addrs("172.17.0.1", "198.51.100.53", "203.0.113.53"), host: addrs("198.51.100.53"),
		},
		"containers' own": {
			sources:   resolver.Sources{ResolvConf: resolver.Text{Data: []byte("nameserver 198.51.100.53\n")}},
			dns:       map[string]addrList{"web": addrs("203.0.113.53", "::ffff:203.0.113.54", "127.0.0.1"), "db": addrs("203.0.113.53", "2001:db8::54")},
			resolvers: addrs("198.51.100.53", "203.0.113.53", "203.0.113.54", "2001:db8::54"), host: addrs("198.51.100.53"),
		},
		"link-local ones, but not those that need a zone": {
			sources:   resolver.Sources{ResolvConf: resolver.Text{Data: []byte("nameserver fe80::53%eth0\nnameserver 169.254.169.253\n")}},
			dns:       map[string]addrList{"web": addrs("fe80::54%eth0")},
			resolvers: addrs("169.254.169.253"), host: addrs("169.254.169.253"),
		},
		"the operator's, asked on port 53": {
			sources:   resolver.Sources{ResolvConf: resolver.Text{Data: []byte("nameserver 198.51.100.53\n")}, Extra: "203.0.113.53, 203.0.113.54:5353, 127.0.0.2, [2001:db8::54]:53"},
			resolvers: addrs("198.51.100.53", "203.0.113.53", "2001:db8::54"), host: addrs("127.0.0.2", "198.51.100.53", "203.0.113.53", "2001:db8::54"),
		},
		"the operator's in a container, on any port": {
			sources:   resolver.Sources{ResolvConf: resolver.Text{Data: []byte("nameserver 198.51.100.53\n")}, Extra: "172.18.0.53, [fd00:2::53]:5353, 172.19.0.53:54, 172.17.0.53, 172.18.0.53:53"},
			resolvers: addrs("172.17.0.53", "172.18.0.53", "198.51.100.53"), host: addrs("172.17.0.53", "172.18.0.53", "198.51.100.53"),
			containers: []nft.TapServer{{Bridge: "docker0", AddrPort: ports("172.17.0.53:53")[0]}, {Bridge: "br-blue", AddrPort: ports("172.18.0.53:53")[0]},
				{Bridge: "lab0", AddrPort: ports("172.19.0.53:54")[0]}, {Bridge: "br-blue", AddrPort: ports("[fd00:2::53]:5353")[0]}},
		},
		"of none in a container that nobody named": {
			sources:   resolver.Sources{ResolvConf: resolver.Text{Data: []byte("nameserver 172.18.0.53\n")}, DaemonJSON: resolver.Text{Data: []byte(`{"dns": ["172.17.0.53"]}`)}},
			dns:       map[string]addrList{"web": addrs("172.18.0.54")},
			resolvers: addrs("172.17.0.53", "172.18.0.53", "172.18.0.54"), host: addrs("172.18.0.53"), // which come in by no bridge of Docker's
		},
		"of one on the host, by a bridge's own address": {
			sources:   resolver.Sources{ResolvConf: resolver.Text{Data: []byte("nameserver 198.51.100.53\n")}, Extra: "172.18.0.1, 172.17.0.1:5353"},
			resolvers: addrs("172.18.0.1", "198.51.100.53"), host: addrs("172.18.0.1", "198.51.100.53"),
		},
		"of one on a network without a bridge here": {
			sources:   resolver.Sources{ResolvConf: resolver.Text{Data: []byte("nameserver 198.51.100.53\n")}, Extra: "192.0.2.5"},
			resolvers: addrs("192.0.2.5", "198.51.100.53"), host: addrs("192.0.2.5", "198.51.100.53"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := tapHost()
			for i := range s.Containers {
				s.Containers[i].DNS = test.dns[s.Containers[i].Name]
			}
			state, _ := s.state()
			state.Resolvers = resolver.Discover(test.sources)
			r, _ := build(t, state)
			got := BuildTap(state, r, TapSetting{Mode: nft.TapXTQueue, Queue: 5300, Mark: 9})
			want := nft.Tap{
				Mode: nft.TapXTQueue, Queue: 5300, Mark: 9, Fenced: []string{"br-blue", "docker0"}, Bridges: []string{"br-0123456789ab", "br-blue", "docker0", "docker_gwbridge", "lab0"},
				Resolvers: test.resolvers, Host: test.host, Containers: test.containers,
			}
			if diff := gocmp.Diff(want, got, plainly()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhichBridgesAreDockers(t *testing.T) {
	s := tapHost()
	s.Networks = append(s.Networks,
		scenarioNetwork{Name: "new"}, scenarioNetwork{Name: "odd", Bridge: `br-"x`, Subnets: prefixes("172.30.0.0/16")}, scenarioNetwork{Name: "long", Bridge: "a-bridge-of-17by"},
		scenarioNetwork{Name: "twice", Bridge: "br-blue"})
	s.Bridges = append(s.Bridges, "br-0123456789AB", "br-0123456789abc", "br-0123456789a", "br-", "br-fedcba987654", `br-"x`)
	state, _ := s.state()
	state.Resolvers.Named = ports("172.30.0.53:53", "[::ffff:172.18.0.53]:53")
	r, _ := build(t, state)
	got := BuildTap(state, r, TapSetting{Mode: nft.TapCopy})
	want := []string{"br-0123456789ab", "br-fedcba987654", "br-blue", "docker0", "docker_gwbridge", "lab0", state.Docker.Networks[4].Bridge}
	if diff := gocmp.Diff(want, got.Bridges, cmpopts.SortSlices(func(a, b string) bool { return a < b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := gocmp.Diff([]nft.TapServer{{Bridge: "br-blue", AddrPort: ports("172.18.0.53:53")[0]}}, got.Containers, plainly()); diff != "" {
		t.Errorf("resolvers in containers (-want +got):\n%s", diff)
	}
	if off := BuildTap(State{}, nft.Ruleset{}, TapSetting{}); off.Mode != nft.TapOff || len(off.Resolvers)+len(off.Host)+len(off.Containers)+len(off.Fenced) > 0 {
		t.Errorf("of nothing: %+v", off)
	}
}

func TestATapIsTheSameWhateverTheOrder(t *testing.T) {
	servers := append(ports("198.51.100.53:53", "203.0.113.53:5353", "127.0.0.53:53", "172.17.0.53:53", "172.18.0.53:5353", "172.18.0.1:53", "172.30.0.53:53", "[fd00:2::53]:53", "[::ffff:172.18.0.53]:53"),
		netip.AddrPort{}, netip.AddrPortFrom(netip.MustParseAddr("fe80::53%eth0"), 53))
	all := append(addrs("198.51.100.53", "172.18.0.53", "::ffff:198.51.100.53", "127.0.0.53", "::1", "fe80::53%eth0", "fe80::53", "2001:db8::53"), netip.Addr{})
	rapid.Check(t, func(rt *rapid.T) {
		s := tapHost()
		s.Networks = append(s.Networks, scenarioNetwork{Name: "over", Bridge: "br-over", Subnets: prefixes("172.16.0.0/12")}, scenarioNetwork{Name: "again", Bridge: "br-again", Subnets: prefixes("172.30.0.0/16", "::ffff:172.18.0.0/112")})
		s.Containers[0].DNS = rapid.SliceOf(rapid.SampledFrom(all)).Draw(rt, "--dns")
		state, _ := s.state()
		drawn := func(what string) addrList { return rapid.SliceOf(rapid.SampledFrom(all)).Draw(rt, what) }
		state.Resolvers = resolver.Servers{
			Ask: rapid.SliceOf(rapid.SampledFrom(servers)).Draw(rt, "asked"), Named: rapid.SliceOf(rapid.SampledFrom(servers)).Draw(rt, "named"),
			Containers: drawn("given"), Host: drawn("the host's"),
		}
		mixed, _ := s.state()
		mixed.Docker.Networks = rapid.Permutation(mixed.Docker.Networks).Draw(rt, "networks")
		mixed.Interfaces.Bridges = rapid.Permutation(mixed.Interfaces.Bridges).Draw(rt, "bridges")
		mixed.Resolvers = resolver.Servers{
			Ask: rapid.Permutation(state.Resolvers.Ask).Draw(rt, "asked, mixed"), Named: rapid.Permutation(state.Resolvers.Named).Draw(rt, "named, mixed"),
			Containers: rapid.Permutation(state.Resolvers.Containers).Draw(rt, "given, mixed"), Host: rapid.Permutation(state.Resolvers.Host).Draw(rt, "the host's, mixed"),
		}
		r, _ := build(t, state)
		set := TapSetting{Mode: nft.TapCopy, Queue: 1}
		tap := BuildTap(state, r, set)
		if diff := gocmp.Diff(tap, BuildTap(mixed, r, set), plainly()); diff != "" {
			rt.Fatal(diff)
		}
		if err := tap.Validate(); err != nil {
			rt.Fatalf("the kernel would refuse it: %v", err)
		}
		for _, a := range tap.Resolvers {
			if a.IsLoopback() {
				rt.Fatalf("answers of %s are waited for on their way to containers", a)
			}
		}
	})
}
