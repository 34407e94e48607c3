package reconcile

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/operator"
	"github.com/dockerwall/dockerwall/overlay"
	"github.com/dockerwall/dockerwall/policy"
)

// said is a change in a few words.
func said(c Change) string {
	text := c.Container.Name
	for _, t := range c.Added {
		text += fmt.Sprintf(" +%s (%s)", t.Token, t.Origin)
	}
	for _, t := range c.Removed {
		text += fmt.Sprintf(" -%s (%s)", t.Token, t.Origin)
	}
	if c.Was != c.Mode {
		text += fmt.Sprintf(" %s->%s", c.Was, c.Mode)
	}
	if c.Rejected != c.Rejects {
		text += fmt.Sprintf(" reject %v", c.Rejects)
	}
	return text
}

func TestChanges(t *testing.T) {
	audit, reject := policy.ModeAudit, true
	rule := func(line int, container, text string) operator.Rule {
		p, _ := policy.AnyGroup().Parse(text)
		lines := map[policy.Token]int{}
		for i, t := range p.Tokens {
			lines[t] = line + 1 + i
		}
		return operator.Rule{File: "10.yaml", Line: line, Match: operator.Match{Container: []string{container}}, Policy: p, Lines: lines}
	}
	base := func() State {
		s, _ := single("192.0.2.1", "192.0.2.2").state()
		s.Operator.Groups = groupsOf(t)
		s.Operator.Rules = []operator.Rule{rule(3, "web", "192.0.2.7, @pair")}
		return s
	}
	for name, test := range map[string]struct {
		change func(*State)
		want   []string
	}{
		"nothing":                        {func(*State) {}, nil},
		"lines that moved":               {func(s *State) { s.Operator.Rules[0] = rule(30, "web", "192.0.2.7, @pair") }, nil},
		"a token more and one less":      {func(s *State) { s.Operator.Rules[0] = rule(3, "web", "!192.0.2.8, @pair") }, []string{"web +!192.0.2.8 (10.yaml:5) -192.0.2.7 (10.yaml:4)"}},
		"a rule that is for others, too": {func(s *State) { s.Operator.Rules = append(s.Operator.Rules, rule(9, "?b", "192.0.2.9")) }, []string{"db +192.0.2.9 (10.yaml:10)"}},
		"a rule less":                    {func(s *State) { s.Operator.Rules = nil }, []string{"web -192.0.2.7 (10.yaml:4) -@pair (10.yaml:5) -192.0.2.1 (@pair in 10.yaml:5) -192.0.2.2 (@pair in 10.yaml:5)"}},
		"a group that lists something else": {func(s *State) {
			s.Operator.Groups["pair"] = operator.Group{Name: "pair", Policy: rule(1, "x", "192.0.2.1").Policy}
		}, []string{"web -192.0.2.2 (@pair in 10.yaml:5)"}},
		"modes": {func(s *State) { s.Operator.Rules[0].Mode, s.Operator.Rules[0].Reject = &audit, &reject }, []string{"web enforce->audit reject true"}},
		"at run time": {func(s *State) {
			web := s.Docker.Containers[slices.IndexFunc(s.Docker.Containers, func(c docker.Container) bool { return c.Name == "web" })]
			s.Overlay.Containers = map[string]overlay.Container{web.ID: {Grants: []overlay.Grant{{Token: rule(1, "x", "192.0.2.1").Policy.Tokens[0]}}}}
		}, []string{"web +192.0.2.1 (added at run time)"}},
		"another label that is the same":  {func(s *State) { s.Docker.Containers[1].Labels = s.Docker.Containers[0].Labels }, []string{"db +192.0.2.1 (dockerwall.outbound)"}},
		"a container that comes, or goes": {func(s *State) { s.Docker.Containers = s.Docker.Containers[:1] }, nil},
		"a default that has another group": {func(s *State) { s.Config.DefaultText = "192.0.2.2, @names" }, []string{
			"cache +@names (DEFAULT_OUTBOUND) +192.0.2.3 (@names in DEFAULT_OUTBOUND) +one.example.com (@names in DEFAULT_OUTBOUND)",
			"db +@names (DEFAULT_OUTBOUND) +192.0.2.3 (@names in DEFAULT_OUTBOUND) +one.example.com (@names in DEFAULT_OUTBOUND)",
			"web +@names (DEFAULT_OUTBOUND) +192.0.2.3 (@names in DEFAULT_OUTBOUND) +one.example.com (@names in DEFAULT_OUTBOUND)",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			old, now := base().ready(), base()
			test.change(&now)
			now.library = now.read(old.library)
			var got []string
			for _, c := range Changes(old, now) {
				got = append(got, said(c))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestAnEarlierStateStaysAsItIs: others look at the last one while the next is read.
func TestAnEarlierStateStaysAsItIs(t *testing.T) {
	at := func(line int) []operator.Rule {
		p, _ := policy.Parse("192.0.2.7")
		return []operator.Rule{{
			File: "10.yaml", Line: 1, Match: operator.Match{Container: []string{"web"}}, Policy: p, Lines: map[policy.Token]int{p.Tokens[0]: line},
		}}
	}
	s, _ := single("", "").state()
	s.Operator.Rules = at(3)
	s = s.ready()
	web := s.Docker.Containers[slices.IndexFunc(s.Docker.Containers, func(c docker.Container) bool { return c.Name == "web" })]
	next := s
	next.Operator.Rules = at(30)
	next.library = next.read(s.library)
	for want, state := range map[string]State{"10.yaml:3": s, "10.yaml:30": next} {
		if got := state.Policy(web).Tokens[0].Origin; got != want {
			t.Errorf("the token stands at %s, not at %s", got, want)
		}
	}
}
