package docker_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/docker/dockertest"
)

func TestOwnResolversAreLearnedOnceTheContainerRuns(t *testing.T) {
	f := follow(t, dockertest.New(t))
	app := box("app", "created")
	app.Resolvers = []netip.Addr{netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("2001:db8::53")}
	f.engine.Create(app)
	if c, _ := find(f.next(), "app"); c.Resolvers != nil {
		t.Errorf("resolvers before the start: %v", c.Resolvers)
	}
	if n := f.engine.Count(dockertest.InspectContainer); n != 0 {
		t.Fatalf("%d inspects of a container that is not running", n)
	}
	f.engine.Start(app.ID)
	h := f.until("resolvers", func(h docker.Host) bool { c, _ := find(h, "app"); return c.Resolvers != nil })
	c, _ := find(h, "app")
	same(t, c.Resolvers, app.Resolvers)

	f.engine.Rename(app.ID, "other")
	f.until("renamed", func(h docker.Host) bool { c, _ := find(h, "app"); return c.Name == "other" && c.Resolvers != nil })
	if n := f.engine.Count(dockertest.InspectContainer); n != 1 {
		t.Errorf("%d inspects, want one for the container's life", n)
	}
}

// TestTheImageIsLearnedWhoseNameIsAnothersByNow: the listing has its ID then.
func TestTheImageIsLearnedWhoseNameIsAnothersByNow(t *testing.T) {
	f := follow(t, dockertest.New(t))
	app := box("app", "created")
	app.ImageUnsure = true
	f.engine.Create(app)
	if c, _ := find(f.next(), "app"); !c.ImageUnsure || c.Image != app.ImageID {
		t.Errorf("before the start: %q, unsure %v", c.Image, c.ImageUnsure)
	}
	f.engine.Start(app.ID)
	f.until("the reference", func(h docker.Host) bool { c, _ := find(h, "app"); return !c.ImageUnsure && c.Image == app.Image })
}

func TestWhatAContainerMayDoIsLearned(t *testing.T) {
	f := follow(t, dockertest.New(t))
	app := box("app", "created")
	app.Privileged, app.CapAdd, app.PidMode, app.EngineSocket = true, []string{"CAP_SYS_ADMIN", "net_admin"}, "host", true
	app.Restarts = true
	app.Networks = []string{dockertest.ID("web"), dockertest.ID("lan")}
	slices.Sort(app.Networks)
	f.engine.Create(app)
	c, _ := find(f.next(), "app")
	if c.Privileged || c.CapAdd != nil || c.PidMode != "" || c.Restarts {
		t.Errorf("known before the start: %+v", c)
	}
	if !c.EngineSocket || !slices.Equal(c.Networks, app.Networks) {
		t.Errorf("the listing tells of its mounts and networks: %+v", c)
	}
	f.engine.Start(app.ID)
	h := f.until("inspected", func(h docker.Host) bool { c, _ := find(h, "app"); return c.PidMode == "host" })
	c, _ = find(h, "app")
	if !c.Privileged || !c.Restarts || !slices.Equal(c.CapAdd, []string{"NET_ADMIN", "SYS_ADMIN"}) {
		t.Errorf("privileged %v, restarts %v, capabilities %v", c.Privileged, c.Restarts, c.CapAdd)
	}
	f.engine.Die(app.ID)
	h = f.until("ended", func(h docker.Host) bool { c, _ := find(h, "app"); return c.State == "exited" })
	if c, _ = find(h, "app"); !c.Restarts {
		t.Error("that it has a restart policy is forgotten at its end")
	}
}

func TestListDoesNotWaitForInspect(t *testing.T) {
	e := dockertest.New(t)
	started := make(chan struct{})
	e.SetFault(dockertest.InspectContainer, dockertest.Fault{Wait: started})
	app := box("app", "running")
	app.Resolvers = []netip.Addr{netip.MustParseAddr("192.0.2.53")}
	e.PutContainer(app)
	f := follow(t, e) // lists
	e.Create(box("other", "created"))
	if c, _ := find(f.next(), "app"); c.Resolvers != nil {
		t.Errorf("resolvers: %v", c.Resolvers)
	}
	close(started)
	f.until("resolvers", func(h docker.Host) bool { c, _ := find(h, "app"); return c.Resolvers != nil })
}

func TestLearnResolversIsForThoseWhoDoNotRun(t *testing.T) {
	e := dockertest.New(t)
	app, idle := box("app", "paused"), box("idle", "exited")
	app.Resolvers = []netip.Addr{netip.MustParseAddr("192.0.2.53")}
	e.PutContainer(app)
	e.PutContainer(idle)
	c := client(t, docker.Options{Host: e.Host()})
	list(t, c)
	c.LearnResolvers(t.Context())
	got, _ := find(list(t, c), "app")
	same(t, got.Resolvers, app.Resolvers)
	if n := e.Count(dockertest.InspectContainer); n != 1 {
		t.Errorf("%d inspects", n)
	}
}
