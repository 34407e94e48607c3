package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/nft"
)

// MACs of web, db and cache, as Docker makes them of addresses, and link-local addresses of the first two.
const (
	webMAC, webLocal = "02:42:ac:11:00:02", "fe80::42:acff:fe11:2"
	dbMAC, dbLocal   = "02:42:ac:11:00:03", "fe80::42:acff:fe11:3"
	cacheMAC         = "02:42:ac:12:00:02"
)

// bound is a host of two networks with three containers, each on its port.
func bound(t *testing.T) scenario {
	s := single("", "")
	bind(t, &s)
	return s
}

// bind has the containers of a single host on their ports.
func bind(t *testing.T, s *scenario) {
	s.BindPorts = true
	s.Networks[0].MACs = map[string]string{"web": webMAC, "db": dbMAC}
	s.Networks[1].Bridge, s.Networks[1].MACs = "br-other", map[string]string{"cache": cacheMAC}
	s.Ports = []scenarioPort{port(t, "vw", "docker0", webMAC), port(t, "vd", "docker0", dbMAC), port(t, "vc", "br-other", cacheMAC)}
}

func port(t *testing.T, name, bridge, mac string) scenarioPort {
	t.Helper()
	m, err := nft.ParseMAC(mac)
	if err != nil {
		t.Fatal(err)
	}
	return scenarioPort{Name: name, Bridge: bridge, MAC: m}
}

func TestWhichPortsAreBound(t *testing.T) {
	const cache, db, web = "vc 172.18.0.2", "vd 172.17.0.3", "vw 172.17.0.2 fd00:17::2 " + webLocal
	bridgeMAC := nft.MAC{2, 0x42, 0, 0, 0, 1}
	for name, test := range map[string]struct {
		change   func(*scenario)
		want     []string
		locals   string // of whom, where anybody's link-local address is somebody's
		problems string // what one of them says, "" for none
	}{
		"each to its container's addresses; link-local where there is IPv6": {func(*scenario) {}, []string{cache, db, web}, "web", ""},
		"no port, no binding and no link-local address":                     {func(s *scenario) { s.Ports = s.Ports[1:] }, []string{cache, db}, "", ""},
		"a kernel that cannot bind them":                                    {func(s *scenario) { s.BindPorts = false }, nil, "", ""},
		"a port on another bridge is another's":                             {func(s *scenario) { s.Ports[0].Bridge = "br-other" }, []string{cache, db}, "", ""},
		"one on a bridge that is not fenced, too": {func(s *scenario) {
			s.Ports = append(s.Ports, scenarioPort{Name: "vx", Bridge: "virbr0", MAC: s.Ports[0].MAC})
		}, []string{cache, db, web}, "web", ""},
		"a port that is no container's": {func(s *scenario) {
			s.Ports = append(s.Ports, scenarioPort{Name: "eth1", Bridge: "docker0", Foreign: true}, scenarioPort{Name: "eth0", Bridge: "docker0", Foreign: true, MAC: s.Ports[0].MAC})
		}, []string{cache, db, web}, "web", "docker0 also has the port eth0, eth1, which is no container's"},
		"nor its bridge fenced": {func(s *scenario) {
			s.Ports = append(s.Ports, scenarioPort{Name: "eth0", Bridge: "virbr0", Foreign: true})
		},
			[]string{cache, db, web}, "web", ""},
		"two ports with one MAC": {func(s *scenario) {
			s.Ports = append(s.Ports, scenarioPort{Name: "vx", Bridge: "docker0", MAC: s.Ports[0].MAC})
		}, []string{cache, db}, "", "two ports have the MAC " + webMAC + " at their other end, so vw and vx are not bound"},
		"two containers with one MAC": {func(s *scenario) {
			s.Networks[1].MACs["cache"] = webMAC
			s.Ports = s.Ports[:2]
		}, []string{db}, "", "two containers on Docker's networks have the MAC " + webMAC},
		"a MAC that is the bridge's": {func(s *scenario) {
			s.Networks[0].MACs["db"], s.Ports[1].MAC = bridgeMAC.String(), bridgeMAC
		}, []string{cache, web}, "web", ""},
		"an endpoint whose MAC is not known":   {func(s *scenario) { s.Networks[0].MACs["web"] = "" }, []string{cache, db}, "", ""},
		"a container that no listing has yet":  {func(s *scenario) { s.Containers = s.Containers[1:] }, []string{cache, db}, "", ""},
		"a network that is not fenced":         {func(s *scenario) { s.GatewayNetworks = "!bridge" }, []string{cache}, "", "left alone (GATEWAY_NETWORKS); its labels do nothing there"},
		"a name that cannot be part of a rule": {func(s *scenario) { s.Ports[0].Name = `v"` }, []string{cache, db}, "", ""},
		"an address that is nobody's": {func(s *scenario) { s.Networks[0].Endpoints["db"] = addrs("0.0.0.0", "ff02::1") },
			[]string{cache, "vd " + dbLocal, web}, "db web", ""},
		"a name that two ports have": {func(s *scenario) { s.Ports[1].Name = "vw" }, []string{cache}, "", ""},
		"an address that two containers claim is neither's": {func(s *scenario) { s.Networks[0].Endpoints["db"] = addrs("172.17.0.2") },
			[]string{cache, "vd", "vw fd00:17::2 " + webLocal}, "web", "two containers claim 172.17.0.2"},
		"a link-local address that another claims is neither's": {func(s *scenario) { s.Networks[0].Endpoints["db"] = addrs("172.17.0.3", webLocal) },
			[]string{cache, "vd 172.17.0.3 " + dbLocal, "vw 172.17.0.2 fd00:17::2"}, "db", "two containers claim " + webLocal},
		"an address on two bridges is neither port's": {func(s *scenario) {
			s.Networks[1].Endpoints["cache"] = addrs("172.17.0.3", "fd00:18::1")
		}, []string{"vc fd00:18::1 fe80::42:acff:fe12:2", "vd", web}, "cache web", ""},
		"a link-local address on two bridges is nobody's": {func(s *scenario) {
			s.Networks[1].Endpoints["cache"] = addrs("172.18.0.2", webLocal)
		}, []string{"vc 172.18.0.2 fe80::42:acff:fe12:2", db, "vw 172.17.0.2 fd00:17::2"}, "cache", ""},
		"a container on two networks may use all of its addresses on both": {func(s *scenario) {
			s.Networks[1].Endpoints["web"], s.Networks[1].MACs["web"] = addrs("172.18.0.9"), "02:42:ac:12:00:09"
			s.Ports = append(s.Ports, port(t, "vx", "br-other", "02:42:ac:12:00:09"))
		}, []string{cache, db, web + " also 172.18.0.9", "vx 172.18.0.9 also 172.17.0.2 also fd00:17::2"}, "web", ""},
		"the host's own on a bridge is no port's": {func(s *scenario) { s.Networks[0].Endpoints["db"] = addrs("172.17.0.1") },
			[]string{cache, "vd", web}, "web", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := bound(t)
			test.change(&s)
			state, _ := s.state()
			state.Interfaces.Bridges = []hostnet.Bridge{{Name: "docker0", MAC: bridgeMAC, Addrs: addrs("172.17.0.1", "fe80::1", "255.255.255.255")}}
			r, problems := build(t, state)
			for _, b := range r.Bridges {
				if len(b.Addrs) > 2 {
					t.Errorf("%s has %v", b.Name, b.Addrs)
				}
			}
			if diff := cmp.Diff(test.want, portTexts(r)); diff != "" {
				t.Errorf("ports (-want +got):\n%s", diff)
			}
			if got := strings.Join(withLocals(r), " "); got != test.locals {
				t.Errorf("link-local addresses are those of %q, want %q", got, test.locals)
			}
			text := problemText(problems)
			if test.problems == "" && text != "" || !strings.Contains(text, test.problems) {
				t.Errorf("problems:\n%s", text)
			}
		})
	}
}

