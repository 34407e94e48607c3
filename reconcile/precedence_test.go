package reconcile

import (
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/operator"
	"github.com/dockerwall/dockerwall/overlay"
	"github.com/dockerwall/dockerwall/policy"
)

// words are tokens that mean one address each, or a group of such.
func words() []string {
	return []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "one.example.com", "*.example.com", "@pair", "@names"}
}

// meaning is the addresses of words, to the reference.
func meaning() map[string][]string {
	return map[string][]string{
		"192.0.2.1": {"192.0.2.1"}, "192.0.2.2": {"192.0.2.2"}, "192.0.2.3": {"192.0.2.3"},
		"one.example.com": {"203.0.113.1"}, "*.example.com": {"203.0.113.1", "203.0.113.2"},
		"@pair": {"192.0.2.1", "192.0.2.2"}, "@names": {"203.0.113.1", "192.0.2.3"},
	}
}

// stand is one place where tokens stand, as the reference sees it: "!" in front denies.
type stand []string

// reference is the rule of precedence: a denial anywhere beats every allow; then allows; then deny. Where a place names what
// is denied and does not exist, or a name of which it is not known what it means, none of its allows counts.
func reference(places []stand, known bool, addr string) bool {
	allowed := false
	for _, place := range places {
		lost := slices.Contains(place, "!@none") || !known && (slices.Contains(place, "!one.example.com") || slices.Contains(place, "!@names"))
		for _, word := range place {
			deny := word[0] == '!'
			if deny {
				word = word[1:]
			}
			if !slices.Contains(meaning()[word], addr) {
				continue
			}
			if deny {
				return false
			}
			allowed = allowed || !lost
		}
	}
	return allowed
}

func drawPlace(t *rapid.T, name string, groups ...string) stand {
	word := rapid.Custom(func(t *rapid.T) string {
		w := rapid.SampledFrom(append(words(), groups...)).Draw(t, "word")
		if rapid.IntRange(0, 2).Draw(t, "deny") == 0 {
			return "!" + w
		}
		return w
	})
	return rapid.SliceOfN(word, 0, 4).Draw(t, name)
}

func groupsOf(t testing.TB) map[policy.Group]operator.Group {
	out := map[policy.Group]operator.Group{}
	for name, text := range map[policy.Group]string{"pair": "192.0.2.1,192.0.2.2", "names": "one.example.com, 192.0.2.3"} {
		p, problems := policy.Parse(text)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		out[name] = operator.Group{Name: name, Policy: p}
	}
	return out
}

// TestPrecedence draws a label, DEFAULT_OUTBOUND, rules of files, of which some are for the container, and an overlay, for one
// container or for two with the same label.
func TestPrecedence(t *testing.T) {
	groups := groupsOf(t)
	rapid.Check(t, func(rt *rapid.T) {
		label, preset := drawPlace(rt, "label", "@none"), drawPlace(rt, "default", "@none")
		places := []stand{label, preset}
		s := single(join(label), "")
		s.Names = map[string][]netip.Addr{"one.example.com": addrs("203.0.113.1")}
		s.Below = map[string]beneath{"example.com": {"two.example.com": addrs("203.0.113.2")}}
		s.DeniedBelow = map[string]beneath{"example.com": {"two.example.com": addrs("203.0.113.2")}}
		state, _ := s.state()
		known := rapid.Bool().Draw(rt, "the denied name's addresses are known")
		if state.Denied = nil; known {
			state.Denied = map[string][]netip.Addr{"one.example.com": addrs("203.0.113.1")}
		}
		state.Config.DefaultText = join(preset)
		state.Operator.Groups = groups
		parse := func(place stand) policy.Policy {
			p, _ := state.Operator.Grammar().Parse(join(place))
			return p
		}
		for i := range rapid.IntRange(0, 3).Draw(rt, "rules") {
			place, matches := drawPlace(rt, "rule"), rapid.Bool().Draw(rt, "matches")
			rule := operator.Rule{File: "10.yaml", Line: i + 1, Match: operator.Match{Container: []string{"other"}}, Policy: parse(place)}
			if matches {
				rule.Match.Container = []string{"we*"}
				places = append(places, place)
			}
			state.Operator.Rules = append(state.Operator.Rules, rule)
		}
		c := state.Docker.Containers[slices.IndexFunc(state.Docker.Containers, func(c docker.Container) bool { return c.Name == "web" })]
		if rapid.Bool().Draw(rt, "overlay") {
			place := drawPlace(rt, "added")
			places = append(places, place)
			var grants []overlay.Grant
			for _, t := range parse(place).Tokens {
				grants = append(grants, overlay.Grant{Token: t})
			}
			state.Overlay.Containers = map[string]overlay.Container{c.ID: {Grants: grants}}
		}
		if rapid.Bool().Draw(rt, "a second one has the label") {
			twin := c
			twin.ID, twin.Name = "f"+c.ID[1:], "other"
			state.Docker.Containers = append(state.Docker.Containers, twin)
		}
		r, problems := Build(state)
		if err := r.Validate(); err != nil {
			rt.Fatal(err)
		}
		for addr := range map[string]bool{"192.0.2.1": true, "192.0.2.2": true, "192.0.2.3": true, "203.0.113.1": true, "203.0.113.2": true, "198.18.0.1": true} {
			want := reference(places, known, addr)
			if got := reaches(r, c, addr); got != want {
				rt.Fatalf("%s: %v, want %v of %q; problems %v\n%s", addr, got, want, places, problems, r)
			}
			if known && want != saysPolicy(state, c, addr) {
				rt.Fatalf("%s: status's tokens say otherwise of %q", addr, places)
			}
		}
	})
}

func reaches(r nft.Ruleset, c docker.Container, addr string) bool {
	i := slices.IndexFunc(r.Containers, func(n nft.Container) bool { return n.ID == short(c.ID) })
	from := r.Containers[i].Endpoints[0]
	return r.Judge(nft.Packet{Hook: nft.Forward, In: from.Bridge, InBridge: true, Src: from.Addr, Dst: netip.MustParseAddr(addr), Proto: nft.TCP, DstPort: 443}).Pass
}

// saysPolicy decides by the tokens that people are shown.
func saysPolicy(s State, c docker.Container, addr string) bool {
	allowed := false
	for _, t := range s.Policy(c).Tokens {
		word := policy.Token{Dest: t.Dest}.String()
		if !slices.Contains(meaning()[word], addr) {
			continue
		}
		if t.Deny {
			return false
		}
		allowed = true
	}
	return allowed
}
