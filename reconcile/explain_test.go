package reconcile

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
)

// asPolicy is a kernel that holds what the ruleset says.
func asPolicy(r nft.Ruleset, packets []nft.Packet) (out nft.Lookup) {
	for _, p := range packets {
		out.Found = append(out.Found, nft.Found{Judgement: r.Judge(p)})
	}
	return out
}

func ask(t testing.TB, container, destination string) Question {
	t.Helper()
	token, err := policy.ParseQuestion(destination)
	if err != nil {
		t.Fatal(err)
	}
	return Question{Container: container, Asks: token, At: time.Unix(1000, 0)}
}

// explained is the answer of a host whose kernel does as its policy says.
func explained(t testing.TB, s scenario, q Question) Explanation {
	t.Helper()
	state, _ := s.state()
	r, _ := build(t, state)
	i, err := Inquire(state, r, q)
	if err != nil {
		t.Fatal(err)
	}
	_, packets := i.Container()
	return i.Explain(asPolicy(r, packets))
}

func (v Verdict) String() string { return [...]string{"undecidable", "allowed", "denied"}[v] }

// shown is an explanation as lines.
func (e Explanation) shown() string {
	var b strings.Builder
	fmt.Fprintln(&b, e.Verdict)
	for _, s := range e.Steps {
		fmt.Fprintf(&b, "%s %s: %s\n", s.Name, s.Result, s.Text)
	}
	for _, line := range [][2]string{{"failed", e.Failed}, {"token", e.Token}, {"remedy", e.Remedy}, {"depends", e.Depends}} {
		if line[1] != "" {
			fmt.Fprintf(&b, "%s: %s\n", line[0], line[1])
		}
	}
	return b.String()
}

// explainWorld is the host of packet tests, where names mean something.
func explainWorld(label, preset string) scenario {
	s := single(label, preset)
	s.Names = packetNames()
	s.Containers[0].State, s.Containers[1].State, s.Containers[2].State = "running", "running", "running"
	return s
}

