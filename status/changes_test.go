package status

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/overlay"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/reconcile"
)

func TestWhatWasChangedAtRunTimeIsSaid(t *testing.T) {
	until := overlay.Stamp{By: 1000, At: now, Until: now.Add(time.Hour)}
	of := func(s overlay.Switch) overlay.Overlay {
		return overlay.Overlay{Containers: map[string]overlay.Container{id(1): {Name: "before", Mode: &s}}}
	}
	many := overlay.Overlay{Containers: map[string]overlay.Container{}}
	for i := range 30 {
		many.Containers[id(i+1)] = overlay.Container{Name: fmt.Sprint("c", i), Mode: &overlay.Switch{Mode: policy.ModeAudit, Paused: true, Stamp: until}}
	}
	for name, test := range map[string]struct {
		said overlay.Overlay
		want []string // the first, and how many
	}{
		"nothing": {},
		"a host in audit": {overlay.Overlay{Enforce: &overlay.Switch{Mode: policy.ModeAudit}},
			[]string{"the whole host is in audit at run time, by uid 0, instead of what DRY_RUN says; `dockerwall audit --as-configured` ends that"}},
		"a host that is enforced for a while": {overlay.Overlay{Enforce: &overlay.Switch{Mode: policy.ModeEnforce, Confirm: true, Stamp: until}},
			[]string{"the whole host is enforced at run time, by uid 1000, until 2026-01-02 04:04:05Z, instead of what DRY_RUN says; then it goes back, unless the same command without --confirm confirms it"}},
		"a pause, by the name the container has now": {of(overlay.Switch{Mode: policy.ModeAudit, Paused: true, Stamp: until}),
			[]string{"web is paused: all it sends passes, by uid 1000, until 2026-01-02 04:04:05Z; `dockerwall revoke web` ends that"}},
		"a pause of one with denials, which go with it": {overlay.Overlay{Containers: map[string]overlay.Container{id(1): {
			Mode: &overlay.Switch{Mode: policy.ModeAudit, Paused: true, Stamp: until}, Grants: []overlay.Grant{{Token: policy.Entries("!192.0.2.1")[0].Token}},
		}}},
			[]string{"web is paused: all it sends passes, by uid 1000, until 2026-01-02 04:04:05Z; `dockerwall revoke web` ends that, and takes back what was allowed and denied at run time"}},
		"a mode for good, which stands with the container": {of(overlay.Switch{Mode: policy.ModeAudit}), nil},
		"many": {many, append([]string{"web is paused: all it sends passes, by uid 1000, until 2026-01-02 04:04:05Z; `dockerwall revoke web` ends that"}, make([]string, maxChanges)...)},
	} {
		t.Run(name, func(t *testing.T) {
			s := Take(Input{Outcome: outcome(reconcile.State{Overlay: test.said}, labelled("web", "")), Good: true})
			if len(s.Changes) != len(test.want) || len(s.Changes) > 0 && s.Changes[0] != test.want[0] {
				t.Errorf("%q", s.Changes)
			}
			if said := test.said.Enforce; (s.HostChange != nil) != (said != nil) {
				t.Errorf("of the host: %+v", s.HostChange)
			}
		})
	}
}

func TestATokenAndAModeHaveWhoSaidThemAtRunTime(t *testing.T) {
	stamp := overlay.Stamp{By: 1000, At: now, Until: now.Add(time.Hour)}
	want := api.Stamp{UID: 1000, At: now, Until: now.Add(time.Hour)}
	var grants []overlay.Grant
	for _, e := range policy.Entries("www.example.com, !192.0.2.1") {
		grants = append(grants, overlay.Grant{Token: e.Token, Stamp: stamp})
	}
	said := overlay.Overlay{Containers: map[string]overlay.Container{id(1): {Grants: grants, Mode: &overlay.Switch{Mode: policy.ModeAudit, Paused: true, Stamp: stamp}}}}
	s := Take(Input{Outcome: outcome(reconcile.State{Overlay: said}, labelled("web", "www.example.com"), labelled("db", "www.example.com")), Good: true})
	got := map[string]*api.Stamp{}
	for _, c := range s.Containers {
		for _, token := range c.Policy {
			got[strings.Join([]string{c.Name, token.Token, token.Origin}, " ")] = token.Grant
		}
	}
	if diff := cmp.Diff(map[string]*api.Stamp{
		"web www.example.com dockerwall.outbound": nil, "web www.example.com added at run time": &want, "web !192.0.2.1 added at run time": &want,
		"web _dns_ implied": nil, "db www.example.com dockerwall.outbound": nil, "db _dns_ implied": nil,
	}, got); diff != "" {
		t.Error(diff)
	}
	web := s.Containers[1]
	if diff := cmp.Diff(&api.ModeChange{Paused: true, Stamp: want}, web.ModeChange); diff != "" || web.Mode != "audit" || web.ModeOrigin != reconcile.OriginOverlay {
		t.Errorf("mode %s of %q: %s", web.Mode, web.ModeOrigin, diff)
	}
	if db := s.Containers[0]; db.ModeChange != nil || db.Mode != "enforce" {
		t.Errorf("another container has %s, %+v", db.Mode, db.ModeChange)
	}
}