func portTexts(r nft.Ruleset) (out []string) {
	for _, p := range r.Ports {
		text := p.Name
		for _, a := range p.Addrs {
			text += " " + a.String()
		}
		for _, a := range p.Also {
			text += " also " + a.String()
		}
		out = append(out, text)
	}
	return out
}

// withLocals are the containers whose policy judges a link-local source.
func withLocals(r nft.Ruleset) (out []string) {
	for _, c := range r.Containers {
		if slices.ContainsFunc(c.Endpoints, func(e nft.Endpoint) bool { return e.Addr.IsLinkLocalUnicast() }) {
			out = append(out, c.Name)
		}
	}
	slices.Sort(out)
	return out
}

func TestBridgesSayWhatTheHostHasOnThem(t *testing.T) {
	state, _ := bound(t).state()
	state.Interfaces.Bridges = []hostnet.Bridge{{Name: "docker0", MAC: nft.MAC{2, 0x42, 0, 0, 0, 1}, Addrs: addrs("fe80::1", "172.17.0.1")}}
	r, _ := build(t, state)
	b := r.Bridges[slices.IndexFunc(r.Bridges, func(b nft.Bridge) bool { return b.Name == "docker0" })]
	if b.MAC.String() != "02:42:00:00:00:01" || fmt.Sprint(b.Addrs) != "[172.17.0.1 fe80::1]" {
		t.Errorf("docker0 is %s with %v", b.MAC, b.Addrs)
	}
	boot := Boot(state.Config, state.Interfaces)
	if !boot.BindPorts || boot.Bridges[0].MAC != b.MAC {
		t.Errorf("at boot: ports bound %v, docker0 is %s", boot.BindPorts, boot.Bridges[0].MAC)
	}
}

// TestABoundLinkLocalSourceIsJudgedByItsPolicy and an unbound one is nobody's.
func TestABoundLinkLocalSourceIsJudgedByItsPolicy(t *testing.T) {
	for name, test := range map[string]struct {
		label string
		bind  bool
		want  bool
	}{
		"allowed":     {"_host_:22", true, true},
		"not allowed": {"_host_:23", true, false},
		"not bound":   {"_host_:22", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := bound(t)
			s.Containers[0].Labels = map[string]string{"dockerwall.outbound": test.label}
			s.BindPorts = test.bind
			state, _ := s.state()
			r, _ := build(t, state)
			p := nft.Packet{Hook: nft.Input, In: "docker0", InBridge: true, Src: addrs(webLocal)[0], Dst: addrs("fe80::1")[0], Proto: nft.TCP, DstPort: 22}
			if got := r.Judge(p); got.Pass != test.want {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestGatherTakesPorts(t *testing.T) {
	g, _ := gathering(t, "")
	want := []hostnet.Port{{Index: 7, Name: "vw", Bridge: "docker0", MAC: [6]byte{2}}}
	g.Ports = func() []hostnet.Port { return want }
	state, err := g.State(t.Context())
	if err != nil || !slices.Equal(state.Ports, want) {
		t.Errorf("ports %v, %v", state.Ports, err)
	}
}