func TestAnExplanationSaysWhichStepDecides(t *testing.T) {
	for name, test := range map[string]struct {
		label, preset, asks string
		verdict             Verdict
		failed, token       string
		says                []string
	}{
		"a name that the label has": {"www.example.com", "", "www.example.com:443/tcp", Allowed, "", "", []string{`allowed by "www.example.com" (dockerwall.outbound, token 1 at 1)`}},
		"a name by a wildcard, further on in the label": {"192.0.2.7, *.example.com:443", "", "www.example.com:443", Allowed, "", "",
			[]string{`"*.example.com:443" (dockerwall.outbound, token 2 at 12)`}},
		"nothing allows it":                      {"", "", "203.0.113.10:443/tcp", Denied, StepPolicy, "203.0.113.10:443/tcp", []string{"no token allows it"}},
		"a name that nothing allows":             {"", "", "www.example.com:443/tcp", Denied, StepPolicy, "www.example.com:443/tcp", nil},
		"IPv6 with its brackets":                 {"", "", "[2001:db8:1::10]:443/tcp", Denied, StepPolicy, "[2001:db8:1::10]:443/tcp", nil},
		"ping":                                   {"", "", "203.0.113.10/icmp", Denied, StepPolicy, "203.0.113.10/icmp", nil},
		"another port":                           {"www.example.com:443", "", "www.example.com:80/tcp", Denied, StepPolicy, "www.example.com:80/tcp", []string{`"www.example.com:443" (dockerwall.outbound, token 1 at 1) is for another port or protocol`}},
		"a denial":                               {"*.example.com, !www.example.com", "", "www.example.com:443/tcp", Denied, StepPolicy, "", []string{`denied by "!www.example.com" (dockerwall.outbound, token 2 at 16), which beats "*.example.com"`, "take "}},
		"a denial by the default":                {"203.0.113.10", "!203.0.113.0/24", "203.0.113.10:443/tcp", Denied, StepPolicy, "", []string{`"!203.0.113.0/24" (DEFAULT_OUTBOUND)`}},
		"an allow by the default":                {"", "203.0.113.0/24", "203.0.113.10:443/tcp", Allowed, "", "", []string{`"203.0.113.0/24" (DEFAULT_OUTBOUND)`}},
		"a void label":                           {"203.0.113.10, !10.0.0.999", "", "203.0.113.10:443/tcp", Denied, StepPolicy, "", []string{`would allow it, but no allow of the label counts`, `"!10.0.0.999"`}},
		"what is implied":                        {"", "", "198.51.100.53:53/udp", Allowed, "", "", []string{`"_dns_" (implied)`}},
		"the resolvers, asked for as such":       {"", "", "_dns_", Allowed, "", "", nil},
		"the resolvers, taken away":              {"!_dns_", "", "_dns_", Denied, StepPolicy, "", []string{`denied by "!_dns_"`}},
		"a prefix does not open the host":        {"172.17.0.0/16", "", "172.17.0.1:80/tcp", Denied, StepPolicy, "_host_:80/tcp", []string{`172.17.0.1 is this host, which "172.17.0.0/16"`}},
		"the host":                               {"_host_:5432", "", "_host_:5432", Allowed, "", "", nil},
		"the host on another port":               {"_host_:5432", "", "_host_:5433/tcp", Denied, StepPolicy, "_host_:5433/tcp", nil},
		"a name that is this host":               {"host.example.net", "", "host.example.net:80/tcp", Denied, StepDNS, "_host_:80/tcp, [64:ff9b::c633:6401]:80/tcp", []string{"no answer can open 172.17.0.1 (host)", "which _host_ opens"}},
		"a private name by a wildcard":           {"*.example.net", "", "intra.example.net:80/tcp", Denied, StepDNS, "intra.example.net:80/tcp", []string{"(private)", "a name in full can"}},
		"a name on another Docker network":       {"cache.example.net", "", "cache.example.net:80/tcp", Denied, StepDNS, "172.18.0.2:80/tcp", []string{"(docker)"}},
		"a container of another network":         {"172.18.0.0/16", "", "172.18.0.2:80/tcp", Allowed, "", "", []string{"172.18.0.2 is on other: Docker itself keeps bridge networks apart"}},
		"the same, denied":                       {"", "", "172.18.0.2:80/tcp", Denied, StepPolicy, "172.18.0.2:80/tcp", []string{"172.18.0.2 is on other: Docker itself keeps bridge networks apart"}},
		"a neighbour":                            {"", "", "172.17.0.3:80", Allowed, "", "", []string{"172.17.0.3 is on the same network"}},
		"a host's address, in full":              {"172.17.0.1:80", "", "172.17.0.1:80/tcp", Allowed, "", "", []string{"a port that another container publishes"}},
		"a void default":                         {"", "203.0.113.10, !10.0.0.999", "203.0.113.10:443/tcp", Denied, StepPolicy, "203.0.113.10:443/tcp", []string{"of DEFAULT_OUTBOUND no allow counts"}},
		"the host, but for a published port":     {"_host_, !172.18.0.0/16", "", "198.51.100.1:8080/tcp", Allowed, "", "", []string{`publishes, at an address that "!172.18.0.0/16"`}},
		"not the host, but a published port":     {"172.18.0.2:80/tcp", "", "198.51.100.1:8080/tcp", Denied, StepPolicy, "_host_:8080/tcp", []string{`publishes, at an address that "172.18.0.2:80/tcp"`}},
		"itself":                                 {"", "", "172.17.0.2:80", Allowed, "", "", []string{"the container itself"}},
		"a group":                                {"", "", "224.0.0.251:5353/udp", Allowed, "", "", []string{"stays on the container's networks"}},
		"an address that another name has":       {"www.example.com", "", "203.0.113.10:443", Allowed, "", "", nil},
		"a port of either protocol":              {"203.0.113.10:443/tcp", "", "203.0.113.10:443", Undecidable, "", "203.0.113.10:443", []string{"203.0.113.10:443/tcp is allowed, 203.0.113.10:443/udp is not"}},
		"any port where one is allowed":          {"203.0.113.10:443", "", "203.0.113.10", Undecidable, "", "203.0.113.10", []string{"on port and protocol"}},
		"any port where all are":                 {"203.0.113.10", "", "203.0.113.10", Allowed, "", "", nil},
		"any port where none is":                 {"203.0.113.11", "", "203.0.113.10", Denied, StepPolicy, "203.0.113.10", nil},
		"ports of which the last is not":         {"203.0.113.10:8000-8079", "", "203.0.113.10:8000-8080/tcp", Undecidable, "", "203.0.113.10:8000-8080/tcp", []string{":8000/tcp is allowed", ":8080/tcp is not"}},
		"addresses that come out differently":    {"203.0.113.16", "", "mix.example.net:80/tcp", Undecidable, "", "_host_:80/tcp", []string{"on the address: 203.0.113.16 is allowed, 198.51.100.1 is not"}},
		"any address, on a port that nothing":    {"203.0.113.10:80", "", ":443/tcp", Denied, StepPolicy, "", []string{"no token allows it", "name the destination"}},
		"any address, on a port that something":  {"203.0.113.10:443", "", ":443/tcp", Undecidable, "", "", []string{"on the address"}},
		"nothing does, for a mistake":            {"192.0.2.7, 203.0.113.10:99999", "", "203.0.113.10:443/tcp", Denied, StepPolicy, "203.0.113.10:443/tcp", []string{`its labels have a mistake: error in dockerwall.outbound at 24, "203.0.113.10:99999"`}},
		"a name that nothing has, for a mistake": {"x..y", "", "new.example.org:443", Denied, StepPolicy, "new.example.org:443", []string{`its labels have a mistake: error in dockerwall.outbound at 1, "x..y"`}},
		"any address, where everything is":       {"*", "", ":443/tcp", Allowed, "", "", []string{`"*"`}},
		"any address, with a denial":             {"*, !10.0.0.0/8", "", ":443/tcp", Undecidable, "", "", nil},
		"a name without an address, allowed":     {"new.example.org:443", "", "new.example.org:443/tcp", Denied, StepDNS, "", []string{"it has no address", "allows the name"}},
		"a name without an address":              {"", "", "new.example.org:443", Denied, StepPolicy, "new.example.org:443", []string{"it has no address"}},
		"a name without an address, but a star":  {"_internet_", "", "new.example.org:443", Undecidable, "", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			e := explained(t, explainWorld(test.label, test.preset), ask(t, "web", test.asks))
			if e.Verdict != test.verdict || e.Failed != test.failed || e.Token != test.token {
				t.Errorf("%v, failed %q, token %q; want %v, %q, %q", e.Verdict, e.Failed, e.Token, test.verdict, test.failed, test.token)
			}
			for _, words := range test.says {
				if !strings.Contains(e.shown(), words) {
					t.Errorf("it lacks %q", words)
				}
			}
			if t.Failed() {
				t.Log(e.shown())
			}
		})
	}
}

