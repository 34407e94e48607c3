package docker_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/docker/dockertest"
)

func TestAboutIsWhatTheEngineSays(t *testing.T) {
	e := dockertest.New(t)
	e.SetAbout(
		map[string]any{"Version": "29.1.0", "Components": []any{map[string]any{"Name": "Engine"}}},
		map[string]any{
			"OperatingSystem": "Debian", "LiveRestoreEnabled": true, "SecurityOptions": []string{"name=seccomp,profile=builtin", "name=rootless", "name=usernsx"},
			"Swarm": map[string]any{"LocalNodeState": "active"}, "FirewallBackend": map[string]any{"Driver": "nftables"},
		})
	c := client(t, docker.Options{Host: e.Host()})
	got, err := c.About(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := docker.About{
		Product: "Engine", Version: "29.1.0", API: "1.51", OperatingSystem: "Debian", Firewall: "nftables", LiveRestore: true, Rootless: true, Swarm: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	e.SetFault(dockertest.Info, dockertest.Fault{Status: 403})
	if got, err = c.About(t.Context()); err != nil || got.Version != "29.1.0" || !strings.Contains(got.Unsaid, "ask for the state of Docker at unix://") {
		t.Errorf("without /info: %+v, %v", got, err)
	}
	e.SetFault(dockertest.Version, dockertest.Fault{Status: 403})
	if got, err = c.About(t.Context()); err != nil || got.Version != "" || got.API != "1.51" || !strings.Contains(got.Unsaid, "allow GET /info in the socket proxy") {
		t.Errorf("without /version: %+v, %v", got, err)
	}
	e.Down()
	if _, err = c.About(t.Context()); err == nil || !strings.Contains(err.Error(), "is Docker running") {
		t.Errorf("without an Engine: %v", err)
	}
}
