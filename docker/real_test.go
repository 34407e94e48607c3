package docker_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/internal/lab"
)

// eventually lists after each kick until the listing is as wanted.
func (f *followed) eventually(what string, ok func(docker.Host) bool) docker.Host {
	f.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		h := f.list()
		if ok(h) {
			return h
		}
		select {
		case <-f.kicked:
		case <-deadline:
			f.t.Fatalf("%s: not seen; last listing %+v", what, h)
		}
	}
}

func TestARealEngineIsFollowed(t *testing.T) {
	l := lab.ForTest(t)
	engine := l.DockerForTest(t, lab.DockerOptions{})
	if err := engine.ImportProbe(t.Context(), lab.ProbeImage, "LABEL dockerwall.outbound=*"); err != nil {
		t.Fatal(err)
	}
	f := &followed{t: t, kicked: make(chan struct{}, 1)}
	f.Client = client(t, docker.Options{Host: engine.Host()})
	f.run()
	f.eventually("the event stream", func(docker.Host) bool { return f.Connected() })
	if _, err := engine.CLI(t.Context(), "network", "create", "--subnet=172.30.1.0/24", "blue"); err != nil {
		t.Fatal(err)
	}
	c, err := engine.Run(t.Context(), lab.RunSpec{Name: "web", Network: "blue", Labels: map[string]string{"a": "b"},
		Args: []string{"--dns=198.51.100.53"}, Cmd: []string{"sleep"}})
	if err != nil {
		t.Fatal(err)
	}
	h := f.eventually("the container's endpoint and resolver", func(h docker.Host) bool {
		return endpoint(h, c.ID).IsValid() && len(h.Containers) == 1 && len(h.Containers[0].Resolvers) == 1
	})
	got := h.Containers[0]
	if got.ID != c.ID || got.Name != "web" || got.State != "running" || got.Labels["a"] != "b" || got.NetworkMode != "blue" {
		t.Errorf("container %+v", got)
	}
	labels, err := f.ImageLabels(t.Context())
	if err != nil || labels[got.ImageID]["dockerwall.outbound"] != "*" {
		t.Errorf("image labels %v, %v", labels, err)
	}
	// The listing has the image's ID in place of a reference that means another image by now.
	if err := engine.ImportProbe(t.Context(), "newer", "LABEL a=newer"); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{"tag", "newer", lab.ProbeImage}, {"rename", "web", "renamed"}} {
		if _, err := engine.CLI(t.Context(), command...); err != nil {
			t.Fatal(err)
		}
	}
	h = f.eventually("the new name", func(h docker.Host) bool { return len(h.Containers) == 1 && h.Containers[0].Name == "renamed" })
	if again := h.Containers[0]; again.Image != got.Image || again.ImageID != got.ImageID {
		t.Errorf("image %q (%s), was %q (%s)", again.Image, again.ImageID, got.Image, got.ImageID)
	}
	if err := c.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.eventually("the container's end", func(h docker.Host) bool { return len(h.Containers) == 0 && !endpoint(h, c.ID).IsValid() })
}

// endpoint is the container's IPv4 address on the network blue.
func endpoint(h docker.Host, id string) netip.Addr {
	var found docker.Endpoint
	for _, n := range h.Networks {
		if i := slices.IndexFunc(n.Endpoints, func(e docker.Endpoint) bool { return e.ContainerID == id }); n.Name == "blue" && i >= 0 {
			found = n.Endpoints[i]
		}
	}
	return found.IPv4
}
