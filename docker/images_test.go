package docker_test

import (
	"testing"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/docker/dockertest"
)

func TestImageLabelsAreAskedForWhenSomethingIsNew(t *testing.T) {
	e := dockertest.New(t)
	label := map[string]string{"dockerwall.outbound": "*"}
	image := box("app", "created").ImageID
	e.PutImage(image, label)
	f := follow(t, e)
	ask := func(step string, want map[string]map[string]string, requests int) {
		t.Helper()
		got, err := f.ImageLabels(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		same(t, got, want)
		if n := e.Count(dockertest.ListImages); n != requests {
			t.Errorf("%s: %d requests so far, want %d", step, n, requests)
		}
	}
	known := map[string]map[string]string{image: label}
	ask("first", known, 1)
	ask("again", known, 1)

	e.Create(box("app", "created"))
	f.next()
	ask("a container of a known image", known, 1)

	other := box("other", "created")
	other.ImageID = "sha256:other"
	e.Create(other)
	f.next()
	ask("a container of an unknown image", known, 2)
	ask("which is not in the list either", known, 2)

	e.PutImage("sha256:new", nil)
	e.Emit("image", "pull", "new:latest", nil)
	f.wait()
	both := map[string]map[string]string{image: label, "sha256:new": nil}
	ask("an image event", both, 3)

	e.DropImage(image)
	e.Emit("image", "delete", image, nil)
	f.wait()
	ask("an image removed under its container", both, 4)
}

func TestImageLabelsSayWhatWentWrong(t *testing.T) {
	e := dockertest.New(t)
	e.SetFault(dockertest.ListImages, dockertest.Fault{Status: 403})
	got, err := client(t, docker.Options{Host: e.Host()}).ImageLabels(t.Context())
	if err == nil || got != nil {
		t.Errorf("got %v, %v", got, err)
	}
}