func TestAnExplanationKnowsWhereNothingIsFenced(t *testing.T) {
	for name, test := range map[string]struct {
		change  func(*scenario)
		verdict Verdict
		failed  string
		says    string
	}{
		"the host's network": {func(s *scenario) { s.Containers[0].NetworkMode, s.Networks[0].Endpoints = "host", nil }, Allowed, "", "the host's own network"},
		"another's network": {func(s *scenario) {
			s.Containers = append(s.Containers, scenarioContainer{Name: "guest", NetworkMode: "container:" + idOr("", "web"), State: "running"})
		}, Denied, StepPolicy, "shares the network of web"},
		"no network":                   {func(s *scenario) { s.Containers[0].NetworkMode, s.Networks[0].Endpoints = "none", nil }, Denied, StepNetwork, "it has no network"},
		"a network that is left alone": {func(s *scenario) { s.GatewayNetworks = "!bridge" }, Allowed, "", "left alone (GATEWAY_NETWORKS)"},
		"a second one that is": {func(s *scenario) {
			s.GatewayNetworks = "!other"
			s.Networks[1].Endpoints["web"] = addrs("172.18.0.7")
		}, Undecidable, "", "on other nothing is fenced"},
		"audit":       {func(s *scenario) { s.Containers[0].Labels["dockerwall.mode"] = "audit" }, Allowed, "", "would be denied: no token allows it"},
		"off":         {func(s *scenario) { s.Containers[0].Labels["dockerwall.mode"] = "off" }, Allowed, "", "off: nothing is denied"},
		"a dry run":   {func(s *scenario) { s.DryRun = true }, Allowed, "", "DRY_RUN"},
		"IPv6 absent": {func(s *scenario) { s.Networks[0].Endpoints["web"] = addrs("fd00:17::2") }, Denied, StepNetwork, "no IPv4 address"},
	} {
		t.Run(name, func(t *testing.T) {
			s := explainWorld("", "")
			test.change(&s)
			container := "web"
			if name == "another's network" {
				container = "guest"
			}
			e := explained(t, s, ask(t, container, "203.0.113.10:443/tcp"))
			if e.Verdict != test.verdict || e.Failed != test.failed || !strings.Contains(e.shown(), test.says) {
				t.Errorf("want %v, failed %q, and %q; got %s", test.verdict, test.failed, test.says, e.shown())
			}
		})
	}
}

