package reconcile

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNamesToAskFor(t *testing.T) {
	outbound := func(text string) map[string]string { return map[string]string{"dockerwall.outbound": text} }
	for name, test := range map[string]struct {
		scenario scenario
		allow    []string
		deny     []string
	}{
		"the default's and the labels', once each, sorted": {
			scenario{DefaultOutbound: "b.example.com, c.example.com:443", Containers: []scenarioContainer{{Name: "x", State: "running", Labels: outbound("C.example.com, a.example.com")}}},
			[]string{"a.example.com", "b.example.com", "c.example.com"}, nil,
		},
		"denied names too": {
			scenario{DefaultOutbound: "!b.example.com", Containers: []scenarioContainer{{Name: "x", State: "running", Labels: outbound("!a.example.com")}}},
			nil, []string{"a.example.com", "b.example.com"},
		},
		"an allowed and denied name is both, and so is an allowed one beneath somebody's denied wildcard": {
			scenario{DefaultOutbound: "!*.example.com, !c.example.org", Containers: []scenarioContainer{
				{Name: "x", State: "running", Labels: outbound("a.b.example.com:443, c.example.org:443, example.com, badexample.com")}, {Name: "y", State: "exited", Labels: outbound("!*.org, !badexample.com")},
			}},
			[]string{"a.b.example.com", "badexample.com", "c.example.org", "example.com"}, []string{"a.b.example.com", "c.example.org"},
		},
		"wildcards and addresses are nothing to ask for": {
			scenario{Containers: []scenarioContainer{{Name: "x", State: "running", Labels: outbound("*.example.com, 192.0.2.7, _host_, !*.example.org")}}},
			nil, nil,
		},
		"a container that has ended does not count, one about to start does": {
			scenario{Containers: []scenarioContainer{
				{Name: "a", State: "exited", Labels: outbound("exited.example.com")}, {Name: "b", State: "dead", Labels: outbound("dead.example.com")},
				{Name: "c", State: "removing", Labels: outbound("removing.example.com")}, {Name: "d", State: "created", Labels: outbound("created.example.com")},
				{Name: "e", State: "paused", Labels: outbound("paused.example.com")}, {Name: "f", State: "restarting", Labels: outbound("restarting.example.com")},
			}},
			[]string{"created.example.com", "paused.example.com", "restarting.example.com"}, nil,
		},
		"labels of an image are not asked for": {
			scenario{Images: map[string]map[string]string{"app": outbound("image.example.com")}, Containers: []scenarioContainer{{Name: "a", Image: "app", State: "running", Labels: outbound("image.example.com")}}},
			nil, nil,
		},
		"of an image that is gone only denied names": {
			scenario{Containers: []scenarioContainer{{Name: "a", Image: "gone", State: "running", Labels: outbound("a.example.com, !b.example.com")}}},
			nil, []string{"b.example.com"},
		},
		"allows of a void label are not asked for": {
			scenario{Containers: []scenarioContainer{{Name: "a", State: "running", Labels: outbound("a.example.com, !b.example.com, !..")}}},
			nil, []string{"b.example.com"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			state, _ := test.scenario.state()
			wanted := Names(state)
			allow, deny := wanted.Allow, wanted.Deny
			if diff := cmp.Diff([][]string{test.allow, test.deny}, [][]string{allow, deny}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
