package reconcile

import (
	"fmt"
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

// goodTokens meet one another: each concerns destinations of worldPackets.
func goodTokens() []string {
	return []string{
		"www.example.com", "*.example.com", "example.com", "host.example.net", "*.example.net", "mix.example.net", "meta.example.net", "intra.example.net:80", "www.example.com:443/tcp", "*.example.com/icmp",
		"192.0.2.7", "192.0.2.8", "192.0.2.0/24", "192.0.2.6-192.0.2.8", "192.0.2.7:443", "192.0.2.8:443", "192.0.2.7:80-443/tcp", "192.0.2.0/24:53/udp", "192.0.2.8/icmp", "192.0.2.7/icmp", "192.0.2.0/24/icmp",
		"203.0.113.10", "203.0.113.0/28:443", "203.0.113.8/29:80-500/tcp", "2001:db8:1::10", "[2001:db8:1::/48]:443", "::/0", "0.0.0.0/0", "10.0.0.0/8",
		"198.51.100.1", "198.51.100.1:22/tcp", "172.17.0.1:22", "172.17.0.0/16", "172.18.0.2:80", "172.18.0.0/16",
		"*.b.example.com:443", "*.com:80/tcp",
		"_host_", "_host_:22/tcp", "_host_:8080", "_internet_", "_internet_:443", "*", "*:80", "*/icmp", "_dns_",
	}
}

// garbage can never be understood. With an exclamation mark it voids its source.
func garbage() []string {
	return []string{"x", "https://www.example.com", "a*.example.com", "*.", "010.0.0.1", "192.0.2.7:0", "192.0.2.7:443/sctp", "@group", "192.0.2.9-192.0.2.1", "www..com", "_dns_:53", "\x00", "\ufffd", "192.0.2.0/33",
		"!x", "!", "!!192.0.2.7", "!@group", "!192.0.2.07", "192.0.2.7!", "!*.*", "\uff01192.0.2.7"}
}

// worldPackets are packets to everything that goodTokens speak of.
func worldPackets(t testing.TB) []nft.Packet {
	var out []nft.Packet
	for _, a := range []string{"192.0.2.6", "192.0.2.7", "192.0.2.8", "203.0.113.10", "203.0.113.11", "203.0.113.12", "203.0.113.16", "[2001:db8:1::10]", "10.9.9.9", "198.51.100.1", "198.51.100.53",
		"172.17.0.1", "172.18.0.2", "169.254.169.254", "[64:ff9b::c633:6401]", "9.9.9.9", "[2001:db8:ffff::1]", "224.0.0.251"} {
		for _, service := range []string{":22/tcp", ":53/udp", ":80/tcp", ":443/tcp", ":443/udp"} {
			for _, hook := range []string{"forward ", "input "} {
				out = append(out, parsePacket(t, hook+a+service))
			}
		}
		ping := "/icmp"
		if a[0] == '[' {
			ping = "/icmpv6"
		}
		out = append(out, parsePacket(t, "forward "+strings.Trim(a, "[]")+ping), parsePacket(t, "input "+strings.Trim(a, "[]")+ping))
	}
	for _, text := range []string{"172.18.0.2:80/tcp was 198.51.100.1:8080", "172.18.0.2:80/tcp was 172.17.0.1:22", "203.0.113.10:443/tcp was 192.0.2.7:443", "192.0.2.7:443/udp was 203.0.113.10:80"} {
		out = append(out, parsePacket(t, "dnat "+text))
	}
	return out
}

// ruleset is what single makes of two texts.
func ruleset(t testing.TB, label, preset string) nft.Ruleset {
	s := single(label, preset)
	s.Names, s.Below, s.DeniedBelow = packetNames(), packetBelow(), packetDenied()
	state, _ := s.state()
	r, _ := build(t, state)
	return r
}

// packetBelow and packetDenied are what was learned beneath wildcards in property tests.
func packetBelow() map[string]beneath {
	return map[string]beneath{
		"example.com":   {"x.example.com": addrs("192.0.2.6", "10.9.9.9", "198.51.100.1"), "y.b.example.com": addrs("203.0.113.16")},
		"b.example.com": {"y.b.example.com": addrs("203.0.113.16")},
		"com":           {"x.example.com": addrs("192.0.2.6"), "y.b.example.com": addrs("203.0.113.16")},
		"example.net":   {"x.example.net": addrs("9.9.9.9", "172.17.0.1", "2001:db8:1::10")},
	}
}

func packetDenied() map[string]beneath {
	return map[string]beneath{
		"example.com":   {"y.b.example.com": addrs("203.0.113.16", "192.0.2.8", "172.18.0.2")},
		"b.example.com": {"y.b.example.com": addrs("203.0.113.16", "192.0.2.8", "172.18.0.2")},
		"example.net":   {"z.example.net": addrs("9.9.9.9", "198.51.100.1")},
	}
}

// widened is a packet that passes by more and not by less.
func widened(packets []nft.Packet, less, more nft.Ruleset) string {
	for _, p := range packets {
		if more.Judge(p).Pass && !less.Judge(p).Pass {
			return fmt.Sprintf("%+v", p)
		}
	}
	return ""
}

func drawText(t *rapid.T, name string) []string {
	token := rapid.Custom(func(t *rapid.T) string {
		text := rapid.SampledFrom(goodTokens()).Draw(t, "good")
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0, 1, 2:
			return "!" + text
		case 3:
			return rapid.SampledFrom(garbage()).Draw(t, "garbage")
		}
		return text
	})
	return rapid.SliceOfN(token, 0, 8).Draw(t, name)
}