func TestAnExplanationSaysWhenAnotherNameOpensTheAddress(t *testing.T) {
	s := explainWorld("a.b.example.com", "")
	s.Names["cdn.example.org"] = addrs("203.0.113.11")
	e := explained(t, s, ask(t, "web", "cdn.example.org:443"))
	if e.Verdict != Allowed || !strings.Contains(e.shown(), "no token names cdn.example.org: it is open because") || !strings.Contains(e.shown(), `"a.b.example.com"`) {
		t.Error(e.shown())
	}
}

// TestANameNobodyAskedForIsAskedNow: what it means now decides nothing, but says what would be.
func TestANameNobodyAskedForIsAskedNow(t *testing.T) {
	for name, test := range map[string]struct {
		label   string
		now     []netip.Addr
		verdict Verdict
		says    string
	}{
		"that a wildcard allows":                         {"*.new.example", addrs("203.0.113.200"), Undecidable, "on whether the container asks for the name"},
		"that nothing allows":                            {"", addrs("203.0.113.200"), Denied, "token: x.new.example:443/tcp"},
		"that a wildcard denies":                         {"*, !*.new.example", addrs("203.0.113.200"), Undecidable, `"!*.new.example" (dockerwall.outbound, token 2 at 4) closes its addresses`},
		"that a wildcard denies on another port":         {"*, !*.new.example:80", addrs("203.0.113.200"), Allowed, "now it means"},
		"that a prefix allows":                           {"203.0.113.0/24", addrs("203.0.113.200"), Allowed, "now it means 203.0.113.200"},
		"that the wildcard must not open, being private": {"*.new.example", addrs("10.1.1.1"), Denied, "(private)"},
		"that does not exist":                            {"*.new.example", nil, Denied, "NXDOMAIN"},
	} {
		t.Run(name, func(t *testing.T) {
			state, _ := explainWorld(test.label, "").state()
			r, _ := build(t, state)
			q := ask(t, "web", "x.new.example:443/tcp")
			i, err := Inquire(state, r, q)
			if err != nil || i.Asks() != "x.new.example" {
				t.Fatal(i.Asks(), err)
			}
			if q.Now = test.now; q.Now == nil {
				q.Failure = "x.new.example does not exist (NXDOMAIN)"
			}
			if i, err = Inquire(state, r, q); err != nil || i.Asks() != "" {
				t.Fatal(i.Asks(), err)
			}
			_, packets := i.Container()
			e := i.Explain(asPolicy(r, packets))
			if e.Verdict != test.verdict || !strings.Contains(e.shown(), test.says) {
				t.Errorf("want %v and %q, got %s", test.verdict, test.says, e.shown())
			}
		})
	}
}

