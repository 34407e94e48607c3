package reconcile

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/docker/dockertest"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/operator"
	"github.com/dockerwall/dockerwall/overlay"
	"github.com/dockerwall/dockerwall/policy"
)

// comer is a container that has a restart policy unless it is still, on docker0.
type comer struct {
	name, label string
	fixed       []netip.Addr
	still       bool
	dns         []netip.Addr
	more        map[string]string // labels
}

// comers is a host on whose docker0 containers run with the lowest addresses, in their order.
func comers(subnets []netip.Prefix, ranges []netip.Prefix, all ...comer) State {
	s := single("", "")
	s.Networks, s.Containers = []scenarioNetwork{{Name: "bridge", Bridge: "docker0", Subnets: subnets, Endpoints: map[string][]netip.Addr{}}}, nil
	s.Names, s.Below, s.DeniedBelow = packetNames(), packetBelow(), packetDenied()
	for _, c := range all {
		labels := map[string]string{policy.LabelOutbound: c.label}
		for k, v := range c.more {
			labels[k] = v
		}
		s.Containers = append(s.Containers, scenarioContainer{Name: c.name, State: "exited", Labels: labels, DNS: c.dns})
	}
	state, _ := s.state()
	n := &state.Docker.Networks[0]
	n.Ranges, n.Gateways = ranges, addrs("172.17.0.1", "fd00:17::1")
	for i, c := range all {
		state.Docker.Containers[i].Restarts = !c.still
		state.Docker.Containers[i].Networks = []string{n.ID}
		state.Docker.Containers[i].Fixed = map[string][]netip.Addr{n.ID: c.fixed}
	}
	return state
}

// placed is a state whose containers run in an order: who comes first has the lowest address.
func placed(s State, order []int) State {
	s.Docker.Containers, s.Docker.Networks = slices.Clone(s.Docker.Containers), slices.Clone(s.Docker.Networks)
	n := &s.Docker.Networks[0]
	n.Endpoints = nil
	taken := map[netip.Addr]bool{}
	for _, i := range order {
		c := &s.Docker.Containers[i]
		e := docker.Endpoint{ContainerID: c.ID, EndpointID: c.ID}
		for _, p := range pools(*n, nil) {
			fixed := member{*c, c.Fixed[n.ID]}
			a := firstFree(p, taken)
			if fixed.asks(p.subnet) {
				in := fixed.fixedIn(p.subnet)
				if len(in) == 0 || taken[in[0]] { // it cannot start
					e = docker.Endpoint{}
					break
				}
				a = in[0]
			}
			taken[a] = true
			if a.Is4() {
				e.IPv4 = a
			} else {
				e.IPv6 = a
			}
		}
		if e.ContainerID != "" {
			c.State = "running"
			n.Endpoints = append(n.Endpoints, e)
		}
	}
	return s
}

func firstFree(p pool, taken map[netip.Addr]bool) netip.Addr {
	for a := p.parts[0].Addr(); ; a = a.Next() {
		if a != p.subnet.Addr() && !taken[a] && !slices.Contains(p.taken, a) {
			return a
		}
	}
}

// reboot fails the test when the kernel would refuse what comes out.
func reboot(t testing.TB, s State) nft.Ruleset {
	t.Helper()
	now, _ := build(t, s)
	r := Reboot(s, now, nil)
	if err := r.Validate(); err != nil {
		t.Fatalf("the kernel would refuse it: %v", err)
	}
	return r
}

func judged(t testing.TB, r nft.Ruleset, from, packet string) bool {
	p := parsePacket(t, packet)
	p.Src = netip.MustParseAddr(from)
	return r.Judge(p).Pass
}

func docker0() []netip.Prefix { return prefixes("172.17.0.0/16", "fd00:17::/64") }

