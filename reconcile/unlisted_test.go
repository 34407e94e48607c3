package reconcile

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerwall/dockerwall/policy"
)

func TestABridgeThatStandsIsNotLetGo(t *testing.T) {
	const custom = "lan0" // a name that nobody takes for Docker's
	for name, test := range map[string]struct {
		networks  string // GATEWAY_NETWORKS
		standing  []string
		want      []string // bridges that are fenced when Docker lists no networks any more
		complains bool
	}{
		"an empty list changes nothing for bridges that stand": {"", []string{"docker0", custom}, []string{"docker0", custom}, true},
		"one that has gone is gone":                            {"", []string{"docker0"}, []string{"docker0"}, true},
		"all have gone":                                        {"", nil, nil, false},
		"what was free stays free":                             {"!custom", []string{"docker0", custom}, []string{"docker0"}, true},
		"only what was named is kept":                          {"custom", []string{"docker0", custom}, []string{custom}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				standing := []string{"docker0", custom}
				r := newRig()
				r.bridges = func() []string {
					mu.Lock()
					defer mu.Unlock()
					return standing
				}
				r.engine.show(scenario{Networks: []scenarioNetwork{{Name: "bridge", Bridge: "docker0"}, {Name: "custom", Bridge: custom}}})
				networks, _ := policy.ParseNetworks(test.networks)
				r.start(t, Config{Networks: networks})
				defer r.stop()
				synctest.Wait()
				mu.Lock()
				standing = test.standing
				mu.Unlock()
				r.engine.show(scenario{})
				complains := func() bool {
					last, _ := r.loop.Last()
					return slices.ContainsFunc(last.Problems, func(p Problem) bool { return p.Rule == RuleUnlisted })
				}
				for i := range 8 { // it is remembered
					r.loop.Kick()
					time.Sleep(time.Second)
					if i < 4 && complains() {
						t.Errorf("after %d s a network that is being removed is a problem", i+1)
					}
				}
				var got []string
				for _, b := range r.kernel.last().Bridges {
					got = append(got, b.Name)
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Error(diff)
				}
				if complains := complains(); complains != test.complains {
					t.Errorf("the problem is told: %v", complains)
				}
			})
		})
	}
}

func TestDocker0IsFencedWhoeverListsIt(t *testing.T) {
	for name, test := range map[string]struct {
		networks string
		want     []string
	}{
		"by default":             {"", []string{"docker0", "docker_gwbridge"}},
		"unless it is left out":  {"!bridge", []string{"docker_gwbridge"}},
		"if others are named":    {"web", nil},
		"if it is one of a list": {"bridge", []string{"docker0"}},
	} {
		t.Run(name, func(t *testing.T) {
			state, _ := scenario{GatewayNetworks: test.networks, Bridges: []string{"docker_gwbridge", "virbr0", "docker0"}}.state()
			rules, _ := Build(state)
			var got []string
			for _, b := range rules.Bridges {
				got = append(got, b.Name)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
