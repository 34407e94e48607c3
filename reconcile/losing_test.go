package reconcile

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dockerwall/dockerwall/nft"
)

func TestWhatACommitTakesIsToldBefore(t *testing.T) {
	at := func(pairs ...string) scenario {
		s := single("*", "")
		s.Networks[0].Endpoints = endpoints(pairs...)
		return s
	}
	both := []string{"web", "172.17.0.2", "web", "fd00:17::2", "db", "172.17.0.3"}
	for name, test := range map[string]struct {
		next            scenario
		leaving, losing map[string][]string // addresses, by container
	}{
		"nothing goes":                     {next: at(both...)},
		"an address comes":                 {next: at(append(slices.Clone(both), "cache", "172.17.0.9")...)},
		"an address goes":                  {next: at("web", "172.17.0.2", "db", "172.17.0.3"), losing: map[string][]string{"web": {"fd00:17::2"}}},
		"an address becomes another":       {next: at("web", "172.17.0.4", "web", "fd00:17::2", "db", "172.17.0.3"), losing: map[string][]string{"web": {"172.17.0.2"}}},
		"an address is another's":          {next: at("web", "172.17.0.2", "web", "fd00:17::2", "db", "172.17.0.9", "cache", "172.17.0.3"), losing: map[string][]string{"db": {"172.17.0.3"}}},
		"a container goes, another's also": {next: without("db", at("web", "172.17.0.2")), leaving: map[string][]string{"db": {"172.17.0.3"}}, losing: map[string][]string{"web": {"fd00:17::2"}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				leaving, losing := map[string][]string{}, map[string][]string{}
				tell := func(into map[string][]string) func([]nft.Container) {
					return func(containers []nft.Container) {
						for _, c := range containers {
							for _, e := range c.Endpoints {
								into[c.Name] = append(into[c.Name], e.Addr.String())
							}
							if last := r.kernel.last(); !slices.ContainsFunc(last.Containers, func(d nft.Container) bool { return d.ID == c.ID }) {
								t.Errorf("%s is told of after it is gone", c.Name)
							}
						}
					}
				}
				r.engine.show(at(both...))
				r.leaving, r.losing = tell(leaving), tell(losing)
				r.start(t, Config{})
				defer r.stop()
				synctest.Wait()
				r.engine.show(test.next)
				r.loop.Kick()
				time.Sleep(time.Second)
				synctest.Wait()
				if got, want := fmt.Sprint(leaving, losing), fmt.Sprint(test.leaving, test.losing); got != want {
					t.Errorf("leaving and losing %s, want %s", got, want)
				}
			})
		})
	}
}

func without(name string, s scenario) scenario {
	s.Containers = slices.DeleteFunc(s.Containers, func(c scenarioContainer) bool { return c.Name == name })
	return s
}
