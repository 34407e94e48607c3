package nft

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerwall/dockerwall/internal/lab"
)

const (
	lookupRulesets = 40
	lookupPackets  = 12 // of each container
)

// TestLookupAgreesWithJudge: as long as nobody touched the table, what its sets hold is what the ruleset says.
func TestLookupAgreesWithJudge(t *testing.T) {
	g := newGenerator(t)
	k := open(t, namespace(t))
	compared := map[bool]int{}
	for range lookupRulesets {
		r := g.ruleset()
		r.Bridges = worldBridges()
		r = g.settle(r)
		apply(t, k, r)
		for _, c := range r.Containers {
			packets := g.opening(c)
			got, err := k.Lookup(r, c, packets)
			if err != nil || got.Strange != "" {
				t.Fatalf("%s %v\nruleset:\n%s", got.Strange, err, r)
			}
			for i, p := range packets {
				if want := r.Judge(p); got.Found[i].Judgement != want {
					t.Fatalf("looked up (-) and judged (+) differ:\n%s\nhits %v\npacket %+v\nruleset:\n%s", cmp.Diff(got.Found[i].Judgement, want), got.Found[i].Hits, p, r)
				}
				compared[got.Found[i].Pass]++
			}
		}
	}
	t.Logf("compared: %v", compared)
	if compared[true] < 100 || compared[false] < 100 {
		t.Errorf("too few compared: %v", compared)
	}
}

// opening are packets that open connections from endpoints of a container.
func (g generator) opening(c Container) (out []Packet) {
	for range lookupPackets {
		if len(c.Endpoints) == 0 {
			return nil
		}
		e := pick(g, c.Endpoints)
		p := Packet{Hook: pick(g, []Hook{Forward, Input}), In: e.Bridge, InBridge: true, Src: e.Addr, Dst: pick(g, worldAddrs()),
			Proto: pick(g, []uint8{TCP, UDP, ICMP, 47, SCTP})}
		if p.Dst.Is4() != p.Src.Is4() {
			continue
		}
		if p.Hook == Forward {
			p.Out = pick(g, []string{"wan", "br-blue", e.Bridge})
		}
		switch {
		case p.Proto == TCP || p.Proto == UDP || p.Proto == SCTP:
			p.DstPort = pick(g, []uint16{22, 53, 79, 80, 443, 444, 8000, 8080, 65535})
		case p.Proto == ICMP && p.Dst.Is6():
			p.Proto, p.Type = ICMPv6, 128
		}
		out = append(out, p)
	}
	return out
}

// lookupSample is a container with one address of every kind.
func lookupSample() (Ruleset, Container) {
	one := func(a string) Range { return Range{netip.MustParseAddr(a), netip.MustParseAddr(a)} }
	c := Container{
		ID: "000000000001", Name: "web", Shared: []string{"default"},
		Endpoints: []Endpoint{{"docker0", netip.MustParseAddr("172.17.0.2")}},
		Own: Source{Allow: Matches{
			Addrs: Literals{Any: []Range{one("192.0.2.1")}},
			Nets: Literals{
				Any:   []Range{{netip.MustParseAddr("10.0.0.0"), netip.MustParseAddr("10.0.0.255")}},
				Boxes: []Box{{Range{netip.MustParseAddr("10.1.0.0"), netip.MustParseAddr("10.1.0.255")}, TCP, Ports{443, 443}}, {Range{netip.MustParseAddr("10.2.0.0"), netip.MustParseAddr("10.2.0.255")}, TCP, Ports{444, 500}}},
			},
			Names: []NameSet{{Addrs: []NamedAddr{{netip.MustParseAddr("203.0.113.1"), "www.example.com"}}}},
		}},
	}
	return Ruleset{
		LogGroup: 32, Bridges: worldBridges(), Containers: []Container{c},
		Sources: []Source{{Name: "default", Deny: Matches{Names: []NameSet{{Addrs: []NamedAddr{{netip.MustParseAddr("203.0.113.9"), "bad.example.com"}}}}}}},
	}, c
}

func tcpTo(dst string) Packet {
	return Packet{Hook: Forward, In: "docker0", InBridge: true, Out: "wan", Src: netip.MustParseAddr("172.17.0.2"), Dst: netip.MustParseAddr(dst), Proto: TCP, DstPort: 443}
}

