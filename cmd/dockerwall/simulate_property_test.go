package main

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/observe"
	"github.com/dockerwall/dockerwall/operator"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/reconcile"
	"github.com/dockerwall/dockerwall/simulate"
)

// trialHost is a host of the property: web and app have the same network, db is on another one.
type trialHost struct {
	state  reconcile.State
	preset string
}

var (
	trialTokens = strings.Fields(`a.example.com b.example.com:443 *.example.com *.example.com:80/tcp c.example.org *.sub.example.com 203.0.113.0/29 203.0.113.2:80
		10.1.0.1 2001:db8:1::/64 [2001:db8:1::1]:443/tcp _internet_ _internet_:443 _host_ _host_:8080 * 172.19.0.9 192.0.2.53 @pool 203.0.113.3/icmp https://x.y
		!a.example.com !*.sub.example.com !203.0.113.2 !203.0.113.0/30:443 !_dns_ !_host_:8080 !@pool !c.example.org:80 !_internet_:443`)
	trialAddrs = strings.Fields(`203.0.113.1 203.0.113.2 203.0.113.3 203.0.113.9 10.1.0.1 10.1.0.2 192.0.2.53 172.18.0.1 198.51.100.7 172.19.0.9 2001:db8:1::1 2001:db8:2::1`)
	trialNames = strings.Fields(`a.example.com b.example.com x.sub.example.com c.example.org`)
)

func trialText(t *rapid.T, label string) string {
	if rapid.IntRange(0, 9).Draw(t, label+" as the image has it") == 0 {
		return "*"
	}
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(trialTokens), 0, 4).Draw(t, label), ", ")
}

func drawHost(t *rapid.T) trialHost {
	h := trialHost{preset: trialText(t, "preset")}
	s := &h.state
	s.Interfaces.Addrs = []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("172.18.0.1"), netip.MustParseAddr("198.51.100.7")}
	s.Resolvers.Containers = []netip.Addr{netip.MustParseAddr("192.0.2.53")}
	s.ImageLabels = map[string]map[string]string{}
	s.Config.DryRun = rapid.IntRange(0, 9).Draw(t, "dry run") == 0
	h.operator(t)
	s.Config.DefaultText = h.preset
	s.Config.Default, _ = policy.Parse(h.preset)
	s.Docker.Networks = []docker.Network{
		{ID: strings.Repeat("b0", 32), Name: "front", Driver: "bridge", Bridge: "br-b0b0b0b0b0b0", Subnets: []netip.Prefix{netip.MustParsePrefix("172.18.0.0/16"), netip.MustParsePrefix("fd00:1::/64")}},
		{ID: strings.Repeat("c0", 32), Name: "back", Driver: "bridge", Bridge: "br-c0c0c0c0c0c0", Subnets: []netip.Prefix{netip.MustParsePrefix("172.19.0.0/16"), netip.MustParsePrefix("fd00:2::/64")}},
	}
	for i, name := range []string{"web", "app", "db"} {
		labels := map[string]string{"dockerwall.outbound": trialText(t, name), composeProject: "shop", composeService: name, composeHash: "1"}
		if mode := rapid.SampledFrom([]string{"", "", "", "audit", "off", "bad"}).Draw(t, "mode of "+name); mode != "" {
			labels["dockerwall.mode"] = mode
		}
		c := docker.Container{ID: strings.Repeat(fmt.Sprintf("%02x", i+1), 32), Name: name, Image: name + ":1", ImageID: name, State: "running", Labels: labels}
		switch rapid.IntRange(0, 5).Draw(t, "image of "+name) {
		case 0: // gone
		case 1:
			s.ImageLabels[name] = map[string]string{"dockerwall.outbound": labels["dockerwall.outbound"]}
		case 2:
			s.ImageLabels[name] = map[string]string{"dockerwall.outbound": "*", "dockerwall.mode": "audit"}
		default:
			s.ImageLabels[name] = map[string]string{}
		}
		n := &s.Docker.Networks[i/2]
		n.Endpoints = append(n.Endpoints, docker.Endpoint{
			ContainerID: c.ID, EndpointID: c.ID, IPv4: netip.MustParseAddr(fmt.Sprintf("172.%d.0.%d", 18+i/2, i+2)), IPv6: netip.MustParseAddr(fmt.Sprintf("fd00:%d::%d", 1+i/2, i+2)),
		})
		c.Networks = []string{n.ID}
		s.Docker.Containers = append(s.Docker.Containers, c)
	}
	names := map[string][]netip.Addr{}
	for _, name := range trialNames {
		for _, a := range rapid.SliceOfNDistinct(rapid.SampledFrom(trialAddrs), 0, 2, rapid.ID[string]).Draw(t, "addresses of "+name) {
			names[name] = append(names[name], netip.MustParseAddr(a))
		}
	}
	s.Names = names
	return h
}

