package reconcile

import (
	"net/netip"
	"testing"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/nft"
)

func TestOpening(t *testing.T) {
	o := NewOpener(State{
		Interfaces: hostnet.Interfaces{Addrs: []netip.Addr{netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("172.18.0.1")}},
		Docker:     docker.Host{Networks: []docker.Network{{ID: "1", Subnets: []netip.Prefix{netip.MustParsePrefix("172.18.0.0/16")}}}},
	})
	tests := map[string]struct {
		dst   string
		proto uint8
		port  uint16
		names []string
		want  string // "" for nothing
	}{
		"a name before its address":                     {"203.0.113.9", nft.TCP, 443, []string{"api.example.com"}, "api.example.com:443/tcp"},
		"an address without a name":                     {"203.0.113.9", nft.UDP, 53, nil, "203.0.113.9:53/udp"},
		"IPv6 in brackets":                              {"2001:db8::9", nft.TCP, 22, nil, "[2001:db8::9]:22/tcp"},
		"a mapped address is IPv4":                      {"::ffff:203.0.113.9", nft.TCP, 22, nil, "203.0.113.9:22/tcp"},
		"ping":                                          {"203.0.113.9", nft.ICMP, 0, nil, "203.0.113.9/icmp"},
		"ping6":                                         {"2001:db8::9", nft.ICMPv6, 0, []string{"v6.example.com"}, "v6.example.com/icmp"},
		"a protocol without a clause":                   {"203.0.113.9", 47, 0, nil, "203.0.113.9"},
		"the host itself, whatever it is called":        {"198.51.100.1", nft.TCP, 5432, []string{"host.example.com"}, "_host_:5432/tcp"},
		"a name cannot open metadata":                   {"169.254.169.254", nft.TCP, 80, []string{"rebind.example.com"}, "169.254.169.254:80/tcp"},
		"nor another network of Docker's":               {"172.18.0.9", nft.TCP, 80, []string{"rebind.example.com"}, "172.18.0.9:80/tcp"},
		"a name of one label is none":                   {"203.0.113.9", nft.TCP, 80, []string{"localhost", "www.example.com"}, "www.example.com:80/tcp"},
		"what is no name at all":                        {"203.0.113.9", nft.TCP, 80, []string{"a b,*", "*.example.com"}, "203.0.113.9:80/tcp"},
		"multicast":                                     {"224.0.0.251", nft.UDP, 5353, nil, ""},
		"broadcast":                                     {"255.255.255.255", nft.UDP, 67, nil, ""},
		"private addresses are a matter of the name":    {"10.1.2.3", nft.TCP, 80, []string{"db.corp.example"}, "db.corp.example:80/tcp"},
		"port 0 cannot be told from every port, so say": {"203.0.113.9", nft.TCP, 0, nil, "203.0.113.9/tcp"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			token, ok := o.Token(Destination{netip.MustParseAddr(tt.dst), tt.port, tt.proto}, tt.names)
			if got := token.String(); ok != (tt.want != "") || ok && got != tt.want {
				t.Errorf("%q %t, want %q", got, ok, tt.want)
			}
		})
	}
	if _, ok := o.Token(Destination{}, nil); ok {
		t.Error("a token for nowhere")
	}
}
