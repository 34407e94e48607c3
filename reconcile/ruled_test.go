package reconcile

import (
	"slices"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/operator"
	"github.com/dockerwall/dockerwall/overlay"
	"github.com/dockerwall/dockerwall/policy"
)

// TestModes tells by whom a container's mode and answer are said.
func TestModes(t *testing.T) {
	enforce, audit, off, reject, drop := policy.ModeEnforce, policy.ModeAudit, policy.ModeOff, true, false
	at := func(m policy.Mode) *policy.Mode { return &m }
	rule := func(line int, m *policy.Mode, answer *bool) operator.Rule {
		return operator.Rule{File: "10.yaml", Line: line, Match: operator.Match{Container: []string{"web"}}, Mode: m, Reject: answer}
	}
	byImage := rule(9, at(off), &reject)
	byImage.Match = operator.Match{Labels: map[string][]string{"tier": {"front"}}}
	for name, test := range map[string]struct {
		label  string
		rules  []operator.Rule
		set    *overlay.Switch
		mode   policy.Mode
		reject bool
		origin string
	}{
		"nobody":                              {"", nil, nil, enforce, false, OriginImplied},
		"the label":                           {"audit", nil, nil, audit, false, policy.LabelMode},
		"a rule beats the label":              {"enforce", []operator.Rule{rule(1, at(off), nil)}, nil, off, false, "10.yaml:1"},
		"of rules the strictest counts":       {"off", []operator.Rule{rule(1, at(off), &reject), rule(2, at(audit), nil)}, nil, audit, true, "10.yaml:2"},
		"whatever their order":                {"off", []operator.Rule{rule(1, at(enforce), &drop), rule(2, at(off), &reject)}, nil, enforce, false, "10.yaml:1"},
		"a rule for an image's label says no": {"", []operator.Rule{byImage}, nil, enforce, false, OriginImplied},
		"what is set at run time beats rules": {"", []operator.Rule{rule(1, at(enforce), nil)}, &overlay.Switch{Mode: audit}, audit, false, OriginOverlay},
		"also the other way":                  {"off", []operator.Rule{rule(1, at(off), nil)}, &overlay.Switch{Mode: enforce}, enforce, false, OriginOverlay},
		"a pause records":                     {"", nil, &overlay.Switch{Mode: off, Paused: true}, audit, false, OriginOverlay},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := single("", "").state()
			s.ImageLabels = map[string]map[string]string{"": {"tier": "front"}}
			s.Operator.Rules = test.rules
			web := &s.Docker.Containers[0]
			web.Labels = map[string]string{"tier": "front"}
			if test.label != "" {
				web.Labels[policy.LabelMode] = test.label
			}
			s.Overlay.Containers = map[string]overlay.Container{web.ID: {Mode: test.set}}
			p := s.Policy(*web)
			if p.Mode != test.mode || p.Reject != test.reject || p.ModeOrigin != test.origin {
				t.Errorf("%s, reject %v, by %s", p.Mode, p.Reject, p.ModeOrigin)
			}
			if r, _ := build(t, s); !slices.ContainsFunc(r.Containers, func(c nft.Container) bool { return c.Name == "web" && c.Mode == modeOf(test.mode) }) {
				t.Error("the ruleset has another mode")
			}
		})
	}
}

// TestAnImageIsNotMatched by what it says of itself, but for denials.
func TestAnImageIsNotMatched(t *testing.T) {
	text, _ := policy.Parse("192.0.2.7, !192.0.2.8")
	label, _ := policy.Parse("192.0.2.8")
	for name, test := range map[string]struct {
		images  map[string]map[string]string
		allowed bool
	}{
		"a label of the container's own":           {map[string]map[string]string{"": {"tier": "back"}}, true},
		"one of its image":                         {map[string]map[string]string{"": {"tier": "front"}}, false},
		"one of nobody knows whom":                 {map[string]map[string]string{}, false},
		"one of its image, and images are trusted": {nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := single("", "").state()
			s.ImageLabels = test.images
			s.Docker.Containers[0].Labels = map[string]string{"tier": "front"}
			s.Config.Default = label
			s.Operator.Rules = []operator.Rule{{File: "10.yaml", Line: 1, Match: operator.Match{Labels: map[string][]string{"tier": {"fr*"}}}, Policy: text}}
			r, _ := build(t, s)
			if reaches(r, s.Docker.Containers[0], "192.0.2.8") {
				t.Error("the denial does not count")
			}
			if got := reaches(r, s.Docker.Containers[0], "192.0.2.7"); got != test.allowed {
				t.Errorf("allowed: %v", got)
			}
		})
	}
}

