package docker_test

import (
	"context"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/docker/dockertest"
)

func TestALostStreamIsFoundAgainAndEverythingRead(t *testing.T) {
	lose := map[string]func(*dockertest.Engine){
		"the stream is cut":   func(e *dockertest.Engine) { e.CutStreams() },
		"Docker is restarted": func(e *dockertest.Engine) { e.Down(); e.Up() },
	}
	for name, how := range lose {
		t.Run(name, func(t *testing.T) {
			f := follow(t, dockertest.New(t))
			f.engine.PutContainer(box("app", "running")) // without an event
			how(f.engine)
			f.until("the container that no event told of", func(h docker.Host) bool { _, ok := find(h, "app"); return ok && f.Connected() })
			if lost, found := f.log.count("no connection to Docker"), f.log.count("connected to Docker"); lost != 1 || found != 2 {
				t.Errorf("logged %d losses and %d connects", lost, found)
			}
		})
	}
}

func TestDockerMayComeLater(t *testing.T) {
	e := dockertest.New(t)
	e.Down()
	f := &followed{t: t, engine: e, kicked: make(chan struct{}, 1), log: &logged{}}
	f.Client = client(t, docker.Options{Host: e.Host()})
	if f.Connected() {
		t.Error("connected to nothing")
	}
	f.run()
	e.Up()
	f.next()
	if !f.Connected() {
		t.Error("not connected after the kick")
	}
}

func TestHealthChecksAreNotAskedFor(t *testing.T) {
	f := follow(t, dockertest.New(t))
	before := f.kicks.Load()
	for range 100 {
		f.engine.Emit("container", "exec_start: true", dockertest.ID("app"), nil)
		f.engine.Emit("container", "pause", dockertest.ID("app"), nil)
		f.engine.Emit("volume", "create", "v", nil)
	}
	f.engine.Create(box("app", "created"))
	f.wait()
	if n, sent := f.kicks.Load()-before, f.engine.Delivered(); n != 1 || sent != 1 {
		t.Errorf("%d kicks and %d events sent for one that matters", n, sent)
	}
}

func TestAnEventJustBeforeTheConnectIsReplayed(t *testing.T) {
	e := dockertest.New(t)
	e.EmitAt(time.Now().Add(-time.Minute), "container", "create", dockertest.ID("old"), nil)
	e.Create(box("app", "created"))
	f := follow(t, e)
	for f.kicks.Load() < 2 { // the second may have come with the first
		f.wait()
	}
}

func TestRunEndsWithItsContextWhileDockerIsOff(t *testing.T) {
	e := dockertest.New(t)
	e.Down()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := client(t, docker.Options{Host: e.Host()}).Run(ctx, func() {}); err != nil {
		t.Errorf("Run: %v", err)
	}
}