// operator adds a group and, at times, a rule of a file.
func (h *trialHost) operator(t *rapid.T) {
	pool, _ := policy.Parse("203.0.113.1, c.example.org:443")
	h.state.Operator.Groups = map[policy.Group]operator.Group{"pool": {Name: "pool", Policy: pool}}
	if rapid.Bool().Draw(t, "a rule") {
		h.rule(t)
	}
}

// rule adds a rule of a.yaml.
func (h *trialHost) rule(t *rapid.T) {
	asks, _ := h.state.Operator.Grammar().Parse(trialText(t, "rule"))
	asks.Void = false
	match := rapid.SampledFrom([]operator.Match{{Container: []string{"*b*"}}, {Network: []string{"front"}}, {Service: []string{"app"}}, {Image: []string{"db:?"}}}).Draw(t, "match")
	r := operator.Rule{File: "a.yaml", Line: 3, Match: match, Policy: asks}
	if rapid.Bool().Draw(t, "with mode") {
		mode := rapid.SampledFrom([]policy.Mode{policy.ModeEnforce, policy.ModeAudit}).Draw(t, "its mode")
		r.Mode = &mode
	}
	h.state.Operator.Rules = append(h.state.Operator.Rules, r)
}

// enforced takes away what lets pass what is denied, as a person would.
func (h *trialHost) enforced() {
	h.state.Config.DryRun = false
	for i := range h.state.Docker.Containers {
		c := &h.state.Docker.Containers[i]
		c.Labels = maps.Clone(c.Labels)
		delete(c.Labels, "dockerwall.mode")
	}
	h.state.Operator.Rules = slices.Clone(h.state.Operator.Rules)
	for i := range h.state.Operator.Rules {
		h.state.Operator.Rules[i].Mode = nil
	}
}

// judged says of each record whether it passes, by the ruleset that the daemon would commit.
func (h trialHost) judged(all []api.ObservedRecord, i int) []bool {
	s := h.state
	namesAre(&s, s.Names, true)
	r, _ := reconcile.Build(s)
	var out []bool
	for _, one := range all {
		out = append(out, r.Judge(h.packet(one, i)).Pass)
	}
	return out
}

func (h trialHost) packet(one api.ObservedRecord, i int) nft.Packet {
	n := h.state.Docker.Networks[i/2]
	e := n.Endpoints[i%2]
	if i == 2 {
		e = n.Endpoints[0]
	}
	p := nft.Packet{Hook: nft.Forward, In: n.Bridge, InBridge: true, Src: e.IPv4, Dst: one.Destination, DstPort: one.Port}
	p.Proto = map[string]uint8{"tcp": nft.TCP, "udp": nft.UDP, "icmp": nft.ICMP, "icmpv6": nft.ICMPv6}[one.Protocol]
	if !p.Dst.Is4() {
		p.Src = e.IPv6
	}
	p.OriginalDst, p.OriginalPort = p.Dst, p.DstPort
	if one.Via.IsValid() {
		p.DNAT, p.OriginalDst, p.OriginalPort = true, one.Via.Addr(), one.Via.Port()
	}
	if slices.Contains(h.state.Interfaces.Addrs, p.Dst) {
		p.Hook = nft.Input
	} else if n.Subnets[0].Contains(p.Dst) {
		p.Out = n.Bridge
	}
	return p
}

// trialRecords are all that a container could send.
func trialRecords() (out []api.ObservedRecord) {
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for _, a := range trialAddrs {
		d := netip.MustParseAddr(a)
		ping := "icmp"
		if !d.Is4() {
			ping = "icmpv6"
		}
		out = append(out, api.ObservedRecord{Destination: d, Protocol: ping})
		for _, port := range []uint16{53, 80, 443, 8080} {
			for _, proto := range []string{"tcp", "udp"} {
				out = append(out, api.ObservedRecord{Destination: d, Port: port, Protocol: proto})
			}
		}
	}
	for _, port := range []uint16{8080, 8443} {
		out = append(out, api.ObservedRecord{Destination: netip.MustParseAddr("172.19.0.9"), Port: 80, Protocol: "tcp", Via: netip.AddrPortFrom(netip.MustParseAddr("198.51.100.7"), port)})
	}
	for i := range out {
		out[i].Count, out[i].First, out[i].Last = 1, at, at
	}
	return out
}

