package status

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/reconcile"
	"github.com/dockerwall/dockerwall/resolver"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func id(n int) string { return fmt.Sprintf("%012x%052d", n, 0) }

// outcome is what a run comes to on a host with network "web" and these containers on it, in order.
func outcome(state reconcile.State, containers ...docker.Container) reconcile.Outcome {
	network := docker.Network{ID: id(0xabc), Name: "web", Driver: "bridge", Bridge: "br-web", Subnets: []netip.Prefix{netip.MustParsePrefix("172.18.0.0/16")}}
	for i, c := range containers {
		c.ID, c.State = id(i+1), "running"
		if c.NetworkMode == "" {
			c.NetworkMode, c.Networks = "web", []string{network.ID}
			network.Endpoints = append(network.Endpoints, docker.Endpoint{ContainerID: c.ID, IPv4: netip.AddrFrom4([4]byte{172, 18, byte((i + 2) >> 8), byte(i + 2)})})
		}
		state.Docker.Containers = append(state.Docker.Containers, c)
	}
	state.Docker.Networks = append(state.Docker.Networks, network)
	out := reconcile.Outcome{State: state, At: now}
	out.Ruleset, out.Problems = reconcile.Build(state)
	return out
}

func labelled(name, outbound string) docker.Container {
	return docker.Container{Name: name, Labels: map[string]string{policy.LabelOutbound: outbound}}
}

func TestStateAndWhatDegradesIt(t *testing.T) {
	preset := func(text string) (s reconcile.State) {
		s.Config.Default, _ = policy.Parse(text)
		return s
	}
	dry := preset("")
	dry.Config.DryRun = true
	failed := outcome(preset(""))
	failed.Err = errors.New("list containers: no")
	many := []docker.Container{}
	for i := range 30 {
		many = append(many, labelled(fmt.Sprintf("c%02d", i), "1.2.3.4.5"))
	}
	beside := outcome(preset(""))
	for i := range 30 {
		beside.Problems = append(beside.Problems, reconcile.Problem{Container: fmt.Sprint("c", i), Degrades: true, Problem: policy.Problem{Severity: policy.Warning, Message: "a way out", Token: "lan"}})
	}
	for name, test := range map[string]struct {
		in    Input
		state api.State
		want  []string // the beginnings of the sentences
	}{
		"a whole one":                  {Input{Outcome: outcome(preset("")), Good: true}, api.Enforcing, []string{}},
		"a dry run":                    {Input{Outcome: outcome(dry), Good: true}, api.DryRun, []string{}},
		"before the first run":         {Input{Reasons: []string{"the Engine"}}, api.Failing, []string{"the Engine"}},
		"a table that is not in place": {Input{Outcome: failed, Good: true, Reasons: []string{"list"}}, api.Failing, []string{"list"}},
		"a label's mistake":            {Input{Outcome: outcome(preset(""), labelled("web", "1.2.3.4.5")), Good: true}, api.Enforcing, []string{"1 error to correct (web)"}},
		"many labels' mistakes":        {Input{Outcome: outcome(preset(""), many...), Good: true}, api.Enforcing, []string{"30 errors to correct (c00, c01, c02 and 27 more)"}},
		"a warning alone":              {Input{Outcome: outcome(preset(""), labelled("web", "10.0.0.1/8")), Good: true}, api.Enforcing, []string{}},
		"a setting's mistake": {Input{Outcome: outcome(preset("")), Good: true, Host: []policy.Problem{{Severity: policy.Error, Label: "DEFAULT_OUTBOUND"}}},
			api.Enforcing, []string{"1 error to correct"}},
		"ways past the fence": {Input{Outcome: beside, Good: true}, api.Enforcing,
			append(strings.Split(strings.Repeat("c: a way out (lan)\n", 20), "\n")[:20], "and 10 more; see the findings")},
	} {
		t.Run(name, func(t *testing.T) {
			s := Take(test.in)
			if s.State != test.state || len(s.Degraded) != len(test.want) || s.Degraded == nil || s.Containers == nil {
				t.Fatalf("%s: %q", s.State, s.Degraded)
			}
			for i, reason := range s.Degraded {
				if want := test.want[i]; !strings.HasPrefix(reason, want) && !strings.HasSuffix(reason, strings.TrimPrefix(want, "c")) {
					t.Errorf("%q, want %q", reason, want)
				}
			}
		})
	}
}