func TestAfterABootAnAddressMayDoWhatAllWhoMayHaveItMay(t *testing.T) {
	const b = "forward 192.0.2.7:80/tcp"
	for name, test := range map[string]struct {
		ranges     []netip.Prefix
		all        []comer
		pass, deny map[string][]string // by source
	}{
		"alone": {
			all:  []comer{{name: "web", label: "192.0.2.7"}},
			pass: map[string][]string{"172.17.0.2": {b}}, deny: map[string][]string{"172.17.0.2": {"forward 192.0.2.8:80/tcp"}, "172.17.0.3": {b}, "172.17.0.1": {b}},
		},
		"all of one policy": {
			all:  []comer{{name: "web1", label: "192.0.2.7, 203.0.113.10:443"}, {name: "web2", label: "192.0.2.7, 203.0.113.10:443"}},
			pass: map[string][]string{"172.17.0.2": {b, "forward 203.0.113.10:443/tcp"}, "172.17.0.3": {b}}, deny: map[string][]string{"172.17.0.4": {b}},
		},
		"of two, what both may": {
			all:  []comer{{name: "web", label: "192.0.2.7, 192.0.2.8"}, {name: "db", label: "192.0.2.0/24:80, !192.0.2.8"}},
			pass: map[string][]string{"172.17.0.2": {b}, "172.17.0.3": {b}},
			deny: map[string][]string{"172.17.0.2": {"forward 192.0.2.7:81/tcp", "forward 192.0.2.8:80/tcp", "input 192.0.2.7:80/tcp"}, "172.17.0.3": {"forward 192.0.2.8:80/tcp"}},
		},
		"who does not run may come, too": {
			all:  []comer{{name: "web", label: "192.0.2.7"}, {name: "old", label: "192.0.2.8", still: true}},
			deny: map[string][]string{"172.17.0.2": {b, "forward 192.0.2.8:80/tcp"}},
		},
		"who does not come by itself has no address": {
			all:  []comer{{name: "web", label: "192.0.2.7", still: true}},
			deny: map[string][]string{"172.17.0.2": {b}},
		},
		"the star leaves the other's policy": {
			all:  []comer{{name: "web", label: "*"}, {name: "db", label: "192.0.2.7, _host_:22/tcp, www.example.com"}},
			pass: map[string][]string{"172.17.0.2": {b, "input 172.17.0.1:22/tcp", "forward 203.0.113.10:1/udp"}}, deny: map[string][]string{"172.17.0.3": {"forward 192.0.2.8:80/tcp"}},
		},
		"audit denies nothing and does not count": {
			all:  []comer{{name: "web", label: "192.0.2.8", more: map[string]string{policy.LabelMode: "audit"}}, {name: "db", label: "192.0.2.7"}},
			pass: map[string][]string{"172.17.0.2": {b}}, deny: map[string][]string{"172.17.0.2": {"forward 192.0.2.8:80/tcp"}},
		},
		"an address outside the range is who asked for it": {
			ranges: prefixes("172.17.1.0/24"),
			all:    []comer{{name: "web", label: "192.0.2.7", fixed: addrs("172.17.0.9")}, {name: "db", label: "192.0.2.8"}},
			pass:   map[string][]string{"172.17.0.9": {b}}, deny: map[string][]string{"172.17.1.0": {b, "forward 192.0.2.8:80/tcp"}, "172.17.0.9": {"forward 192.0.2.8:80/tcp"}, "172.17.0.2": {b}},
		},
		"an address in the range may be another's": {
			all:  []comer{{name: "web", label: "192.0.2.7", fixed: addrs("172.17.0.9")}, {name: "db", label: "192.0.2.8"}},
			deny: map[string][]string{"172.17.0.9": {b, "forward 192.0.2.8:80/tcp"}, "172.17.0.2": {b, "forward 192.0.2.8:80/tcp"}},
		},
		"where all have asked, each address is one's own": {
			all:  []comer{{name: "web", label: "192.0.2.7", fixed: addrs("172.17.0.9")}, {name: "db", label: "192.0.2.8", fixed: addrs("172.17.0.8")}},
			pass: map[string][]string{"172.17.0.9": {b}, "172.17.0.8": {"forward 192.0.2.8:80/tcp"}}, deny: map[string][]string{"172.17.0.9": {"forward 192.0.2.8:80/tcp"}, "172.17.0.8": {b}},
		},
		"an address that two have asked for is of both": {
			all:  []comer{{name: "web", label: "192.0.2.7", fixed: addrs("172.17.0.9")}, {name: "db", label: "192.0.2.7, 192.0.2.8", fixed: addrs("172.17.0.9")}},
			pass: map[string][]string{"172.17.0.9": {b}}, deny: map[string][]string{"172.17.0.9": {"forward 192.0.2.8:80/tcp"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := reboot(t, comers(docker0(), test.ranges, test.all...))
			for want, packets := range map[bool]map[string][]string{true: test.pass, false: test.deny} {
				for from, list := range packets {
					for _, p := range list {
						if got := judged(t, r, from, p); got != want {
							t.Errorf("%s from %s: pass %v", p, from, got)
						}
					}
				}
			}
		})
	}
}

func TestWhatRanIsKnownByThePolicyItHad(t *testing.T) {
	s := comers(docker0(), nil, comer{name: "web", label: "www.example.com"})
	ran := placed(s, []int{0})
	was, _ := build(t, ran)
	earlier := Remember(ran, was)
	s.Names = nil // its names are asked for no more
	now, _ := build(t, s)
	const p = "forward 203.0.113.10:80/tcp"
	if judged(t, Reboot(s, now, nil), "172.17.0.2", p) || !judged(t, Reboot(s, now, earlier), "172.17.0.2", p) {
		t.Error("its names are forgotten, or known from nowhere")
	}
}

// TestWhatRanIsHeldToWhatIsAskedNow: files and what is said at run time change while a container does not run, and it comes
// back under what they say then.
func TestWhatRanIsHeldToWhatIsAskedNow(t *testing.T) {
	const passes = "forward 203.0.113.10:80/tcp"
	rule := func(text string) []operator.Rule {
		p, _ := policy.AnyGroup().Parse(text)
		return []operator.Rule{{File: "10.yaml", Line: 1, Match: operator.Match{Container: []string{"web"}}, Policy: p}}
	}
	group := func(text string) map[policy.Group]operator.Group {
		p, _ := policy.Parse(text)
		return map[policy.Group]operator.Group{"pair": {Name: "pair", Policy: p}}
	}
	said := func(tokens string) func(*State) {
		return func(s *State) {
			one := overlay.Container{}
			p, _ := policy.Parse(tokens)
			for _, token := range p.Tokens {
				one.Grants = append(one.Grants, overlay.Grant{Token: token})
			}
			s.Overlay.Containers = map[string]overlay.Container{s.Docker.Containers[0].ID: one}
		}
	}
	enforce, audit := policy.ModeEnforce, policy.ModeAudit
	for name, test := range map[string]struct {
		label    string
		was, now func(*State)
		want     bool
	}{
		"nothing else is":              {"www.example.com", said(""), said(""), true},
		"only the rule's line is":      {"www.example.com", func(s *State) { s.Operator.Rules = rule("192.0.2.9") }, func(s *State) { s.Operator.Rules = rule("192.0.2.9"); s.Operator.Rules[0].Line = 7 }, true},
		"a rule denies":                {"www.example.com", said(""), func(s *State) { s.Operator.Rules = rule("!203.0.113.0/24") }, false},
		"a rule denies something else": {"www.example.com", func(s *State) { s.Operator.Rules = rule("!192.0.2.9") }, func(s *State) { s.Operator.Rules = rule("!203.0.113.0/24") }, false},
		"a rule allows no more":        {"", func(s *State) { s.Operator.Rules = rule("www.example.com") }, said(""), false},
		"a group holds something else": {"@pair", func(s *State) { s.Operator.Groups = group("203.0.113.10") }, func(s *State) { s.Operator.Groups = group("192.0.2.9") }, false},
		"a grant is taken back":        {"", said("www.example.com"), said(""), false},
		"a denial is said":             {"www.example.com", said(""), said("!203.0.113.10"), false},
		"a rule audits no more":        {"", func(s *State) { s.Operator.Rules = rule(""); s.Operator.Rules[0].Mode = &audit }, func(s *State) { s.Operator.Rules = rule(""); s.Operator.Rules[0].Mode = &enforce }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := comers(docker0(), nil, comer{name: "web", label: test.label})
			ran := placed(s, []int{0})
			test.was(&ran)
			was, _ := build(t, ran)
			if !judged(t, was, "172.17.0.2", passes) {
				t.Fatal("it could not while it ran")
			}
			s.Names = nil
			test.now(&s)
			now, _ := build(t, s)
			if judged(t, Reboot(s, now, Remember(ran, was)), "172.17.0.2", passes) != test.want {
				t.Errorf("it is let through: %v", !test.want)
			}
		})
	}
}