func TestAKernelThatDisagreesLeavesItUndecided(t *testing.T) {
	state, _ := explainWorld("203.0.113.10", "").state()
	r, _ := build(t, state)
	for name, test := range map[string]struct {
		asks string
		held func([]nft.Packet) nft.Lookup
		says string
	}{
		"an element is missing": {"203.0.113.10:443/tcp", func(p []nft.Packet) nft.Lookup { return asPolicy(nft.Ruleset{Bridges: r.Bridges}, p) }, "and the kernel does not"},
		"one is too many":       {"203.0.113.11:443/tcp", func(p []nft.Packet) nft.Lookup { return asPolicy(nft.Ruleset{}, p) }, "and the kernel lets it pass"},
		"a rule is strange":     {"203.0.113.10:443/tcp", func(p []nft.Packet) nft.Lookup { l := asPolicy(r, p); l.Strange = "chain x"; return l }, "chain x"},
		"without an address":    {":443/tcp", func(p []nft.Packet) nft.Lookup { return nft.Lookup{Strange: "there is no table"} }, "there is no table"},
	} {
		t.Run(name, func(t *testing.T) {
			i, err := Inquire(state, r, ask(t, "web", test.asks))
			if err != nil {
				t.Fatal(err)
			}
			_, packets := i.Container()
			e := i.Explain(test.held(packets))
			if e.Verdict != Undecidable || !e.Differs || e.Failed != StepKernel || !strings.Contains(e.Depends, test.says) {
				t.Error(e.shown())
			}
		})
	}
}

func TestAContainerIsFoundByNameOrTheBeginningOfItsID(t *testing.T) {
	s := explainWorld("", "")
	s.Containers = append(s.Containers,
		scenarioContainer{Name: "twin1", ID: id("abcabcabcab1"), State: "running"}, scenarioContainer{Name: "twin2", ID: id("abcabcabcab2"), State: "running"},
		scenarioContainer{Name: "gone", State: "exited"})
	state, _ := s.state()
	r, _ := Build(state)
	for name, test := range map[string]struct{ container, finds, says string }{
		"a name":                 {"web", "web", ""},
		"an ID's beginning":      {"abcabcabcab2", "twin2", ""},
		"one that fits several":  {"abc", "", `"twin1" (abcabcabcab1), "twin2" (abcabcabcab2)`},
		"nobody":                 {"nobody", "", "no such container"},
		"nothing":                {"", "", "no such container"},
		"one that has ended":     {"gone", "", "has ended (exited)"},
		"what a terminal fears":  {"\x1b[2Jweb", "", `\x1b[2Jweb`},
		"a beginning not of IDs": {"we", "", "no such container"},
	} {
		t.Run(name, func(t *testing.T) {
			i, err := Inquire(state, r, ask(t, test.container, "203.0.113.10"))
			if (err == nil) != (test.says == "") || err != nil && (!strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "\x1b")) {
				t.Fatalf("%v, want %q", err, test.says)
			}
			if err == nil && i.out.Container.Name != test.finds {
				t.Errorf("found %s", i.out.Container.Name)
			}
			if err != nil && name != "one that fits several" && !errors.Is(err, ErrNoContainer) {
				t.Errorf("%v is not ErrNoContainer", err)
			}
		})
	}
}
