package reconcile

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/resolver"
)

func TestDeniedNames(t *testing.T) {
	const resolver = "forward 198.51.100.53:53/udp"
	for name, test := range map[string]struct {
		label, preset string
		denied        map[string]addrList
		unknown       []string
		pass, deny    []string
		problems      []string // tokens
	}{
		"nothing that stands beside an unknown denial counts, but for the resolvers": {
			label: "*, 192.0.2.7, _host_, example.com, _dns_, !evil.example", unknown: []string{"evil.example"},
			pass: []string{resolver}, deny: []string{"forward 203.0.113.66:443/tcp", "forward 192.0.2.7:1/tcp", "input 172.17.0.1:80/tcp", "forward 203.0.113.12:1/tcp", "forward 198.51.100.53:80/tcp"},
			problems: []string{"!evil.example"},
		},
		"what the name means already is denied whatever else is allowed": {
			label: "!www.example.com:443", preset: "*", unknown: []string{"www.example.com"},
			pass: []string{"forward 203.0.113.10:80/tcp"}, deny: []string{"forward 203.0.113.10:443/tcp"}, problems: []string{"!www.example.com"},
		},
		"nor does what stands beside it in the default, and the label does": {
			label: "192.0.2.7", preset: "192.0.2.8, !evil.example", unknown: []string{"evil.example"},
			pass: []string{resolver, "forward 192.0.2.7:1/tcp"}, deny: []string{"forward 192.0.2.8:1/tcp"}, problems: []string{"!evil.example"},
		},
		"the label's denial is its own affair": {
			label: "192.0.2.7, !evil.example", preset: "192.0.2.8", unknown: []string{"evil.example"},
			pass: []string{"forward 192.0.2.8:1/tcp"}, deny: []string{"forward 192.0.2.7:1/tcp"}, problems: []string{"!evil.example"},
		},
		"each unknown name is told once": {
			label: "*, !evil.example, !evil.example:25, !evil.example:443/tcp, !worse.example, !www.example.com", unknown: []string{"evil.example", "worse.example"},
			deny: []string{"forward 192.0.2.7:1/tcp"}, problems: []string{"!evil.example", "!worse.example"},
		},
		"a name that is known to have no addresses denies none": {
			label: "*, !evil.example", pass: []string{"forward 203.0.113.66:443/tcp"},
		},
		"an address that the name had once is denied": {
			label: "*, !evil.example, !www.example.com:443/tcp", denied: map[string]addrList{"evil.example": addrs("203.0.113.66"), "www.example.com": addrs("203.0.113.67")},
			pass: []string{"forward 203.0.113.67:80/tcp", "forward 203.0.113.10:80/tcp"},
			deny: []string{"forward 203.0.113.66:443/tcp", "forward 203.0.113.67:443/tcp", "forward 203.0.113.10:443/tcp"},
		},
		"what is denied is not guarded": {
			label: "*, !evil.example", denied: map[string]addrList{"evil.example": addrs("172.17.0.1", "169.254.169.254")},
			deny: []string{"input 172.17.0.1:80/tcp", "forward 169.254.169.254:80/tcp"},
		},
		"an address that a denied name had once is not allowed by that name": {
			label: "www.example.com:443, *.example.com:443, !www.example.com:25", denied: map[string]addrList{"www.example.com": addrs("203.0.113.67")},
			pass: []string{"forward 203.0.113.10:443/tcp"}, deny: []string{"forward 203.0.113.67:443/tcp"},
		},
		"a denied wildcard takes what names beneath it had once": {
			label: "*, !*.example.com", preset: "!www.example.com:25/tcp, !new.example.com:25/tcp",
			denied: map[string]addrList{"www.example.com": addrs("203.0.113.67"), "new.example.com": addrs("203.0.113.68"), "example.com": addrs("203.0.113.69")},
			pass:   []string{"forward 203.0.113.69:443/tcp"}, deny: []string{"forward 203.0.113.10:443/tcp", "forward 203.0.113.67:443/tcp", "forward 203.0.113.68:443/tcp"},
		},
		"a denied wildcard withholds nothing": {
			label: "*, !*.example", unknown: []string{"evil.example"}, pass: []string{"forward 192.0.2.7:1/tcp"},
		},
		"a name that somebody else denies withholds nothing": {
			label: "*", preset: "!www.example.com", unknown: []string{"evil.example"}, pass: []string{"forward 192.0.2.7:1/tcp"}, deny: []string{"forward 203.0.113.10:443/tcp"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := single(test.label, test.preset)
			s.Names, s.Denied, s.Unknown = packetNames(), test.denied, test.unknown
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
				if p.Severity == policy.Error {
					tokens = append(tokens, p.Token)
				}
			}
			if diff := cmp.Diff(test.problems, tokens); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnUnknownDenialSaysWhatToDo(t *testing.T) {
	for name, test := range map[string]struct{ label, preset, container, want string }{
		"in a label": {"192.0.2.7, !evil.example", "", "web",
			`error in dockerwall.outbound, "!evil.example": the denied name's addresses are not known yet, or are too many to remember; no allow of this label counts until a resolver answers; check the name and the resolvers, or deny the address itself`},
		"in the default": {"", "192.0.2.7, !evil.example", "",
			`error in DEFAULT_OUTBOUND, "!evil.example": the denied name's addresses are not known yet, or are too many to remember; no allow of DEFAULT_OUTBOUND counts until a resolver answers; check the name and the resolvers, or deny the address itself`},
	} {
		t.Run(name, func(t *testing.T) {
			s := single(test.label, test.preset)
			s.Unknown = []string{"evil.example"}
			state, _ := s.state()
			_, problems := build(t, state)
			if p := only(t, problems); p.Container != test.container || p.Problem.String() != test.want {
				t.Errorf("%s: %s", p.Container, p.Problem)
			}
		})
	}
}

func TestWhatIsNotKnownOfDeniedNamesNeverWidens(t *testing.T) {
	packets := worldPackets(t)
	exact := []string{"www.example.com", "example.com", "host.example.net", "mix.example.net", "meta.example.net", "intra.example.net"}
	rapid.Check(t, func(rt *rapid.T) {
		label, preset := drawText(rt, "label"), drawText(rt, "default")
		for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom(exact), rapid.ID[string]).Draw(rt, "denied") {
			label = insert(rt, label, "!"+name)
		}
		drawn := func(what string) []string {
			return rapid.SliceOfDistinct(rapid.SampledFrom(exact), rapid.ID[string]).Draw(rt, what)
		}
		rules := func(label, preset []string, unknown []string, denied map[string]addrList) nft.Ruleset {
			s := single(join(label), join(preset))
			s.Names, s.Unknown, s.Denied = packetNames(), unknown, denied
			state, _ := s.state()
			r, _ := build(t, state)
			return r
		}
		unknown := drawn("unknown")
		was := rules(label, preset, unknown, nil)
		more := map[string]addrList{}
		for _, name := range drawn("had once") {
			more[name] = rapid.SliceOf(rapid.SampledFrom(addrs("192.0.2.7", "203.0.113.11", "10.9.9.9", "172.17.0.1", "2001:db8:1::10", "9.9.9.9"))).Draw(rt, name)
		}
		deny := "!" + rapid.SampledFrom(goodTokens()).Draw(rt, "deny")
		for what, less := range map[string]nft.Ruleset{
			"less knowledge":         rules(label, preset, slices.Concat(unknown, drawn("unknown too")), nil),
			"an address had once":    rules(label, preset, unknown, more),
			"a denial in the label":  rules(insert(rt, label, deny), preset, unknown, nil),
			"a denial everywhere":    rules(label, insert(rt, preset, deny), unknown, nil),
			"nothing known of names": rules(label, preset, exact, nil),
		} {
			if p := widened(packets, was, less); p != "" {
				rt.Fatalf("%s lets through: %s", what, p)
			}
		}
	})
}

// learning is a resolver that is told what it knows.
type learning struct {
	knowing
	denied map[string][]netip.Addr
	wanted resolver.Wanted
}

func (l *learning) Want(w resolver.Wanted)          { l.wanted = w }
func (l *learning) Denied() map[string][]netip.Addr { return l.denied }

func TestGatherAsksForDeniedNamesAndFencesUntilTheyAreKnown(t *testing.T) {
	g, _ := gathering(t, "*, www.example.com, !evil.example")
	r := &learning{knowing: knowing{}}
	g.Resolver = r
	for _, step := range []struct {
		what   string
		denied addrList
		pass   bool // to 203.0.113.67
	}{
		{"not answered", nil, false},
		{"no such name", addrList{}, true},
		{"other addresses", addrs("203.0.113.66"), true},
		{"this address too", addrs("203.0.113.66", "203.0.113.67"), false},
		{"lost", nil, false},
	} {
		r.denied = map[string][]netip.Addr{"evil.example": step.denied}
		pass, problems := passes(t, g, "203.0.113.67:443/tcp")
		isUnknown := func(p Problem) bool { return strings.Contains(p.Message, "not known yet") }
		if pass != step.pass || slices.ContainsFunc(problems, isUnknown) != (step.denied == nil) {
			t.Errorf("%s: pass %v\n%s", step.what, pass, problemText(problems))
		}
	}
	if diff := cmp.Diff([][]string{{"www.example.com"}, {"evil.example"}}, [][]string{r.wanted.Allow, r.wanted.Deny}); diff != "" {
		t.Errorf("wanted (-want +got):\n%s", diff)
	}
}
