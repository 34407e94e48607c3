package reconcile

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/operator"
	"github.com/dockerwall/dockerwall/overlay"
	"github.com/dockerwall/dockerwall/policy"
)

// TestWhatIsKeptOfTheLastStateChangesNothing has labels, images, groups, files, resolvers and what is said at run time change
// at random, and each state read from the last one and from nothing.
func TestWhatIsKeptOfTheLastStateChangesNothing(t *testing.T) {
	some := []string{"192.0.2.1", "!192.0.2.2", "*.example.com", "!one.example.com", "@pair", "!@pair", "!_dns_", "192.0.2.3:80", "!@names"}
	text := rapid.Map(rapid.SliceOfN(rapid.SampledFrom(some), 0, 3), func(words []string) string { return join(words) })
	rapid.Check(t, func(rt *rapid.T) {
		s, _ := single("", "").state()
		s.Config.DefaultText = text.Draw(rt, "default")
		web := s.Docker.Containers[slices.IndexFunc(s.Docker.Containers, func(c docker.Container) bool { return c.Name == "web" })]
		label := func() map[string]string {
			out := map[string]string{policy.LabelOutbound: text.Draw(rt, "label"), "tier": rapid.SampledFrom([]string{"front", "back"}).Draw(rt, "tier")}
			if rapid.Bool().Draw(rt, "says a mode") {
				out[policy.LabelMode] = "audit"
			}
			return out
		}
		var containers []docker.Container
		for i := range 4 {
			c := web
			c.ID, c.Name, c.ImageID, c.Labels = fmt.Sprint(i)+web.ID[1:], fmt.Sprint("web", i), fmt.Sprint("image", i%2), label()
			containers = append(containers, c)
			n := &s.Docker.Networks[0]
			n.Endpoints = append(n.Endpoints, docker.Endpoint{ContainerID: c.ID, EndpointID: c.ID, IPv4: netip.AddrFrom4([4]byte{172, 17, 9, byte(i)})})
		}
		images := map[string]map[string]string{"image0": label(), "image1": label()}
		last, known := &library{}, newIndex()
		var rules []operator.Rule
		for range 5 {
			next := s
			next.Operator.Rules = rules // the same ones, unless files change
			next.library, next.Docker.Containers = nil, nil
			for _, c := range containers {
				c.State = rapid.SampledFrom([]string{"running", "running", "exited"}).Draw(rt, "state")
				c.Resolvers = rapid.SampledFrom([][]netip.Addr{nil, addrs("192.0.2.53")}).Draw(rt, "resolvers")
				if rapid.IntRange(0, 3).Draw(rt, "there") > 0 {
					next.Docker.Containers = append(next.Docker.Containers, c)
				}
			}
			next.ImageLabels = map[string]map[string]string{}
			for _, id := range []string{"image0", "image1"} {
				if rapid.IntRange(0, 3).Draw(rt, "image") > 0 {
					next.ImageLabels[id] = images[id]
				}
			}
			change(rt, &next, text)
			rules = next.Operator.Rules
			kept := next
			kept.library = next.read(last)
			last = kept.library
			got, problems := Build(kept)
			want, others := Build(next)
			if key(got) != key(want) || fmt.Sprint(problems) != fmt.Sprint(others) {
				rt.Fatalf("from the last one\n%s\n%v\nfrom nothing\n%s\n%v", got, problems, want, others)
			}
			known.update(kept, newGuard(kept))
			fresh := newIndex()
			fresh.update(next, newGuard(next))
			if a, b := wanters(known), wanters(fresh); a != b {
				rt.Fatalf("learned addresses are for\n%s\nwanted\n%s", a, b)
			}
		}
	})
}

// change draws what files and people say.
func change(rt *rapid.T, s *State, text *rapid.Generator[string]) {
	s.Operator.Groups = map[policy.Group]operator.Group{}
	for _, name := range []policy.Group{"pair", "names"} {
		if p, _ := policy.Parse(rapid.SampledFrom([]string{"", "192.0.2.1", "192.0.2.2, one.example.com"}).Draw(rt, "group")); len(p.Tokens) > 0 {
			s.Operator.Groups[name] = operator.Group{Name: name, Policy: p}
		}
	}
	if rapid.Bool().Draw(rt, "files change") {
		s.Operator.Rules = nil
		drawRules(rt, s, text)
	}
	s.Overlay.Containers = map[string]overlay.Container{}
	for _, c := range s.Docker.Containers {
		var one overlay.Container
		p, _ := policy.AnyGroup().Parse(text.Draw(rt, "said"))
		for _, token := range p.Tokens {
			one.Grants = append(one.Grants, overlay.Grant{Token: token})
		}
		s.Overlay.Containers[c.ID] = one
	}
}

func drawRules(rt *rapid.T, s *State, text *rapid.Generator[string]) {
	for i := range rapid.IntRange(0, 3).Draw(rt, "rules") {
		p, _ := s.Operator.Grammar().Parse(text.Draw(rt, "rule"))
		m := rapid.SampledFrom([]operator.Match{{Container: []string{"web*"}}, {Container: []string{"web1"}}, {Labels: map[string][]string{"tier": {"front"}}}}).Draw(rt, "match")
		s.Operator.Rules = append(s.Operator.Rules, operator.Rule{File: "10.yaml", Line: i + 1, Match: m, Policy: p})
	}
}

// wanters are who wants what, as a text.
func wanters(x index) string {
	var out []string
	for p, wants := range x.wants {
		for _, w := range wants {
			out = append(out, fmt.Sprint(p, w))
		}
	}
	slices.Sort(out)
	return join(slices.Compact(out))
}