func TestARuleForWhoSharesANetworkIsReported(t *testing.T) {
	s, _ := single("", "").state()
	web := s.Docker.Containers[0]
	s.Docker.Containers = append(s.Docker.Containers, docker.Container{ID: strings.Repeat("e", 64), Name: "helper", NetworkMode: "container:" + web.ID, State: "running"})
	rule := func(line int, glob string) operator.Rule {
		p, _ := policy.Parse("192.0.2.7")
		return operator.Rule{File: "10.yaml", Line: line, Match: operator.Match{Container: []string{glob}}, Policy: p}
	}
	s.Operator.Rules = []operator.Rule{rule(1, "*"), rule(2, "helper")}
	_, problems := build(t, s)
	if p := only(t, problems); p.Container != "helper" || p.Severity != policy.Error || p.Token != "10.yaml:2" || !strings.Contains(p.Message, "web") {
		t.Errorf("%+v", p)
	}
}

// TestAGroupThatIsGoneIsReported where it was named at run time; a denial that is lost takes the allows said with it.
func TestAGroupThatIsGoneIsReported(t *testing.T) {
	for text, allowed := range map[string]bool{"192.0.2.7, @gone": true, "192.0.2.7, !@gone": false} {
		s, _ := single("", "").state()
		web := s.Docker.Containers[0]
		p, _ := policy.AnyGroup().Parse(text)
		var said overlay.Container
		for _, token := range p.Tokens {
			said.Grants = append(said.Grants, overlay.Grant{Token: token})
		}
		s.Overlay.Containers = map[string]overlay.Container{web.ID: said}
		r, problems := build(t, s)
		if p := only(t, problems); p.Container != "web" || p.Rule != policy.RuleGroup || !strings.Contains(text, p.Token) {
			t.Errorf("%+v", p)
		}
		if reaches(r, web, "192.0.2.7") != allowed {
			t.Errorf("%s: allowed is %v", text, !allowed)
		}
	}
}

// TestATwinChangesNothing for a container whose own resolvers are denied: those of the host are others.
func TestATwinChangesNothing(t *testing.T) {
	for name, twins := range map[string]int{"alone": 0, "with a twin": 1} {
		t.Run(name, func(t *testing.T) {
			s, _ := single("!_dns_, 198.51.100.53, 192.0.2.53", "").state()
			web := &s.Docker.Containers[0]
			web.Resolvers = addrs("192.0.2.53")
			for range twins {
				twin := *web
				twin.ID, twin.Name = "f"+web.ID[1:], "other"
				s.Docker.Containers = append(s.Docker.Containers, twin)
			}
			r, _ := build(t, s)
			for packet, want := range map[string]bool{"forward 198.51.100.53:53/udp": true, "forward 192.0.2.53:53/udp": false, "forward 192.0.2.53:443/tcp": true} {
				if got := judged(t, r, "172.17.0.2", packet); got != want {
					t.Errorf("%s: %v", packet, got)
				}
			}
		})
	}
}

// TestAnImageWhoseNameIsNotKnownMayBeAny that a rule names: its denials count, and what it allows does not.
func TestAnImageWhoseNameIsNotKnown(t *testing.T) {
	both, _ := policy.Parse("192.0.2.7, !192.0.2.8")
	label, _ := policy.Parse("192.0.2.8")
	enforce := policy.ModeEnforce
	for name, test := range map[string]struct {
		image                    string
		unsure                   bool
		allowed, denied, audited bool
	}{
		"it is named":           {"nginx:1", false, true, true, false},
		"it is another":         {"redis:7", false, false, false, true},
		"it has an ID":          {"sha256:1", false, false, false, true},
		"it has an ID till now": {"sha256:1", true, false, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := single("", "").state()
			web := &s.Docker.Containers[0]
			web.Image, web.ImageUnsure, web.Labels = test.image, test.unsure, map[string]string{policy.LabelMode: "audit"}
			s.Config.Default = label
			s.Operator.Rules = []operator.Rule{{File: "10.yaml", Line: 1, Match: operator.Match{Container: []string{"w*"}, Image: []string{"nginx:*"}}, Policy: both, Mode: &enforce}}
			r, _ := build(t, s)
			if audited := r.Containers[0].Mode == nft.Audit; audited != test.audited {
				t.Errorf("audit is %v", audited)
			}
			r.Containers[0].Mode = nft.Enforce
			if got := reaches(r, *web, "192.0.2.7"); got != test.allowed {
				t.Errorf("what it allows passes: %v", got)
			}
			if got := reaches(r, *web, "192.0.2.8"); got == test.denied {
				t.Errorf("what it denies passes: %v", got)
			}
		})
	}
}
