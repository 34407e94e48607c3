package reconcile

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/docker/dockertest"
	"github.com/dockerwall/dockerwall/flows"
	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/operator"
	"github.com/dockerwall/dockerwall/policy"
)

// crowd is a host of n containers with 20 tokens each: names, addresses, prefixes, ports, a wildcard
// and a denial, beside the labels that Compose sets.
func crowd(n int) State {
	config := Config{LogGroup: 32}
	config.Default, _ = policy.Parse("*.example.org, ntp.example.net:123/udp, !203.0.113.66")
	s := State{Config: config, ImageLabels: map[string]map[string]string{"app": {"maintainer": "x"}}, Names: map[string][]netip.Addr{}, Resolvers: asking("198.51.100.53")}
	s.Interfaces.Addrs = addrs("127.0.0.1", "198.51.100.1", "::1")
	var network docker.Network
	for i := range n {
		if i%250 == 0 {
			if i > 0 {
				s.Docker.Networks = append(s.Docker.Networks, network)
			}
			id := dockertest.ID(fmt.Sprint("network", i))
			subnet := netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 20, byte(i / 250), 0}), 24)
			network = docker.Network{ID: id, Name: fmt.Sprint("net", i), Bridge: "br-" + id[:12], Subnets: []netip.Prefix{subnet}}
		}
		id := dockertest.ID(fmt.Sprint("container", i))
		tokens := []string{"*.cdn" + fmt.Sprint(i%50) + ".example.com", "!10.0.0." + fmt.Sprint(i%250), "_host_:5432/tcp"}
		for j := range 6 {
			name := fmt.Sprintf("n%d-%d.example.com", i, j)
			s.Names[name] = []netip.Addr{netip.AddrFrom4([4]byte{203, 0, byte(i), byte(j)}), netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 14: byte(i), 15: byte(j)})}
			tokens = append(tokens, name, fmt.Sprintf("192.0.2.%d:%d/tcp", j*7+1, 1000+i%100))
		}
		for j := range 5 {
			tokens = append(tokens, fmt.Sprintf("10.%d.%d.0/24", i%256, j))
		}
		labels := map[string]string{policy.LabelOutbound: strings.Join(tokens, ", ")}
		for j := range 10 {
			labels[fmt.Sprintf("com.docker.compose.label%d", j)] = fmt.Sprint("value", i)
		}
		s.Docker.Containers = append(s.Docker.Containers, docker.Container{ID: id, Name: fmt.Sprint("c", i), ImageID: "app", State: "running", Labels: labels})
		mac := nft.MAC{2, 0x42, 172, 20, byte(i / 250), byte(i%250 + 2)}
		network.Endpoints = append(network.Endpoints, docker.Endpoint{ContainerID: id, IPv4: netip.AddrFrom4([4]byte(mac[2:])), MAC: mac.String()})
		s.Ports = append(s.Ports, hostnet.Port{Index: int32(i), Name: fmt.Sprintf("veth%07x", i), Bridge: network.Bridge, MAC: mac})
	}
	s.Docker.Networks = append(s.Docker.Networks, network)
	return s
}

// BenchmarkBuild is a run of the loop after the first: labels were read when their containers appeared.
func BenchmarkBuild(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := crowd(n)
			s = s.ready()
			b.ReportAllocs()
			for b.Loop() {
				s.library = s.read(s.library)
				Names(s)
				if r, _ := Build(s); len(r.Containers) != n {
					b.Fatal("containers are missing")
				}
			}
		})
	}
}

// BenchmarkBindPorts is what binding ports adds to it.
func BenchmarkBindPorts(b *testing.B) {
	s := crowd(1000)
	s.Config.BindPorts = true
	bare := builder{state: s, rules: s.skeleton()}
	bare.networks()
	b.ReportAllocs()
	for b.Loop() {
		again := bare
		again.rules.Ports = nil
		again.bindPorts(again.findPorts())
		if len(again.rules.Ports) != 1000 {
			b.Fatal("ports are missing")
		}
	}
}

// BenchmarkFirstBuild is the run after a start, or that of a caller without a Gather.
func BenchmarkFirstBuild(b *testing.B) {
	s := crowd(1000)
	b.ReportAllocs()
	for b.Loop() {
		s = s.ready()
		Names(s)
		Build(s)
	}
}

// BenchmarkJudgeFlows is what a policy that became tighter costs beside the list of flows: all of them are judged.
func BenchmarkJudgeFlows(b *testing.B) {
	s := crowd(1000)
	r, _ := Build(s)
	for _, n := range []int{1000, 50000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			all := make([]flows.Flow, 0, n)
			for i := range n {
				c := r.Containers[i%len(r.Containers)]
				src := netip.AddrPortFrom(c.Endpoints[0].Addr, uint16(30000+i/len(r.Containers)))
				dst := netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(i), byte(i >> 8 % 7)}), 443)
				all = append(all, flows.Flow{Proto: nft.TCP, Src: src, Dst: dst, To: dst})
			}
			b.ReportAllocs()
			for b.Loop() {
				choose(all, nil, newJudge(s, r, false))
			}
		})
	}
}

// BenchmarkTightens is asked at every commit.
func BenchmarkTightens(b *testing.B) {
	s := crowd(1000)
	old, _ := Build(s)
	r, _ := Build(s)
	for b.Loop() {
		if r.Tightens(old) || len(r.Gone(old)) > 0 {
			b.Fatal("nothing changed")
		}
	}
}

// BenchmarkReadFiles is a run after files of 100 rules have changed, for 1,000 containers.
func BenchmarkReadFiles(b *testing.B) {
	s := crowd(1000)
	text, _ := policy.Parse("www.example.com:443, 192.0.2.0/24")
	for i := range 100 {
		s.Operator.Rules = append(s.Operator.Rules, operator.Rule{
			File: "10.yaml", Line: i + 1, Match: operator.Match{Container: []string{fmt.Sprintf("*%d", i)}}, Policy: text,
		})
	}
	s = s.ready()
	b.ReportAllocs()
	for b.Loop() {
		s.Operator.Rules = slices.Clone(s.Operator.Rules)
		s.library = s.read(s.library)
		if r, _ := Build(s); len(r.Containers) != 1000 {
			b.Fatal("containers are missing")
		}
	}
}