func insert(t *rapid.T, tokens []string, token string) []string {
	return slices.Insert(slices.Clone(tokens), rapid.IntRange(0, len(tokens)).Draw(t, "at"), token)
}

func join(tokens []string) string { return strings.Join(tokens, ", ") }

func TestNoMistakeAndNoDenialWidens(t *testing.T) {
	packets := worldPackets(t)
	rapid.Check(t, func(rt *rapid.T) {
		label, preset := drawText(rt, "label"), drawText(rt, "default")
		was := ruleset(t, join(label), join(preset))
		for what, less := range map[string]nft.Ruleset{
			"garbage in the label":   ruleset(t, join(insert(rt, label, rapid.SampledFrom(garbage()).Draw(rt, "bad"))), join(preset)),
			"garbage in the default": ruleset(t, join(label), join(insert(rt, preset, rapid.SampledFrom(garbage()).Draw(rt, "bad")))),
			"a denial in the label":  ruleset(t, join(insert(rt, label, "!"+rapid.SampledFrom(goodTokens()).Draw(rt, "deny"))), join(preset)),
			"a denial everywhere":    ruleset(t, join(label), join(insert(rt, preset, "!"+rapid.SampledFrom(goodTokens()).Draw(rt, "deny")))),
		} {
			if p := widened(packets, was, less); p != "" {
				rt.Fatalf("%s lets through: %s", what, p)
			}
		}
		allow := rapid.SampledFrom(goodTokens()).Draw(rt, "allow")
		if p := widened(packets, ruleset(t, join(insert(rt, label, allow)), join(preset)), was); p != "" {
			rt.Fatalf("without %s more passes: %s", allow, p)
		}
	})
}

func TestALabelIsItsContainersOwnAffair(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		one, two := ruleset(t, join(drawText(rt, "one")), ""), ruleset(t, join(drawText(rt, "two")), "")
		for _, p := range worldPackets(t) {
			if p.Dst.Is6() {
				continue // db has no IPv6 address
			}
			p.Src = addrs("172.17.0.3")[0]
			if x, y := one.Judge(p), two.Judge(p); x != y {
				rt.Fatalf("db's verdict on %+v: %+v, then %+v", p, x, y)
			}
		}
	})
}

