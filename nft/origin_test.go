package nft

import (
	"net/netip"
	"strings"
	"testing"
)

// TestEachRuleOfAContainerSaysWhatAsksForIt: whose it is, and the tokens in the words of the label.
func TestEachRuleOfAContainerSaysWhatAsksForIt(t *testing.T) {
	addr := netip.MustParseAddr
	single := func(s string) Range { return Range{addr(s), addr(s)} }
	r := Ruleset{Containers: []Container{{
		ID: "000000000001", Name: "we\nb\" # \\x", Endpoints: []Endpoint{{"docker0", addr("172.17.0.2")}, {"docker0", addr("2001:db8::2")}}, Shared: []string{"default"},
		Own: Source{
			Allow: Matches{
				Host: []Clause{{Proto: TCP, Ports: Ports{5432, 5432}}}, Internet: []Clause{{Ports: Ports{8000, 8080}}}, Resolvers: []netip.Addr{addr("192.0.2.53")},
				Addrs: Literals{Any: []Range{single("192.0.2.1"), single("192.0.2.2"), single("192.0.2.3"), single("192.0.2.4"), single("192.0.2.5")}},
				Nets: Literals{ICMP: []Range{{addr("10.0.0.0"), addr("10.255.255.255")}}, Boxes: []Box{
					{Range{addr("10.0.0.0"), addr("10.0.0.255")}, UDP, Ports{0, 65535}}, {Range{addr("2001:db8:1::"), addr("2001:db8:1::ff")}, TCP, Ports{80, 81}},
				}},
				Names: []NameSet{{Clause{TCP, Ports{443, 443}}, []NamedAddr{{addr("203.0.113.1"), "www.example.com"}, {addr("203.0.113.2"), "www.example.com"}, {addr("203.0.113.3"), "db.example.com"}}}},
			},
			Deny: Matches{Nets: Literals{Any: []Range{{addr("198.51.100.0"), addr("198.51.100.9")}}}},
		},
	}}, Sources: []Source{{Name: "default", Allow: Matches{All: []Clause{{Proto: ICMP}}}}}}
	text := r.String()
	const who = " # web # x" // after the clauses; element comments have it in quotes
	for _, want := range []string{
		"@c_000000000001_no_net4 goto c_000000000001_deny" + who + ": !198.51.100.0-198.51.100.9\n",
		"tcp dport 5432 accept" + who + ": _host_:5432/tcp\n",
		"th dport 8000-8080 accept" + who + ": _internet_:8000-8080\n",
		"th dport 53 accept" + who + ": _dns_\n",
		"@c_000000000001_addr4 accept" + who + ": 192.0.2.1, 192.0.2.2, 192.0.2.3 and 2 more\n",
		"@c_000000000001_neticmp4 accept" + who + ": 10.0.0.0/8/icmp\n",
		"@c_000000000001_svc4 accept" + who + ": 10.0.0.0/24/udp\n",
		"@c_000000000001_svc6 accept" + who + ": [2001:db8:1::/120]:80-81/tcp\n",
		"tcp dport 443 accept" + who + ": www.example.com:443/tcp, db.example.com:443/tcp\n",
		"tcp dport 443 accept" + who + ": names:443/tcp without an address\n", // of IPv6
		"meta l4proto @icmps accept" + who + ": */icmp\n",
		"\t\tdrop" + who + "\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no rule says %q", want)
		}
	}
	chains := text[strings.Index(text, "chain c_000000000001 "):]
	for line := range strings.Lines(chains[:strings.Index(chains, "\n}")]) {
		if strings.HasPrefix(line, "\t\t") && !strings.Contains(line, who) {
			t.Errorf("nothing is said of %s", line)
		}
	}
	if plain := r.Table().Untitled().String(); strings.Contains(plain, "accept"+who) || TextDiff(plain, text) != "" || TextDiff(text, plain) != "" {
		t.Errorf("the notes count: %s\n%s", TextDiff(plain, text), plain)
	}
}