// known is what the resolver says in these tests: "name=address+minutes …".
func known(text string) map[string][]resolver.Lease {
	out := map[string][]resolver.Lease{}
	for _, word := range strings.Fields(text) {
		name, rest, _ := strings.Cut(word, "=")
		addr, minutes, _ := strings.Cut(rest, "+")
		var n int
		_, _ = fmt.Sscan(minutes, &n)
		out[name] = append(out[name], resolver.Lease{Addr: netip.MustParseAddr(addr), Expires: now.Add(time.Duration(n) * time.Minute)})
	}
	return out
}

// spelled are names in words: "deny name token: address+minutes, … error".
func spelled(names []api.ResolvedName) (out []string) {
	for _, n := range names {
		text := n.Name + " " + n.Token + ":"
		if n.Deny {
			text = "deny " + text
		}
		for _, a := range n.Addrs {
			text += " " + a.Addr.String()
			if !a.Expires.IsZero() {
				text += fmt.Sprintf("+%d", int(a.Expires.Sub(now).Minutes()))
			}
		}
		if n.Error != "" {
			text += " " + n.Error
		}
		out = append(out, text)
	}
	return out
}

func TestWhatNamesMeanAndUntilWhen(t *testing.T) {
	for name, test := range map[string]struct {
		outbound string
		state    reconcile.State
		leases   string // of names in full
		below    string // beneath example.org
		status   []resolver.NameStatus
		want     []string
	}{
		"a name":         {outbound: "www.example.org:443", leases: "www.example.org=192.0.2.1+5 www.example.org=2001:db8::1+7", want: []string{"www.example.org www.example.org:443: 192.0.2.1+5 2001:db8::1+7"}},
		"not answered":   {outbound: "www.example.org", status: []resolver.NameStatus{{Name: "www.example.org"}}, want: []string{"www.example.org www.example.org: not answered yet"}},
		"without any":    {outbound: "www.example.org", status: []resolver.NameStatus{{Name: "www.example.org", Answered: now}}, want: []string{"www.example.org www.example.org: it has no addresses"}},
		"a failure":      {outbound: "www.example.org", status: []resolver.NameStatus{{Name: "www.example.org", Error: "it does not exist"}}, want: []string{"www.example.org www.example.org: it does not exist"}},
		"one that lives": {outbound: "www.example.org", leases: "www.example.org=192.0.2.1+5", status: []resolver.NameStatus{{Name: "www.example.org", Error: "it does not exist"}}, want: []string{"www.example.org www.example.org: 192.0.2.1+5"}},
		"what no answer can open": {outbound: "www.example.org", leases: "www.example.org=127.0.0.1+5",
			want: []string{"www.example.org www.example.org: it means 127.0.0.1, which no DNS answer can open (loopback)"}},
		"the host's own address": {outbound: "www.example.org", leases: "www.example.org=203.0.113.7+5 www.example.org=192.0.2.1+5",
			state: reconcile.State{Interfaces: hostnet.Interfaces{Addrs: []netip.Addr{netip.MustParseAddr("203.0.113.7")}}}, want: []string{"www.example.org www.example.org: 192.0.2.1+5"}},
		"a denied name is denied for ever": {outbound: "!www.example.org", leases: "www.example.org=127.0.0.1+5 www.example.org=192.0.2.1+5",
			state: reconcile.State{Denied: map[string][]netip.Addr{"www.example.org": {netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.9")}}},
			want:  []string{"deny www.example.org !www.example.org: 127.0.0.1 192.0.2.1 192.0.2.9"}},
		"a wildcard": {outbound: "*.example.org", below: "a.example.org=192.0.2.1+5 b.c.example.org=192.0.2.2+6",
			want: []string{"a.example.org *.example.org: 192.0.2.1+5", "b.c.example.org *.example.org: 192.0.2.2+6"}},
		"a wildcard has what others spell out": {outbound: "*.example.org", leases: "www.example.org=192.0.2.1+5 example.org=192.0.2.3+5 wwwexample.org=192.0.2.3+5",
			want: []string{"www.example.org *.example.org: 192.0.2.1+5"}},
		"a private address only by its name": {outbound: "*.example.org", leases: "www.example.org=10.0.0.1+5",
			want: []string{"www.example.org *.example.org: it means 10.0.0.1, which no DNS answer can open (private)"}},
		"a wildcard without any": {outbound: "*.example.org", want: []string{"*.example.org *.example.org: no name beneath it was asked for yet"}},
		"a denied wildcard": {outbound: "!*.example.org", state: reconcile.State{DeniedBelow: map[string][]resolver.Named{"example.org": {{Addr: netip.MustParseAddr("10.0.0.9"), Name: "x.example.org"}}}},
			want: []string{"deny x.example.org !*.example.org: 10.0.0.9"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := Input{Now: now, Good: true, Outcome: outcome(test.state, labelled("web", test.outbound)), Names: test.status,
				Leases: resolver.Leases{Names: known(test.leases), Below: map[string]map[string][]resolver.Lease{"example.org": known(test.below)}}}
			for _, n := range test.status {
				in.Leases.Names[n.Name] = append(in.Leases.Names[n.Name], []resolver.Lease{}...)
			}
			if diff := cmp.Diff(test.want, spelled(Take(in).Containers[0].Names)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestOfAWildcardsNamesThoseThatLiveLongestAreTold(t *testing.T) {
	text := ""
	for i := range 1000 {
		text += fmt.Sprintf("n%03d.example.org=192.0.2.1+%d ", i, i)
	}
	c := Take(Input{Now: now, Good: true, Outcome: outcome(reconcile.State{}, labelled("web", "*.example.org, www.example.com")),
		Leases: resolver.Leases{Below: map[string]map[string][]resolver.Lease{"example.org": known(text)}}}).Containers[0]
	if len(c.Names) != maxBeneath+1 || c.MoreNames != 1000-maxBeneath || c.Names[0].Name != fmt.Sprintf("n%03d.example.org", 1000-maxBeneath) {
		t.Errorf("%d names and %d more, the first %q", len(c.Names), c.MoreNames, c.Names[0].Name)
	}
}

func TestWhereADenialOfDNSDoesNotHoldIsSaid(t *testing.T) {
	denied := labelled("web", "!_dns_")
	own, onDefault := denied, denied
	own.Resolvers = []netip.Addr{netip.MustParseAddr("192.0.2.53")}
	onDefault.NetworkMode = "bridge"
	loopback := resolver.Servers{Host: []netip.Addr{netip.MustParseAddr("127.0.0.53")}}
	for name, test := range map[string]struct {
		container docker.Container
		api       string
		servers   resolver.Servers
		said      bool
	}{
		"Docker 28":                         {denied, "1.48", resolver.Servers{}, true},
		"Docker 29":                         {denied, "1.52", resolver.Servers{}, true},
		"Docker 27 asks from the container": {denied, "1.47", resolver.Servers{}, false},
		"but not a loopback resolver":       {denied, "1.47", loopback, true},
		"no denial":                         {labelled("web", "_dns_"), "1.48", resolver.Servers{}, false},
		"dns in daemon.json":                {denied, "1.48", resolver.Servers{Set: true}, false},
		"--dns":                             {own, "1.48", resolver.Servers{}, false},
		"the default network":               {onDefault, "1.48", resolver.Servers{}, false},
		"no version known":                  {denied, "", resolver.Servers{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := Take(Input{Good: true, EngineAPI: test.api, Outcome: outcome(reconcile.State{Resolvers: test.servers}, test.container)})
			if f := s.Containers[0].Findings; len(f) > 0 != test.said {
				t.Errorf("%+v", f)
			}
		})
	}
}

func TestCountsAreWhoseNetworkItIs(t *testing.T) {
	web := labelled("web", "192.0.2.1, !_dns_")
	web.Labels["com.docker.compose.project"], web.Labels["com.docker.compose.service"] = "shop", "front"
	o := outcome(reconcile.State{}, web, docker.Container{Name: "side", NetworkMode: "container:" + id(1)})
	counters := nft.Counters{
		Containers: map[string]nft.Traffic{id(1)[:12]: {Sent: nft.Count{Packets: 9, Bytes: 900}, Denied: nft.Count{Packets: 4, Bytes: 400}}},
		Parts:      []nft.Part{{ID: id(1)[:12], Name: "drop", Count: nft.Count{Packets: 4, Bytes: 400}}},
		Reasons:    map[nft.Reason]nft.Count{nft.Unknown: {Packets: 2, Bytes: 200}, nft.Stray: {Packets: 3, Bytes: 300}},
	}
	s := Take(Input{Now: now, Good: true, Outcome: o, EngineAPI: "1.48", Counters: counters, Gone: nft.Count{Packets: 10, Bytes: 1000}, History: func(string) []uint64 { return []uint64{4} }})
	if want := (api.Count{Packets: 16, Bytes: 1600}); s.Denied != want {
		t.Errorf("in all %+v, want %+v", s.Denied, want)
	}
	side, c := s.Containers[0], s.Containers[1]
	if c.Sent.Packets != 9 || c.Denied.Bytes != 400 || c.Project != "shop" || c.Service != "front" || c.History[0] != 4 || len(c.Addrs) != 1 {
		t.Errorf("%+v", c)
	}
	if len(c.Findings) != 1 || len(side.Findings) != 0 {
		t.Errorf("what is wrong is said of %+v and of %+v", c.Findings, side.Findings)
	}
	if side.Shares != "web" || side.Sent.Packets != 0 || side.Policy[0].Token != "192.0.2.1" || side.Mode != "enforce" || side.Addrs[0] != c.Addrs[0] {
		t.Errorf("%+v", side)
	}
}

func TestLabelsOfASwarmServiceItselfAreReported(t *testing.T) {
	task := docker.Container{Name: "crew.1", Labels: map[string]string{"com.docker.swarm.service.id": "abc", "com.docker.swarm.service.name": "crew"}}
	for name, test := range map[string]struct {
		services map[string]map[string]string
		token    string // "" for nothing to report
	}{
		"ours":                {map[string]map[string]string{"abc": {"dockerwall.outbound": "*", "Dockerwall.mode": "off", "x": "y"}}, "Dockerwall.mode, dockerwall.outbound"},
		"others":              {map[string]map[string]string{"abc": {"x": "dockerwall.mode"}}, ""},
		"another service's":   {map[string]map[string]string{"def": {"dockerwall.outbound": "*"}}, ""},
		"nothing is known":    {nil, ""},
		"a container of none": {map[string]map[string]string{"": {}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := outcome(reconcile.State{}, task)
			s := Take(Input{Good: true, Outcome: o, Services: test.services})
			f := s.Containers[0].Findings
			if (len(f) == 1) != (test.token != "") || len(f) == 1 && f[0].Token != test.token || len(s.Degraded) != len(f) || s.Containers[0].Service != "crew" || !TasksRun(o.State) {
				t.Errorf("%+v, degraded %q", f, s.Degraded)
			}
		})
	}
}

// BenchmarkTake is of 1,000 containers with a wildcard and a name each and 20 addresses.
func BenchmarkTake(b *testing.B) {
	var containers []docker.Container
	text := ""
	for i := range 1000 {
		containers = append(containers, labelled(fmt.Sprint("c", i), fmt.Sprintf("n%d.example.com, *.example.org", i)))
		for j := range 20 {
			text += fmt.Sprintf("n%d.example.com=2001:db8::%x:%x+5 ", i, i, j)
		}
	}
	in := Input{Now: now, Good: true, Outcome: outcome(reconcile.State{}, containers...), Leases: resolver.Leases{Names: known(text),
		Below: map[string]map[string][]resolver.Lease{"example.org": known("a.example.org=192.0.2.1+5")}}}
	for b.Loop() {
		if s := Take(in); len(s.Containers) != 1000 {
			b.Fatal(len(s.Containers))
		}
	}
}
