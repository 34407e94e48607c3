package reconcile

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
)

func TestWhatIsLearnedBeneathWildcards(t *testing.T) {
	known := map[string]beneath{
		"example.com":   {"www.example.com": addrs("203.0.113.10", "2001:db8:1::10"), "x.b.example.com": addrs("203.0.113.11")},
		"b.example.com": {"x.b.example.com": addrs("203.0.113.11")},
		"example.net":   {"www.example.net": addrs("203.0.113.12")},
	}
	for name, test := range map[string]struct {
		label, preset string
		below         map[string]beneath // known, unless given
		denied        map[string]beneath
		unknown       []string // denied wildcards
		private       []string
		pass, deny    []string
		problems      []string // tokens
	}{
		"is open to it, whatever the protocol": {
			label: "*.example.com", pass: []string{"forward 203.0.113.10:443/tcp", "forward 203.0.113.11:53/udp", "forward 203.0.113.10/icmp", "forward [2001:db8:1::10]:443/tcp"},
			deny: []string{"forward 203.0.113.12:443/tcp", "input 203.0.113.10:443/tcp"},
		},
		"is open as far as its clause goes": {
			label: "*.example.com:443/tcp", pass: []string{"forward 203.0.113.10:443/tcp"}, deny: []string{"forward 203.0.113.10:443/udp", "forward 203.0.113.10:80/tcp"},
		},
		"belongs to each wildcard above": {
			label: "*.example.com:443, *.b.example.com:80, *.example.net/udp", pass: []string{"forward 203.0.113.11:443/tcp", "forward 203.0.113.11:80/tcp", "forward 203.0.113.10:443/tcp", "forward 203.0.113.12:1/udp"},
			deny: []string{"forward 203.0.113.10:80/tcp", "forward 203.0.113.12:443/tcp", "forward 203.0.113.11:1/udp"},
		},
		"is not for those who do not ask": {
			label: "*.org, www.example.com, example.com", deny: []string{"forward 203.0.113.10:443/tcp", "forward 203.0.113.11:443/tcp"},
		},
		"is open to all when the default asks": {
			preset: "*.example.com:443", pass: []string{"forward 203.0.113.10:443/tcp"}, deny: []string{"forward 203.0.113.10:80/tcp"},
		},
		"opens nothing that is guarded, and says nothing of it": {
			label: "*.example.com",
			below: map[string]beneath{"example.com": {"x.example.com": addrs("10.9.9.9", "198.51.100.1", "172.17.0.1", "172.18.0.2", "169.254.169.254", "64:ff9b::c633:6401", "127.0.0.1", "203.0.113.10")}},
			pass:  []string{"forward 203.0.113.10:1/tcp"},
			deny: []string{"forward 10.9.9.9:1/tcp", "forward 198.51.100.1:1/tcp", "input 198.51.100.1:1/tcp", "input 172.17.0.1:1/tcp", "forward 172.18.0.2:1/tcp", "forward 169.254.169.254:80/tcp",
				"forward [64:ff9b::c633:6401]:1/tcp"},
		},
		"is private where the operator says so": {
			label: "*.corp.example, *.example.com", private: []string{"corp.example"},
			below: map[string]beneath{"corp.example": {"db.corp.example": addrs("10.9.9.9", "172.18.0.2")}, "example.com": {"x.example.com": addrs("10.1.1.1")}},
			pass:  []string{"forward 10.9.9.9:1/tcp"}, deny: []string{"forward 172.18.0.2:1/tcp", "forward 10.1.1.1:1/tcp"},
		},
		"is denied to who denies it, whatever else allows it": {
			label: "*, _host_, !*.example.com", denied: map[string]beneath{"example.com": {"x.example.com": addrs("203.0.113.66", "172.17.0.1", "2001:db8:1::66"), "y.example.com": addrs("203.0.113.67")}},
			pass: []string{"forward 203.0.113.10:1/tcp"}, deny: []string{"forward 203.0.113.66:1/tcp", "forward 203.0.113.67:1/tcp", "input 172.17.0.1:80/tcp", "forward [2001:db8:1::66]:1/tcp"},
		},
		"is denied as far as the clause goes": {
			label: "*, !*.example.com:443", denied: map[string]beneath{"example.com": {"x.example.com": addrs("203.0.113.66")}},
			pass: []string{"forward 203.0.113.66:80/tcp"}, deny: []string{"forward 203.0.113.66:443/udp"},
		},
		"is denied to all when the default denies it": {
			label: "203.0.113.66, *.example.com", preset: "!*.example.com:443", denied: map[string]beneath{"example.com": {"x.example.com": addrs("203.0.113.66")}},
			pass: []string{"forward 203.0.113.66:80/tcp", "forward 203.0.113.10:443/tcp"}, deny: []string{"forward 203.0.113.66:443/tcp"},
		},
		"is denied beneath a narrower wildcard only": {
			label: "*.example.com, !*.b.example.com", denied: map[string]beneath{"b.example.com": {"x.b.example.com": addrs("203.0.113.11")}},
			pass: []string{"forward 203.0.113.10:1/tcp"}, deny: []string{"forward 203.0.113.11:1/tcp"},
		},
		"withholds what stands beside the denial when it is too much": {
			label: "192.0.2.7, *, *.example.com, _host_, !*.example.net", preset: "192.0.2.8", unknown: []string{"*.example.net"},
			pass: []string{"forward 192.0.2.8:1/tcp", "forward 198.51.100.53:53/udp"}, deny: []string{"forward 192.0.2.7:1/tcp", "forward 203.0.113.10:443/tcp", "input 172.17.0.1:80/tcp"},
			problems: []string{"!*.example.net"},
		},
		"withholds what the default allows when it is too much of the default's": {
			label: "192.0.2.7", preset: "192.0.2.8, !*.example.net:25", unknown: []string{"*.example.net"},
			pass: []string{"forward 192.0.2.7:1/tcp"}, deny: []string{"forward 192.0.2.8:1/tcp"}, problems: []string{"!*.example.net"},
		},
		"withholds nothing when it is too much of what nobody here denies": {
			label: "192.0.2.7, !*.example.com", unknown: []string{"*.example.net"}, pass: []string{"forward 192.0.2.7:1/tcp"},
		},
		"of which there are too many denies those that are remembered, also what others allow": {
			label: "*", preset: "203.0.113.9, !*.example.net", unknown: []string{"*.example.net"},
			denied: map[string]beneath{"example.net": {"x.example.net": addrs("203.0.113.66")}},
			pass:   []string{"forward 203.0.113.67:1/tcp"}, deny: []string{"forward 203.0.113.66:1/tcp"}, problems: []string{"!*.example.net"},
		},
		"withholds nothing when it is none, or was not heard of": {
			label: "192.0.2.7, !*.example.com, !*.example.net", denied: map[string]beneath{"example.com": nil}, pass: []string{"forward 192.0.2.7:1/tcp"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := single(test.label, test.preset)
			s.Below, s.DeniedBelow, s.Unknown, s.PrivateNames = known, test.denied, test.unknown, test.private
			if test.below != nil {
				s.Below = test.below
			}
			state, _ := s.state()
			r, problems := build(t, state)
			for want, packets := range map[bool][]string{true: test.pass, false: test.deny} {
				for _, text := range packets {
					if r.Judge(parsePacket(t, text)).Pass != want {
						t.Errorf("%s: pass %v", text, !want)
					}
				}
			}
			var tokens []string
			for _, p := range problems {
				if p.Severity == policy.Error || p.Label == "" { // or of a name
					tokens = append(tokens, p.Token)
				}
			}
			if diff := cmp.Diff(test.problems, tokens); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnAddressStandsOnceInItsSet(t *testing.T) {
	s := single("www.example.com, *.example.com, *.b.example.com, !www.example.com:25, !*.example.com:25", "")
	shared := addrs("203.0.113.10", "203.0.113.11")
	s.Names = map[string]addrList{"www.example.com": shared, "a.b.example.com": shared}
	s.Below = map[string]beneath{"example.com": {"x.b.example.com": shared, "www.example.com": shared}, "b.example.com": {"x.b.example.com": shared}}
	s.DeniedBelow, s.Denied = s.Below, map[string]addrList{"www.example.com": shared}
	state, _ := s.state()
	r, _ := build(t, state)
	want := []nft.NamedAddr{{Addr: shared[0], Name: "a.b.example.com"}, {Addr: shared[1], Name: "a.b.example.com"}}
	for _, names := range [][]nft.NameSet{r.Containers[0].Own.Allow.Names, r.Containers[0].Own.Deny.Names} {
		if len(names) != 1 || !slices.Equal(names[0].Addrs, want) {
			t.Errorf("sets %v, want one of %v", names, want)
		}
	}
}

func TestAFloodBeneathADeniedWildcardIsTold(t *testing.T) {
	s := single("192.0.2.7, !*.evil.example", "")
	s.Unknown = []string{"*.evil.example"}
	state, _ := s.state()
	_, problems := build(t, state)
	want := `error in dockerwall.outbound, "!*.evil.example": more addresses were heard of beneath the denied wildcard than can be remembered; no allow of this label counts; deny the addresses themselves`
	if p := only(t, problems); p.Container != "web" || p.Problem.String() != want {
		t.Errorf("%s: %s", p.Container, p.Problem)
	}
}

// drawBelow is anything that may be said to be learned, also what no resolver would say.
func drawBelow(t *rapid.T, what string) map[string]beneath {
	odd := append(addrs("::ffff:203.0.113.10", "fe80::1%eth0", "127.0.0.1", "::", "224.0.0.1", "fd00:17::9"), netip.Addr{})
	all := slices.Concat(addrs("192.0.2.7", "192.0.2.8", "203.0.113.10", "203.0.113.11", "203.0.113.12", "2001:db8:1::10", "10.9.9.9", "198.51.100.1", "172.17.0.1", "172.18.0.2", "9.9.9.9"), odd)
	out := map[string]beneath{}
	for _, parent := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{"example.com", "b.example.com", "example.net", "com", ""}), rapid.ID[string]).Draw(t, what) {
		out[parent] = beneath{}
		for _, label := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{"www", "a.b", "x"}), rapid.ID[string]).Draw(t, "names") {
			out[parent][label+"."+parent] = rapid.SliceOfN(rapid.SampledFrom(all), 0, 5).Draw(t, "addresses")
		}
	}
	return out
}

