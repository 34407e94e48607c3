package reconcile

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dockerwall/dockerwall/policy"
)

// openQuestions leave open what full ones do not: ports, protocols, addresses.
func openQuestions() []string {
	return []string{
		"192.0.2.7", "192.0.2.8:443", "203.0.113.10:80-443/tcp", "203.0.113.11/udp", "[2001:db8:1::10]:443", "172.17.0.1", "198.51.100.1:22", "198.51.100.53:53", "172.18.0.2:80/tcp", "9.9.9.9:443/tcp",
		"169.254.169.254:80/tcp", "10.9.9.9/icmp", "www.example.com", "www.example.com:443", "a.b.example.com:443/tcp", "mix.example.net:80/tcp", "host.example.net:22/tcp", "intra.example.net:80/tcp",
		"meta.example.net", "cache.example.net:80", "_host_", "_host_:22/tcp", "_dns_", ":443/tcp", "/icmp", ":53", "nowhere.example.com:443/tcp", "224.0.0.1", "172.17.0.3:80", "127.0.0.1:80",
	}
}

// TestWhatAnExplanationSaysHolds: an answer is whole, and the token of a denial opens what was asked about.
func TestWhatAnExplanationSaysHolds(t *testing.T) {
	denied, opened := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		label, preset := drawText(rt, "label"), join(drawText(rt, "default"))
		asks := rapid.SampledFrom(openQuestions()).Draw(rt, "question")
		world := func(label string) scenario {
			s := explainWorld(label, preset)
			s.Below, s.DeniedBelow = packetBelow(), packetDenied()
			return s
		}
		e := explained(t, world(join(label)), ask(t, "web", asks))
		whole := map[Verdict]bool{Allowed: e.Failed == "" && e.Token == "" && e.Depends == "", Denied: e.Failed != "" && e.Depends == "", Undecidable: e.Depends != ""}
		if !whole[e.Verdict] || len(e.Steps) < 2 || strings.Contains(e.shown(), "%!") {
			rt.Fatalf("%s: %s", asks, e.shown())
		}
		if e.Verdict != Denied {
			return
		}
		denied++
		if e.Token == "" || len(e.Addrs) == 0 {
			if e.Token == "" && e.Remedy == "" {
				rt.Fatalf("neither token nor remedy: %s", e.shown())
			}
			return
		}
		if p, problems := policy.Parse(e.Token); len(p.Tokens) != len(strings.Split(e.Token, ", ")) || len(problems) > 0 {
			rt.Fatalf("token %q: %v", e.Token, problems)
		}
		opened++
		if after := explained(t, world(join(append(label, e.Token))), ask(t, "web", asks)); after.Verdict != Allowed {
			rt.Fatalf("%s with the token it names: %s\nbefore: %s", asks, after.shown(), e.shown())
		}
	})
	t.Logf("%d denials, %d tokens", denied, opened)
	if opened == 0 {
		t.Error("no denial named a token")
	}
}
