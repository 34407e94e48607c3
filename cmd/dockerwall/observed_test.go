package main

import (
	"maps"
	"testing"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/observe"
	"github.com/dockerwall/dockerwall/reconcile"
)

// TestAnImageDoesNotSayWhoseItIs: what its containers send would be suggested to the service that it names.
func TestAnImageDoesNotSayWhoseItIs(t *testing.T) {
	is := map[string]string{composeProject: "shop", composeService: "db"}
	made := map[string]string{composeHash: "1f0c"}
	both := maps.Clone(is)
	maps.Copy(both, made)
	task := map[string]string{swarmService: "shop_db"}
	for name, test := range map[string]struct {
		container, image     map[string]string
		gone, trusted        bool
		wantProject, wantFor string
	}{
		"made by docker compose":                         {both, nil, false, false, "shop", "db"},
		"of an image that docker compose built":          {both, is, false, false, "shop", "db"},
		"of an image with labels of docker compose":      {is, is, false, false, "", ""},
		"of an image with all of them":                   {both, both, false, false, "", ""},
		"that somebody labelled like docker compose":     {is, nil, false, false, "", ""},
		"of an image that is gone":                       {both, nil, true, false, "", ""},
		"of an image with all of them, which is trusted": {both, both, false, true, "shop", "db"},
		"of Swarm":                         {task, nil, false, false, "", "shop_db"},
		"of an image with labels of Swarm": {task, task, false, false, "", ""},
		"of nobody":                        {nil, nil, false, false, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := reconcile.State{ImageLabels: map[string]map[string]string{}}
			if !test.gone {
				s.ImageLabels["app"] = test.image
			}
			if test.trusted {
				s.ImageLabels = nil
			}
			got := subjectOf(s, docker.Container{Name: "web", Image: "app:1", ImageID: "app", Labels: test.container})
			if want := (observe.Subject{Name: "web", Image: "app:1", Project: test.wantProject, Service: test.wantFor}); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}