// more is a and b together.
func more(a, b map[string]beneath) map[string]beneath {
	out := map[string]beneath{}
	for _, from := range []map[string]beneath{a, b} {
		for parent, names := range from {
			if out[parent] == nil {
				out[parent] = beneath{}
			}
			for name, addrs := range names {
				out[parent][name] = slices.Concat(out[parent][name], addrs)
			}
		}
	}
	return out
}

func TestWhatIsLearnedWidensByItsWildcardsAlone(t *testing.T) {
	packets := worldPackets(t)
	rapid.Check(t, func(rt *rapid.T) {
		label, preset := join(insert(rt, drawText(rt, "label"), "*.example.com:443")), join(insert(rt, drawText(rt, "default"), "!*.b.example.com"))
		rules := func(below, denied map[string]beneath, unknown ...string) nft.Ruleset {
			s := single(label, preset)
			s.Names, s.Below, s.DeniedBelow, s.Unknown = packetNames(), below, denied, unknown
			state, _ := s.state()
			r, _ := build(t, state)
			return r
		}
		below, denied := drawBelow(rt, "below"), drawBelow(rt, "denied")
		was, less := rules(below, denied), nft.Ruleset{}
		what := rapid.SampledFrom([]string{"nothing learned", "more that is denied", "somebody else's wildcards", "more before it was learned", "a flood"}).Draw(rt, "what")
		switch what {
		case "nothing learned":
			less = rules(nil, denied)
		case "more that is denied":
			less = rules(below, more(denied, drawBelow(rt, "denied too")))
		case "somebody else's wildcards":
			nobodys := map[string]beneath{"nobody.example": {"x.nobody.example": addrs("192.0.2.6")}}
			less = rules(more(below, nobodys), more(denied, nobodys), "*.nobodyelse.example")
		case "more before it was learned":
			was, less = rules(more(below, drawBelow(rt, "learned since")), denied), was
		case "a flood": // after nothing was heard of what is denied
			was, less = rules(below, nil), rules(below, nil, "*.b.example.com", "*.example.com", "*.example.net", "*.com")
		}
		if p := widened(packets, was, less); p != "" {
			rt.Fatalf("%s lets through: %s", what, p)
		}
	})
}