func TestLookupNamesTheSetThatDecides(t *testing.T) {
	k := open(t, namespace(t))
	r, c := lookupSample()
	apply(t, k, r)
	for name, test := range map[string]struct {
		dst  string
		want Found
	}{
		"a single address":                {"192.0.2.1", Found{Judgement{Pass: true, Container: c.ID}, []Hit{{Set: "c_000000000001_addr4"}}}},
		"an address within an interval":   {"10.0.0.77", Found{Judgement{Pass: true, Container: c.ID}, []Hit{{Set: "c_000000000001_net4"}}}},
		"the last address of an interval": {"10.0.0.255", Found{Judgement{Pass: true, Container: c.ID}, []Hit{{Set: "c_000000000001_net4"}}}},
		"the one after it":                {"10.0.1.0", Found{Judgement: Judgement{Reason: Denied, Container: c.ID}}},
		"an address within a box":         {"10.1.0.77", Found{Judgement{Pass: true, Container: c.ID}, []Hit{{Set: "c_000000000001_svc4"}}}},
		"a port beside a box":             {"10.2.0.77", Found{Judgement: Judgement{Reason: Denied, Container: c.ID}}},
		"a name's address":                {"203.0.113.1", Found{Judgement{Pass: true, Container: c.ID}, []Hit{{Set: "c_000000000001_dns4", Name: "www.example.com"}}}},
		"a denied name's address":         {"203.0.113.9", Found{Judgement{Reason: Denied, Container: c.ID}, []Hit{{Set: "default_no_dns4", Deny: true, Name: "bad.example.com"}}}},
		"nothing":                         {"198.51.100.9", Found{Judgement: Judgement{Reason: Denied, Container: c.ID}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := k.Lookup(r, c, []Packet{tcpTo(test.dst)})
			if err != nil || got.Strange != "" {
				t.Fatal(got.Strange, err)
			}
			if diff := cmp.Diff([]Found{test.want}, got.Found); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestLookupSeesWhatAStrangerDid in a table that nobody owns.
func TestLookupSeesWhatAStrangerDid(t *testing.T) {
	r, c := lookupSample()
	for name, test := range map[string]struct {
		does    string // nft(8)
		dst     string
		pass    bool
		strange string
	}{
		"nothing":                          {"", "203.0.113.1", true, ""},
		"an element that is gone":          {"delete element inet dockerwall c_000000000001_dns4 { 203.0.113.1 }", "203.0.113.1", false, ""},
		"an element that is more":          {"add element inet dockerwall c_000000000001_dns4 { 203.0.113.2 }", "203.0.113.2", true, ""},
		"an interval that is more":         {"add element inet dockerwall c_000000000001_net4 { 10.9.0.0/16 }", "10.9.9.9", true, ""},
		"a denial that is gone":            {"flush set inet dockerwall default_no_dns4", "203.0.113.9", false, ""},
		"a container that is led nowhere":  {"delete element inet dockerwall source4 { docker0 . 172.17.0.2 }", "203.0.113.1", false, ""},
		"a rule in the container's chain":  {"insert rule inet dockerwall c_000000000001 accept", "198.51.100.9", false, "chain c_000000000001 "},
		"a rule in the hook":               {"insert rule inet dockerwall forward accept", "198.51.100.9", false, "chain forward "},
		"a chain without rules":            {"flush chain inet dockerwall c_000000000001_deny", "198.51.100.9", false, "chain c_000000000001_deny "},
		"a table that sleeps":              {"add table inet dockerwall { flags dormant; }", "198.51.100.9", false, "dormant"},
		"no table":                         {"delete table inet dockerwall", "198.51.100.9", false, "there is no table"},
		"a bridge that is fenced no more":  {"delete element inet dockerwall bridges { docker0 }", "203.0.113.1", true, ""},
		"a set that somebody else uses it": {"add set inet dockerwall stranger { type ipv4_addr; }", "203.0.113.1", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			n := namespace(t)
			lab.Nft(t, n, "", "add", "table", "inet", TableName) // without an owner, so that a stranger can
			k := open(t, n)
			apply(t, k, r)
			if test.does != "" {
				lab.Nft(t, n, test.does, "-f", "-")
			}
			got, err := k.Lookup(r, c, []Packet{tcpTo(test.dst)})
			if err != nil {
				t.Fatal(err)
			}
			if (test.strange == "") != (got.Strange == "") || !strings.Contains(got.Strange, test.strange) {
				t.Errorf("strange: %q, want %q", got.Strange, test.strange)
			}
			if test.strange == "" && got.Found[0].Pass != test.pass {
				t.Errorf("%+v, want pass %v", got.Found[0], test.pass)
			}
		})
	}
}
