package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// TestCheckNeedsNothing runs the fixtures as nobody, without a network, a daemon or Docker.
func TestCheckNeedsNothing(t *testing.T) {
	ns := lab.NamespaceForTest(t)
	binary, _ := programs(t)
	binary = forEverybody(t, binary)
	files, err := filepath.Glob("../../testdata/check/*.txtar")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	failing := 0
	for _, file := range files {
		ar, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		cmd := ns.Command(t.Context(), "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all", binary, "check", "-")
		cmd.Dir = "/"
		cmd.Env = []string{"DOCKER_HOST=tcp://nowhere.invalid:1", "DOCKERWALL_SOCKET=/nonexistent", "PATH=" + os.Getenv("PATH")}
		cmd.Stdin = bytes.NewReader(ar.Files[0].Data)
		var said strings.Builder
		cmd.Stderr = &said
		out, _ := cmd.Output()
		code, want := cmd.ProcessState.ExitCode(), exitOK
		if strings.Contains(string(out), ": error: ") || strings.Contains(string(out), ": warning: ") {
			want = exitFindings
			failing++
		}
		if code != want || strings.Count(said.String(), "\n") != 1 {
			t.Errorf("%s: exit code %d, want %d: %s%s", file, code, want, said.String(), out)
		}
	}
	if failing < 30 {
		t.Errorf("%d fixtures fail the check", failing)
	}
}

// forEverybody is a copy of a program that every user may run.
func forEverybody(t *testing.T, binary string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "check") // t.TempDir is root's alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "dockerwall")
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestCheckRunning checks the containers of an Engine of each of the Docker versions there are.
func TestCheckRunning(t *testing.T) {
	for name, options := range map[string]lab.DockerOptions{"20.10": {}, "newest": {Newest: true}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, options)
			w.names()
			w.output(t, exitOK, "check", "--running")
			if err := w.engine.ImportProbe(t.Context(), "sly", `LABEL dockerwall.outbound="*"`); err != nil {
				t.Fatal(err)
			}
			for _, spec := range []lab.RunSpec{
				{Name: "good", Network: web, Labels: map[string]string{"dockerwall.outbound": "www.example.com, 203.0.113.7"}},
				{Name: "bad", Network: web, Labels: map[string]string{"dockerwall.outbound": "203.0.113.1, x.y:99999, *.example.com, !_dns_", "dockerwall.mod": "off"}},
				{Name: "sly", Image: "sly", Network: web},
				{Name: "free", Network: "host", Labels: map[string]string{"dockerwall.outbound": "*"}},
				{Name: "admin", Network: other, Args: []string{"--cap-add=NET_ADMIN"}},
				{Name: "lost", Network: other, Labels: map[string]string{"dockerwall.outbound": "no.such.example, " + webNet + ", !denied.example"}},
			} {
				w.run(t, spec)
			}
			got := w.findings(t, "check", "--resolve", "-o", "json")
			want := []string{
				"admin steps-around 0", "bad bad-port-or-protocol 17", "bad unknown-label 0", "bad wildcard-without-apex 25",
				"free host-network 0", "lost host-in-range 18", "lost unresolved-name 1", "lost unresolved-name 33", "sly image-label 0",
			}
			if name == "newest" {
				want = append(want, "bad dns-not-held 40")
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// findings are container, rule and position of each finding, sorted.
func (w *world) findings(t *testing.T, args ...string) (out []string) {
	t.Helper()
	var object struct {
		Kind string
		Spec report
	}
	text := w.output(t, exitFindings, args...)
	if err := json.Unmarshal([]byte(text), &object); err != nil || object.Kind != "Findings" {
		t.Fatalf("%v: %s", err, text)
	}
	for _, f := range object.Spec.Findings {
		if f.Remedy == "" || f.Message == "" || f.Severity == "" || f.File != "" {
			t.Errorf("%+v", f)
		}
		out = append(out, f.Container+" "+f.Rule+" "+strconv.Itoa(f.Position))
	}
	return out
}
