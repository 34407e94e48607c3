package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
)

const stackPage = "docs/howto/swarm.md"

// TestAServiceOfASwarmFencesItsNodes types what the page says, on the oldest and the newest Engine.
func TestAServiceOfASwarmFencesItsNodes(t *testing.T) {
	for name, options := range map[string]lab.DockerOptions{"this machine's Engine": {}, "the newest Engine": {Newest: true}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, options)
			w.names()
			if err := w.engine.Import(t.Context(), "dockerwall", map[string]string{"/dockerwall": w.binary}, imageChanges(t)...); err != nil {
				t.Fatal(err)
			}
			w.docker(t, "swarm", "init", "--advertise-addr="+lab.HostAddr)
			b := w.run(t, lab.RunSpec{Name: "app", Network: web, Labels: map[string]string{"dockerwall.outbound": "www.example.com, 203.0.113.1"}})
			var typed []string
			for _, s := range readPage(stackPage, document(t, stackPage)).steps {
				if s.lang == "" {
					for _, c := range s.commands() {
						typed = append(typed, c.text)
					}
				}
			}
			if len(typed) != 6 {
				t.Fatalf("the page has other commands: %q", typed)
			}
			w.types(t, typed[0])
			const service = "com.docker.swarm.service.name=dockerwall_dockerwall"
			w.serviceIs(t, service, "true")
			b.reaches(t, "tcp 203.0.113.2:80")
			if out := w.types(t, typed[1]); !strings.Contains(out, "app") {
				t.Errorf("status lacks the container:\n%s", out)
			}
			eventually(t, func() error {
				if out := w.types(t, typed[2]); !strings.Contains(out, "203.0.113.2:80/tcp") {
					return fmt.Errorf("suggest: %s", out)
				}
				return nil
			})
			w.types(t, typed[3])
			w.serviceIs(t, service, "false")
			b.reaches(t, "tcp 203.0.113.10:443", "tcp 203.0.113.1:80")
			b.isKeptFrom(t, "tcp 203.0.113.2:80", act("tcp "+lab.HostAddr+":50000"))
			w.types(t, typed[4])
			eventually(t, func() error {
				if left := w.docker(t, "ps", "--quiet", "--filter=label="+service); left != "" {
					return fmt.Errorf("runs still: %s", left)
				}
				return nil
			})
			b.isKeptFrom(t, "tcp 203.0.113.2:80")
			w.types(t, typed[5])
			b.reaches(t, "tcp 203.0.113.2:80")
		})
	}
}

// types runs a line of shell in the tree, with the docker program of the world's Engine, and returns what it prints.
func (w *world) types(t *testing.T, line string) string {
	t.Helper()
	tree, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	cmd := w.HostCommand(t.Context(), "sh", "-c", "cd "+tree+" && "+line)
	cmd.Env = append(os.Environ(), "DOCKER_HOST=unix:///run/docker.sock", "DOCKER_CONFIG=/run/dockerwall-cli", "PATH="+w.engine.Programs()+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// serviceIs waits until the one task of dockerwall's service is healthy and has the value of DRY_RUN.
func (w *world) serviceIs(t *testing.T, label, dryRun string) {
	t.Helper()
	eventually(t, func() error {
		ids := strings.Fields(w.docker(t, "ps", "--quiet", "--filter=label="+label))
		if len(ids) != 1 {
			return fmt.Errorf("%d tasks run:\n%s", len(ids), w.docker(t, "service", "ps", "--no-trunc", "dockerwall_dockerwall"))
		}
		env := w.docker(t, "inspect", "--format={{.Config.Env}}", ids[0])
		out, err := w.engine.Command(t.Context(), "exec", ids[0], "dockerwall", "health").CombinedOutput()
		if err != nil || !strings.Contains(env, "DRY_RUN="+dryRun) {
			return fmt.Errorf("%s: %w: %s", env, err, out)
		}
		return nil
	})
}