// seenBy is what the daemon would tell of the host, in which each container has sent everything.
func (h trialHost) seenBy(before [][]bool) api.Observations {
	f := &fence{written: settings{outbound: h.preset}, store: observe.OpenStore(observe.StoreOptions{})}
	w := recall{f: f, state: h.state, opener: reconcile.NewOpener(h.state), called: calledIn(h.state)}
	out := api.Observations{Host: f.observedHost(h.state, h.state.Config.DryRun)}
	for i, c := range h.state.Docker.Containers {
		s := api.ObservedSubject{Container: c.Name, Image: c.Image, Project: "shop", Service: c.Name, Labels: map[string]string{}}
		w.fill(&s, c)
		for n, r := range trialRecords() {
			r.Names = slices.Sorted(slices.Values(w.called[r.Destination]))
			if r.Verdict = api.VerdictDenied; before[i][n] {
				r.Verdict = api.VerdictAllowed
			}
			s.Records = append(s.Records, r)
		}
		out.Subjects = append(out.Subjects, s)
	}
	return out
}

// TestASimulationIsWhatTheDaemonWouldDo: for each record it says what Judge says of the ruleset that Build makes of the
// changed host, however labels, files, groups, images, names and modes come together.
func TestASimulationIsWhatTheDaemonWouldDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h, all := drawHost(t), trialRecords()
		var before [][]bool
		for i := range h.state.Docker.Containers {
			before = append(before, h.judged(all, i))
		}
		seen := h.seenBy(before)
		var change simulate.Change
		changed := h
		changed.state.Docker.Containers = slices.Clone(h.state.Docker.Containers)
		relabel := func(i int, outbound string) map[string]string {
			c := &changed.state.Docker.Containers[i]
			c.Labels = maps.Clone(c.Labels)
			c.Labels["dockerwall.outbound"] = outbound
			return c.Labels
		}
		label := trialText(t, "label")
		relabel(0, label)
		change.Labels = map[string]string{"web": label}
		change.Services = []simulate.Service{{Project: "shop", Name: "app", Labels: relabel(1, trialText(t, "service"))}}
		if rapid.Bool().Draw(t, "another default") {
			text := trialText(t, "default")
			change.Default = &text
			changed.state.Config.DefaultText = text
			changed.state.Config.Default, _ = policy.Parse(text)
		}
		if rapid.Bool().Draw(t, "another file") {
			other := changed
			other.state.Operator.Rules = nil
			other.rule(t)
			changed.state.Operator.Rules = other.state.Operator.Rules
			change.Files = []simulate.Files{{Name: "a.yaml", Policies: operator.Policies{Rules: other.state.Operator.Rules}}}
		}
		if change.Enforce = rapid.IntRange(0, 3).Draw(t, "enforced") == 0; change.Enforce {
			changed.enforced()
		}
		report, err := simulate.Run(seen, change)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range report.Containers {
			if diff := compareTrial(c, all, before[i], changed.judged(all, i)); diff != "" {
				t.Fatalf("%s: %s", c.Container, diff)
			}
		}
	})
}

func compareTrial(c simulate.Container, all []api.ObservedRecord, before, after []bool) string {
	var denied, allowed []string
	text := func(a netip.Addr, port uint16, proto string, via netip.AddrPort) string {
		return destinationText(a, port, proto) + " " + via.String()
	}
	for n, r := range all {
		switch line := text(r.Destination, r.Port, r.Protocol, r.Via); {
		case before[n] && !after[n]:
			denied = append(denied, line)
		case !before[n] && after[n]:
			allowed = append(allowed, line)
		}
	}
	told := func(list []simulate.Flow) (out []string) {
		for _, f := range list {
			out = append(out, text(f.Destination, f.Port, f.Protocol, f.Via))
		}
		return out
	}
	switch {
	case !slices.Equal(told(c.Denied), denied):
		return fmt.Sprintf("newly denied: %q, want %q", told(c.Denied), denied)
	case !slices.Equal(told(c.Allowed), allowed):
		return fmt.Sprintf("newly allowed: %q, want %q", told(c.Allowed), allowed)
	case len(c.Undecided) > 0:
		return fmt.Sprintf("undecided: %q", told(c.Undecided))
	}
	return ""
}