func TestRebootIsBounded(t *testing.T) {
	var all []comer
	for i := range 4200 {
		all = append(all, comer{name: fmt.Sprintf("c%04d", i), label: "192.0.2.7"})
	}
	r := reboot(t, comers(docker0(), nil, all...))
	if n := len(r.Containers[0].Endpoints); len(r.Containers) != 1 || n != maxRemembered || r.Containers[0].Name != "c0000, c0001 and 4198 more (boot)" {
		t.Errorf("%d containers, %d addresses, %q", len(r.Containers), n, r.Containers[0].Name)
	}
	for i := range all {
		all[i].label = fmt.Sprintf("192.0.2.7, !192.0.2.%d", i%200)
	}
	if r := reboot(t, comers(docker0(), nil, all[:100]...)); len(r.Sources) != 1 || judged(t, r, "172.17.0.2", "forward 192.0.2.7:80/tcp") {
		t.Errorf("%d sources", len(r.Sources))
	}
}

// TestNoOrderOfComingOpensAnything is what Reboot is for: whoever comes, in whatever order, is allowed by its own policy
// all that the boot ruleset allows its address; and where all have one policy, also the other way round.
func TestNoOrderOfComingOpensAnything(t *testing.T) {
	packets := worldPackets(t)
	rapid.Check(t, func(rt *rapid.T) {
		var all []comer
		same := rapid.IntRange(0, 3).Draw(rt, "one policy") == 0
		label := join(drawText(rt, "label of all"))
		n := rapid.IntRange(1, 4).Draw(rt, "containers")
		for i := range n {
			c := comer{name: string(rune('a' + i)), label: label, still: rapid.IntRange(0, 4).Draw(rt, "still") == 0}
			if !same {
				c.label = join(drawText(rt, "label"))
				c.more = rapid.SampledFrom([]map[string]string{nil, nil, {policy.LabelMode: "audit"}, {policy.LabelMode: "off"}, {policy.LabelDeny: "reject"}}).Draw(rt, "more")
			}
			c.fixed = rapid.SampledFrom([][]netip.Addr{nil, nil, addrs("172.17.0.2"), addrs("172.17.0.3", "fd00:17::2"), addrs("172.17.1.2"), addrs("172.17.9.9"), addrs("fd00:17::9")}).Draw(rt, "fixed")
			c.dns = rapid.SampledFrom([][]netip.Addr{nil, addrs("198.51.100.53"), addrs("9.9.9.9", "198.51.100.53")}).Draw(rt, "dns")
			if same {
				c.dns = nil
			}
			all = append(all, c)
		}
		ranges := rapid.SampledFrom([][]netip.Prefix{nil, nil, prefixes("172.17.1.0/24"), prefixes("172.17.0.0/29"), prefixes("172.17.1.0/24", "fd00:17::8/125")}).Draw(rt, "ranges")
		s := comers(docker0(), ranges, all...)
		preset := policy.Policy{}
		if rapid.Bool().Draw(rt, "a default") {
			preset, _ = policy.Parse(join(drawText(rt, "default")))
		}
		s.Config.Default = preset
		s.Denied = single("", "").denied(s)
		for _, name := range Names(State{Config: s.Config, Docker: asRunning(s)}).Deny {
			s.Denied[name] = packetNames()[name]
		}
		order := rapid.Permutation(indices(n)).Draw(rt, "before")
		boot := reboot(t, placed(s, order[:rapid.IntRange(0, n).Draw(rt, "run before")]))
		again := rapid.Permutation(indices(n)).Draw(rt, "after")
		after, _ := build(t, placed(s, again))
		for _, c := range after.Containers {
			for _, e := range c.Endpoints {
				for _, p := range packets {
					if p.Src = e.Addr; p.Src.Is4() != p.Dst.Is4() {
						continue
					}
					is, was := boot.Judge(p).Pass, after.Judge(p).Pass
					if is && !was {
						rt.Fatalf("%s of %s may send %+v\nboot:\n%s\nafter:\n%s", e.Addr, c.Name, p, boot, after)
					}
					if same && !is && was && comesFirst(all, again, c.Name) {
						rt.Fatalf("%s of %s may not send %+v\nboot:\n%s\nafter:\n%s", e.Addr, c.Name, p, boot, after)
					}
				}
			}
		}
	})
}