func TestNamesNeverOpenWhatIsGuarded(t *testing.T) {
	guarded := addrs("127.0.0.1", "127.9.9.9", "::1", "169.254.169.254", "169.254.1.1", "fe80::1", "198.51.100.1", "2001:db8:ffff::1", "172.17.0.1", "172.17.0.200", "172.18.0.2", "fd00:17::9",
		"0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "64:ff9b::c633:6401", "64:ff9b::7f00:1", "2002:ac11:1::1", "::ffff:127.0.0.1", "::ffff:198.51.100.1", "::172.18.0.2", "fd00:ec2::254")
	rapid.Check(t, func(rt *rapid.T) {
		label := rapid.SampledFrom([]string{"www.example.com", "*.example.com", "www.example.com:443", "*.example.com, www.example.com/tcp"}).Draw(rt, "label")
		meant := rapid.SliceOfDistinct(rapid.SampledFrom(append(guarded, addrs("203.0.113.1", "10.1.1.1")...)), rapid.ID[netip.Addr]).Draw(rt, "addresses")
		deny, learned := rapid.Bool().Draw(rt, "deny"), rapid.Bool().Draw(rt, "learned")
		text := label
		if deny {
			text = "*, _host_, _internet_, !" + strings.ReplaceAll(label, ", ", ", !")
		}
		s := single(text, "")
		s.Names = map[string]addrList{"www.example.com": meant}
		if learned && strings.Contains(label, "*") {
			s.Names = nil
			s.Below = map[string]beneath{"example.com": {"x.example.com": meant}}
			s.DeniedBelow = s.Below
		}
		state, _ := s.state()
		r, _ := build(t, state)
		for _, a := range guarded {
			for _, hook := range []nft.Hook{nft.Forward, nft.Input} {
				p := nft.Packet{Hook: hook, In: "docker0", InBridge: true, Src: addrs("172.17.0.2")[0], Dst: a.Unmap(), Proto: nft.TCP, DstPort: 443}
				if p.Dst.Is6() {
					p.Src = addrs("fd00:17::2")[0]
				}
				got, want := r.Judge(p).Pass, deny && !slices.ContainsFunc(meant, func(m netip.Addr) bool { return m.Unmap() == p.Dst })
				if got != want {
					rt.Fatalf("%q with %v: %s to %s: pass %v", text, meant, hook, a, got)
				}
			}
		}
	})
}

func TestOrderOfInputDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := single(join(drawText(rt, "label")), join(drawText(rt, "default")))
		s.Names, s.Below, s.DeniedBelow = packetNames(), drawBelow(rt, "below"), drawBelow(rt, "denied")
		s.Unknown = rapid.SliceOf(rapid.SampledFrom([]string{"*.example.com", "*.com", "www.example.com"})).Draw(rt, "unknown")
		s.GatewayNetworks = rapid.SampledFrom([]string{"", "!other", "bridge", "bridge, other", "!bridge, gone"}).Draw(rt, "networks")
		s.Bridges = []string{"docker0", "br-x", "br-lan", "br-lan"}
		bad := map[string]string{"dockerwall.outbound": "x, *.com"}
		id := strings.Repeat("a", 64)
		s.Containers = append(s.Containers, scenarioContainer{Name: "twin1", ID: id, Labels: bad}, scenarioContainer{Name: "twin2", ID: id[1:] + "b", Labels: bad})
		s.Networks = append(s.Networks,
			scenarioNetwork{Name: "x1", Bridge: "br-x", Endpoints: endpoints("web", "172.30.0.2", "db", "172.30.0.2", "twin1", "172.30.0.3", "twin2", "172.30.0.4")},
			scenarioNetwork{Name: "x2", Bridge: "br-x", Endpoints: endpoints("web", "172.30.0.5")})
		drawPorts(rt, &s)
		state, _ := s.state()
		r, problems := build(t, state)
		mixed, _ := s.state()
		mixed.Docker.Containers = rapid.Permutation(mixed.Docker.Containers).Draw(rt, "containers")
		mixed.Docker.Networks = rapid.Permutation(mixed.Docker.Networks).Draw(rt, "order of networks")
		for i := range mixed.Docker.Networks {
			mixed.Docker.Networks[i].Endpoints = rapid.Permutation(mixed.Docker.Networks[i].Endpoints).Draw(rt, "endpoints")
			mixed.Docker.Networks[i].Subnets = rapid.Permutation(mixed.Docker.Networks[i].Subnets).Draw(rt, "subnets")
		}
		mixed.Ports = rapid.Permutation(mixed.Ports).Draw(rt, "order of ports")
		mixed.Interfaces.Bridges = rapid.Permutation(mixed.Interfaces.Bridges).Draw(rt, "bridges")
		mixed.Resolvers.Containers = rapid.Permutation(mixed.Resolvers.Containers).Draw(rt, "resolvers")
		for _, below := range []map[string][]resolver.Named{mixed.Below, mixed.DeniedBelow} {
			for parent, named := range below {
				if len(named) > 1 {
					below[parent] = rapid.Permutation(named).Draw(rt, "learned beneath "+parent)
				}
			}
		}
		again, problemsAgain := build(t, mixed)
		plainly := cmp.Options{cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })}
		if diff := cmp.Diff(r, again, plainly); diff != "" {
			rt.Fatal(diff)
		}
		if diff := cmp.Diff(problems, problemsAgain); diff != "" {
			rt.Fatal(diff)
		}
	})
}

