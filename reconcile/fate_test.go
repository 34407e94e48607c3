package reconcile

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/policy"
)

func TestWhetherAndWhyAContainerIsFenced(t *testing.T) {
	fenced := scenarioContainer{Name: "x", ID: strings.Repeat("a", 64), Image: "bridge", State: "running"}
	const lan, free = "network lan is of driver macvlan, which passes none of the host's hooks", "network free is left alone (GATEWAY_NETWORKS)"
	for name, test := range map[string]struct {
		container scenarioContainer // Image says on which networks it is
		want      Fate
	}{
		"on a bridge":                  {scenarioContainer{Image: "bridge"}, Fate{Fenced: true}},
		"in the host's network":        {scenarioContainer{NetworkMode: "host"}, Fate{Unfenced: "it is in the host's own network"}},
		"on macvlan":                   {scenarioContainer{Image: "lan"}, Fate{Unfenced: lan}},
		"on a network left alone":      {scenarioContainer{Image: "free"}, Fate{Unfenced: free}},
		"on both":                      {scenarioContainer{Image: "free lan"}, Fate{Unfenced: free + "; " + lan}},
		"on a bridge and past it":      {scenarioContainer{Image: "bridge free lan"}, Fate{Fenced: true, Beside: []string{"free", "lan"}}},
		"a task of a service":          {scenarioContainer{Image: "overlay"}, Fate{Fenced: true}},
		"without a network":            {scenarioContainer{Image: "none", NetworkMode: "none"}, Fate{}},
		"with none left":               {scenarioContainer{Image: "-"}, Fate{}},
		"in the network of a fenced":   {scenarioContainer{NetworkMode: "container:" + fenced.ID}, Fate{Fenced: true, Shares: fenced.ID}},
		"the same by its name":         {scenarioContainer{NetworkMode: "container:x"}, Fate{Fenced: true, Shares: fenced.ID}},
		"in the network of a stranger": {scenarioContainer{NetworkMode: "container:y"}, Fate{Unfenced: "it shares the network of a container that is gone"}},
		"in its own":                   {scenarioContainer{NetworkMode: "container:web"}, Fate{Unfenced: "it shares the network of a container that is gone"}},
	} {
		t.Run(name, func(t *testing.T) {
			test.container.Name, test.container.State = "web", "running"
			state, _ := mixed(fenced, test.container).state()
			r, _ := build(t, state)
			i := slices.IndexFunc(state.Docker.Containers, func(c docker.Container) bool { return c.Name == "web" })
			if diff := cmp.Diff(test.want, Fates(state, r)[state.Docker.Containers[i].ID]); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatCountsForAContainerAndWhereItStands(t *testing.T) {
	for name, test := range map[string]struct {
		label, preset string
		want          string
	}{
		"nothing written":           {"", "", "_dns_ (implied)"},
		"a label":                   {"www.example.com:443", "", "www.example.com:443 (dockerwall.outbound), _dns_ (implied)"},
		"a label and the default":   {"192.0.2.1", "192.0.2.2", "192.0.2.1 (dockerwall.outbound), 192.0.2.2 (DEFAULT_OUTBOUND), _dns_ (implied)"},
		"_dns_ written":             {"", "_dns_", "_dns_ (DEFAULT_OUTBOUND)"},
		"_dns_ taken away":          {"!_dns_", "_dns_", "!_dns_ (dockerwall.outbound), _dns_ (DEFAULT_OUTBOUND)"},
		"a label that is void":      {"192.0.2.1, !x:y", "192.0.2.2", "192.0.2.2 (DEFAULT_OUTBOUND), _dns_ (implied)"},
		"a token that is a mistake": {"192.0.2.1, x:y", "", "192.0.2.1 (dockerwall.outbound), _dns_ (implied)"},
	} {
		t.Run(name, func(t *testing.T) {
			state, _ := scenario{TrustImages: true, DefaultOutbound: test.preset, Containers: []scenarioContainer{
				{Name: "web", Labels: map[string]string{"dockerwall.outbound": test.label, "dockerwall.mode": "audit", "dockerwall.deny": "reject"}},
			}}.state()
			p := state.Policy(state.Docker.Containers[0])
			var got []string
			for _, token := range p.Tokens {
				got = append(got, token.String()+" ("+token.Origin+")")
			}
			if text := strings.Join(got, ", "); text != test.want || p.Mode != policy.ModeAudit || !p.Reject {
				t.Errorf("%s, %+v", text, p)
			}
			if p.Denies(policy.DNS) != strings.Contains(test.want, "!_dns_") {
				t.Errorf("Denies: %v", p.Denies(policy.DNS))
			}
		})
	}
}
