package reconcile

import (
	"testing"

	"github.com/dockerwall/dockerwall/nft"
)

func TestWhoOpenedAFlow(t *testing.T) {
	for name, test := range map[string]struct {
		flow   string
		mode   nft.Mode
		dryRun bool
		want   string
	}{
		"what is allowed is its container's":                        {"tcp 172.18.0.2:40000 203.0.113.9:443", nft.Enforce, false, "000000000001"},
		"what goes on although it is not allowed any more too":      {"tcp 172.18.0.2:40000 192.0.2.1:443", nft.Enforce, false, "000000000001"},
		"what the host serves too":                                  {"tcp 172.18.0.2:40000 172.18.0.1:7000", nft.Enforce, false, "000000000001"},
		"a published port on another network too":                   {"tcp 172.18.0.2:40000 198.51.100.1:7000 via 172.19.0.3:80", nft.Enforce, false, "000000000001"},
		"what the policy denies in audit is a denial":               {"tcp 172.18.0.2:40000 192.0.2.1:443", nft.Audit, false, ""},
		"what it allows in audit is not":                            {"tcp 172.18.0.2:40000 203.0.113.9:443", nft.Audit, false, "000000000001"},
		"what it denies under DRY_RUN is a denial":                  {"tcp 172.18.0.2:40000 192.0.2.1:443", nft.Enforce, true, ""},
		"where the mode is off nothing is a denial":                 {"tcp 172.18.0.2:40000 192.0.2.1:443", nft.Off, true, "000000000001"},
		"what stays on its network is left out":                     {"tcp 172.18.0.2:40000 172.18.0.3:80", nft.Enforce, false, ""},
		"what goes to many is left out":                             {"udp 172.18.0.2:5353 224.0.0.251:5353", nft.Off, false, ""},
		"what goes to all is left out":                              {"udp 172.18.0.2:68 255.255.255.255:67", nft.Off, false, ""},
		"what is opened to a container is not its own":              {"tcp 192.0.2.1:40000 172.18.0.2:80", nft.Enforce, false, ""},
		"what its server answers in the middle is not its own":      {"tcp 172.18.0.2:80 203.0.113.9:40000 ?", nft.Enforce, false, ""},
		"what it opened and was met in the middle is":               {"tcp 172.18.0.2:40000 203.0.113.9:443 ?", nft.Enforce, false, "000000000001"},
		"what its server answers over IPv6 is not, without a fence": {"udp [fd00:1::2]:80 [2001:db8::1]:40000", nft.Off, false, ""},
		"what the host opens is nobody's":                           {"tcp 172.18.0.1:40000 203.0.113.9:443", nft.Enforce, false, ""},
		"what a stranger on the network opens is nobody's":          {"tcp 172.18.0.77:40000 203.0.113.9:443", nft.Enforce, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, r := walled()
			r.DryRun = test.dryRun
			for i := range r.Containers {
				r.Containers[i].Mode = test.mode
			}
			c, ok := NewOpeners(s, r).Of(flow(test.flow))
			if c.ID != test.want || ok != (test.want != "") {
				t.Errorf("%q, %v", c.ID, ok)
			}
		})
	}
}

// TestNobodyOwnsAnAddressThatTwoHave: a flow from there may be of either.
func TestNobodyOwnsAnAddressThatTwoHave(t *testing.T) {
	s, r := walled()
	r.Containers[1].Endpoints = append(r.Containers[1].Endpoints, nft.Endpoint{Bridge: "br-red", Addr: r.Containers[0].Endpoints[0].Addr})
	if c, ok := NewOpeners(s, r).Of(flow("tcp 172.18.0.2:40000 203.0.113.9:443")); ok {
		t.Errorf("it is %s's", c.ID)
	}
}