// drawPorts gives endpoints and ports MACs of which some are equal.
func drawPorts(rt *rapid.T, s *scenario) {
	s.BindPorts = rapid.Bool().Draw(rt, "bind ports")
	macs := []string{"", "no MAC", "02:42:ac:11:00:02", "02:42:ac:11:00:03", "02:42:ac:11:00:04", "00:00:00:00:00:00", "01:00:5e:00:00:01"}
	for i, n := range s.Networks {
		s.Networks[i].MACs = map[string]string{}
		for _, c := range []string{"web", "db", "cache", "twin1", "twin2"} {
			if _, ok := n.Endpoints[c]; ok {
				s.Networks[i].MACs[c] = rapid.SampledFrom(macs).Draw(rt, "MAC")
			}
		}
	}
	for i := range rapid.IntRange(0, 6).Draw(rt, "ports") {
		mac, _ := nft.ParseMAC(rapid.SampledFrom(macs[2:]).Draw(rt, "MAC of a port"))
		name := rapid.SampledFrom([]string{"veth", `veth"`, "a-veth-of-17-by-"}).Draw(rt, "port") + fmt.Sprint(i/2)
		s.Ports = append(s.Ports, scenarioPort{Name: name, Bridge: rapid.SampledFrom([]string{"docker0", "br-x", "virbr0"}).Draw(rt, "bridge of a port"), MAC: mac})
	}
}

func FuzzBuild(f *testing.F) {
	f.Add("www.example.com, 192.0.2.7:443", "*.example.org, !10.0.0.0/8", "!blue")
	f.Add("192.0.2.1:1,192.0.2.2:1,192.0.2.2:1-9/tcp,!192.0.2.0/24/icmp", "!_dns_,_host_:1", "bridge,other")
	for _, token := range slices.Concat(goodTokens(), garbage()) {
		f.Add(token+","+token+":443", "!"+token, token)
	}
	packets := worldPackets(f)
	f.Fuzz(func(t *testing.T, label, preset, networks string) {
		s := single(label, preset)
		bind(t, &s)
		s.Names, s.Below, s.DeniedBelow = packetNames(), packetBelow(), packetDenied()
		s.GatewayNetworks = networks
		state, _ := s.state()
		r, problems := build(t, state)
		_ = r.String()
		turned, _ := s.state()
		turn(&turned)
		if again, p := build(t, turned); again.String() != r.String() || !slices.Equal(p, problems) {
			t.Error("the order of input matters")
		}
		blind := s
		blind.Unknown = Names(state).Deny
		state, _ = blind.state()
		withheld, _ := build(t, state)
		if p := widened(packets, r, withheld); p != "" {
			t.Errorf("with denied names unknown more passes: %s", p)
		}
		for _, bad := range []string{"x y", "!x y"} {
			worse := s
			worse.Containers = slices.Clone(s.Containers)
			worse.Containers[0].Labels = map[string]string{policy.LabelOutbound: label + "," + bad}
			state, _ := worse.state()
			less, _ := build(t, state)
			if p := widened(packets, r, less); p != "" {
				t.Errorf("with %q more passes: %s", bad, p)
			}
		}
	})
}
