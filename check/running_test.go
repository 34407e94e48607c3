package check

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/reconcile"
)

func TestRunningContainers(t *testing.T) {
	outbound := func(value string) docker.Container {
		return docker.Container{Name: "web", State: "running", ImageID: "i", NetworkMode: "web", Labels: map[string]string{policy.LabelOutbound: value}}
	}
	with := func(c docker.Container, change func(*docker.Container)) docker.Container {
		change(&c)
		return c
	}
	for name, c := range map[string]struct {
		container docker.Container
		api       string
		want      []string
	}{
		"nothing to find":                {outbound("a.example, x"), "1.41", nil}, // the error is among the problems
		"a note":                         {outbound("*.a.example"), "1.41", []string{"note: web: dockerwall.outbound at 1"}},
		"one that ended":                 {with(outbound("*.a.example"), func(c *docker.Container) { c.State = "exited" }), "1.41", nil},
		"a label of the image":           {outbound("*.image.example"), "1.41", nil},
		"a key almost ours":              {docker.Container{Name: "web", State: "running", Labels: map[string]string{"dockerwal.outbound": "a"}}, "1.41", []string{"like-a-label"}},
		"the host's address in a range":  {outbound("192.0.2.0/24"), "1.41", []string{"192.0.2.9 of this host"}},
		"denied DNS, Docker 27":          {outbound("!_dns_"), "1.47", nil},
		"denied DNS, Docker 28":          {outbound("a.example, !_dns_"), "1.48", []string{`at 12, "!_dns_": this Docker asks the host's resolvers from the host's own network`}},
		"denied DNS with --dns":          {with(outbound("!_dns_"), func(c *docker.Container) { c.Resolvers = []netip.Addr{netip.MustParseAddr("192.0.2.1")} }), "1.51", nil},
		"denied DNS on the default one":  {with(outbound("!_dns_"), func(c *docker.Container) { c.NetworkMode = "bridge" }), "1.51", nil},
		"an API that cannot be read":     {outbound("!_dns_"), "", nil},
		"DNS that is allowed, Docker 28": {outbound("_dns_"), "1.48", nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := Host{API: c.api, State: reconcile.State{
				Docker:      docker.Host{Containers: []docker.Container{c.container}},
				ImageLabels: map[string]map[string]string{"i": {policy.LabelOutbound: "*.image.example"}},
			}}
			found := h.Check(Options{Host: []netip.Addr{netip.MustParseAddr("192.0.2.9")}})
			if len(found) != len(c.want) {
				t.Fatalf("got %v, want %q", found, c.want)
			}
			for i, f := range found {
				if !strings.Contains(f.String(), c.want[i]) || f.Container != "web" || f.Remedy == "" {
					t.Errorf("got %v, want %s", f, c.want[i])
				}
			}
		})
	}
	t.Run("problems of the ruleset are taken over", func(t *testing.T) {
		p := reconcile.Problem{Container: "db", Problem: policy.Problem{Severity: policy.Error, Rule: policy.RuleURL, Label: policy.LabelOutbound, Pos: 3, Token: "t", Message: "m", Remedy: "r"}}
		found := Host{Problems: []reconcile.Problem{p}}.Check(Options{})
		if want := `error: db: dockerwall.outbound at 3, "t": m; r [url]`; len(found) != 1 || found[0].String() != want {
			t.Errorf("got %v, want %s", found, want)
		}
	})
}