func indices(n int) (out []int) {
	for i := range n {
		out = append(out, i)
	}
	return out
}

// asRunning are all containers of s as if they ran.
func asRunning(s State) docker.Host {
	host := docker.Host{Containers: slices.Clone(s.Docker.Containers), Networks: s.Docker.Networks}
	for i := range host.Containers {
		host.Containers[i].State = "running"
	}
	return host
}

// comesFirst says whether a container comes by itself, and nobody before it who does not.
func comesFirst(all []comer, order []int, name string) bool {
	for _, i := range order {
		if all[i].still {
			return false
		}
		if all[i].name == name {
			return true
		}
	}
	return false
}

func TestOtherSettingsOpenNothing(t *testing.T) {
	s := single("192.0.2.7", "")
	s.GatewayNetworks = "!other, !custom, !named"
	delete(s.Networks[0].Endpoints, "db")
	s.BindPorts, s.Ports = true, []scenarioPort{{Name: "veth1", Bridge: "docker0", MAC: nft.MAC{2, 0x42, 0xac, 0x11, 0, 2}}}
	s.Networks[0].MACs = map[string]string{"web": "02:42:ac:11:00:02"}
	s.Bridges = append(s.Bridges, "br-lan")
	s.Networks = append(s.Networks, scenarioNetwork{Name: "custom", Bridge: "lan0", Subnets: prefixes("172.19.0.0/16")},
		scenarioNetwork{Name: "named", Bridge: "br-named", Subnets: prefixes("172.20.0.0/16")})
	state, _ := s.state()
	for i := range state.Docker.Containers {
		state.Docker.Containers[i].Restarts = true
	}
	was := reboot(t, state)
	other := "br-" + dockertest.ID("other")[:12]
	reach := func(r nft.Ruleset, bridge string) bool {
		return r.Judge(nft.Packet{Hook: nft.Forward, In: bridge, InBridge: true, Src: netip.MustParseAddr("172.18.0.2"), Dst: netip.MustParseAddr("192.0.2.9"), Proto: nft.TCP, DstPort: 80}).Pass
	}
	all, _ := policy.ParseNetworks("")
	only, _ := policy.ParseNetworks("other")
	for name, test := range map[string]struct {
		now                      Config
		sameNetworks, samePolicy bool
		open, dry                bool // what web's label allows; all
		freed                    []string
		fenced                   []string
	}{
		"the same":       {state.Config, true, true, true, false, []string{other, "lan0", "br-named", "br-lan"}, []string{"docker0", "br-0123456789ab"}},
		"dry now":        {Config{DryRun: true}, true, true, true, true, nil, nil},
		"another policy": {state.Config, true, false, false, false, []string{other, "lan0", "br-named", "br-lan"}, []string{"docker0"}},
		"all networks":   {Config{Networks: all}, false, true, false, false, []string{"br-lan"}, []string{other, "lan0", "br-named", "docker0", "br-0123456789ab"}},
		"only one":       {Config{Networks: only}, false, false, false, false, []string{"br-lan"}, []string{other, "lan0", "br-named", "docker0"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := Resume(was, test.now, Before{test.sameNetworks, test.samePolicy, Excluded(state)})
			if err := r.Validate(); err != nil {
				t.Fatal(err)
			}
			if got := judged(t, r, "172.17.0.2", "forward 192.0.2.7:80/tcp"); got != test.open || r.DryRun != test.dry {
				t.Errorf("its label's: %v; dry: %v", got, r.DryRun)
			}
			for want, bridges := range map[bool][]string{true: test.freed, false: test.fenced} {
				for _, b := range bridges {
					if reach(r, b) != want {
						t.Errorf("from %s: pass %v", b, !want)
					}
				}
			}
		})
	}
	if now, _ := build(t, state); len(now.Ports) != 1 || len(was.Ports) != 0 {
		t.Errorf("%d ports are bound, and %d after a boot", len(now.Ports), len(was.Ports))
	}
}
