package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// TestTheProxysExampleHasTheDaemonAsItsOwnFileHasIt but for whom it asks, so that one is not forgotten when the other
// changes.
func TestTheProxysExampleHasTheDaemonAsItsOwnFileHasIt(t *testing.T) {
	text := func(file string, without ...string) map[string]string {
		out := map[string]string{}
		for key, node := range servicesIn(t, file)["dockerwall"] {
			text, err := yaml.Marshal(&node)
			if err != nil {
				t.Fatal(err)
			}
			out[key] = string(text)
			for _, line := range without {
				out[key] = strings.Replace(out[key], line+"\n", "", 1)
			}
		}
		for _, key := range []string{"environment", "build", "depends_on"} {
			delete(out, key)
		}
		return out
	}
	want := text("docker-compose.yml", "- /var/run/docker.sock:/var/run/docker.sock")
	if diff := cmp.Diff(want, text(composedProxy, "- proxy:/proxy:ro")); diff != "" {
		t.Errorf("docker-compose.yml (-), %s (+):\n%s", composedProxy, diff)
	}
	services := servicesIn(t, composedProxy)
	proxy := services["socket-proxy"]
	for key, want := range map[string]string{"network_mode": "none", "user": "0:0", "read_only": "true"} {
		if got := proxy[key]; got.Value != want {
			t.Errorf("%s: %q, want %q", key, got.Value, want)
		}
	}
	_, endpoint, _ := strings.Cut(proxy["command"].Content[0].Value, "=")
	if host := services["dockerwall"]["environment"].Content[1].Value; host != "unix://"+endpoint {
		t.Errorf("the proxy listens on %s, dockerwall asks %s", endpoint, host)
	}
}

// TestDockerComposeReadsTheProxysExample asks docker compose what it makes of the file that the page's commands name. The
// proxy's flags must reach it as they stand.
func TestDockerComposeReadsTheProxysExample(t *testing.T) {
	page := readPage("docs/howto/socket-proxy.md", document(t, "docs/howto/socket-proxy.md"))
	for _, command := range page.steps[0].body {
		if !strings.HasPrefix(command, "docker compose -f "+composedProxy+" ") {
			t.Errorf("the page has another command: %s", command)
		}
	}
	programs, err := lab.FetchNewest(t.Context())
	if err != nil {
		lab.Cannot(t, "needs docker compose ("+err.Error()+")")
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(programs, "docker-compose"), "-f", filepath.Join(repository, composedProxy), "config", "--format=json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Services map[string]struct {
			Command []string
		}
	}
	if err := json.Unmarshal(out, &config); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, flag := range servicesIn(t, composedProxy)["socket-proxy"]["command"].Content {
		want = append(want, flag.Value)
	}
	if got := config.Services["socket-proxy"].Command; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
