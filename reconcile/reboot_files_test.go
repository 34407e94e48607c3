package reconcile

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dockerwall/dockerwall/operator"
	"github.com/dockerwall/dockerwall/overlay"
	"github.com/dockerwall/dockerwall/policy"
)

// TestAfterABootFilesCount draws what files and people said while containers ran, and what they say now: nothing passes
// between the next boot and the Engine's answer that the ruleset after it denies.
func TestAfterABootFilesCount(t *testing.T) {
	packets := worldPackets(t)
	rapid.Check(t, func(rt *rapid.T) {
		var all []comer
		n := rapid.IntRange(1, 3).Draw(rt, "containers")
		labels := [][]string{drawText(rt, "label"), drawText(rt, "label")}
		for i := range n {
			all = append(all, comer{name: string(rune('a' + i)), label: join(rapid.SampledFrom(labels).Draw(rt, "label of one")), still: rapid.IntRange(0, 4).Draw(rt, "still") == 0})
		}
		then := comers(docker0(), nil, all...)
		drawSaid(rt, &then)
		now := then
		now.library = nil
		if rapid.Bool().Draw(rt, "files change") {
			drawSaid(rt, &now)
		}
		after := now
		after.Overlay, _ = now.Overlay.Lasting()
		for _, s := range []*State{&then, &now, &after} {
			s.Denied = map[string][]netip.Addr{}
		}
		for _, s := range []State{then, now} {
			s.Docker = asRunning(s)
			for _, name := range Names(s).Deny {
				then.Denied[name], now.Denied[name], after.Denied[name] = packetNames()[name], packetNames()[name], packetNames()[name]
			}
		}
		some := func(s State, what string) State {
			order := rapid.Permutation(indices(n)).Draw(rt, what)
			return placed(s, order[:rapid.IntRange(0, n).Draw(rt, "how many")])
		}
		ran := some(then, "ran")
		was, _ := build(t, ran)
		runs := some(now, "run")
		is, _ := build(t, runs)
		boot := Reboot(runs, is, Remember(ran, was))
		if err := boot.Validate(); err != nil {
			rt.Fatal(err)
		}
		back, _ := build(t, placed(after, rapid.Permutation(indices(n)).Draw(rt, "after")))
		for _, c := range back.Containers {
			for _, e := range c.Endpoints {
				for _, p := range packets {
					if p.Src = e.Addr; p.Src.Is4() == p.Dst.Is4() && boot.Judge(p).Pass && !back.Judge(p).Pass {
						rt.Fatalf("%s of %s may send %+v\nboot:\n%s\nafter:\n%s", e.Addr, c.Name, p, boot, back)
					}
				}
			}
		}
	})
}

// drawSaid draws rules of files, a group and what is said at run time.
func drawSaid(rt *rapid.T, s *State) {
	group, _ := policy.Parse(join(drawText(rt, "group")))
	group.Tokens = slices.DeleteFunc(group.Tokens, func(t policy.Token) bool { return t.Deny })
	s.Operator = operator.Policies{Groups: map[policy.Group]operator.Group{"g": {Name: "g", Policy: group}}}
	text := func(name string) policy.Policy {
		words := drawText(rt, name)
		p, _ := s.Operator.Grammar().Parse(join(append(words, rapid.SampledFrom([]string{"", "@g", "!@g"}).Draw(rt, "the group"))))
		return p
	}
	for i := range rapid.IntRange(0, 2).Draw(rt, "rules") {
		r := operator.Rule{File: "10.yaml", Line: i + 1, Match: operator.Match{Container: []string{rapid.SampledFrom([]string{"*", "a", "b"}).Draw(rt, "glob")}}, Policy: text("rule")}
		r.Mode = rapid.SampledFrom([]*policy.Mode{nil, nil, new(policy.Mode)}).Draw(rt, "mode")
		s.Operator.Rules = append(s.Operator.Rules, r)
	}
	s.Overlay = overlay.Overlay{Containers: map[string]overlay.Container{}}
	for _, c := range s.Docker.Containers {
		var one overlay.Container
		if rapid.Bool().Draw(rt, "said") {
			for _, t := range text("said").Tokens {
				g := overlay.Grant{Token: t}
				if rapid.Bool().Draw(rt, "for a while") {
					g.Until = time.Unix(1, 0)
				}
				one.Grants = append(one.Grants, g)
			}
		}
		if rapid.IntRange(0, 3).Draw(rt, "a mode") == 0 {
			one.Mode = &overlay.Switch{Mode: rapid.SampledFrom([]policy.Mode{policy.ModeAudit, policy.ModeEnforce}).Draw(rt, "which")}
			if rapid.Bool().Draw(rt, "for a while") {
				one.Mode.Until = time.Unix(1, 0)
			}
		}
		s.Overlay.Containers[c.ID] = one
	}
}
