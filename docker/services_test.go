package docker_test

import (
	"context"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/docker/dockertest"
)

func TestLabelsOfServicesAreThoseOfAManager(t *testing.T) {
	e := dockertest.New(t)
	label := map[string]string{"dockerwall.outbound": "*"}
	e.PutService("abc", label)
	c := client(t, docker.Options{Host: e.Host()})
	got, err := c.ServiceLabels(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, map[string]map[string]string{"abc": label})

	// A worker, and a proxy that lets nothing through, are no reason to connect anew.
	for _, status := range []int{503, 403, 404} {
		e.SetFault(dockertest.ListServices, dockertest.Fault{Status: status})
		pings := e.Count(dockertest.Ping)
		if got, err := c.ServiceLabels(t.Context()); docker.Refused(err) != (status == 403) || err != nil && status != 403 || got != nil || e.Count(dockertest.Ping) != pings {
			t.Errorf("status %d: %v, %v, %d new connections", status, got, err, e.Count(dockertest.Ping)-pings)
		}
	}
	e.SetFault(dockertest.ListServices, dockertest.Fault{Wait: t.Context().Done()})
	gaveUp, giveUp := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, giveUp)
	if _, err := c.ServiceLabels(gaveUp); err == nil {
		t.Error("no error without an answer")
	}
	e.SetFault(dockertest.ListServices, dockertest.Fault{})
	pings := e.Count(dockertest.Ping)
	if _, err := c.ServiceLabels(t.Context()); err != nil || e.Count(dockertest.Ping) != pings {
		t.Errorf("after somebody gave up: %v, %d new connections", err, e.Count(dockertest.Ping)-pings)
	}
	e.Down()
	if got, err := c.ServiceLabels(t.Context()); err == nil || got != nil {
		t.Errorf("without an Engine: %v, %v", got, err)
	}
}
