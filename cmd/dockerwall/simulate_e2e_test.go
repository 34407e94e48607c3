package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/simulate"
)

// changedShop takes the database from web and gives it port 8080 of a server, which it was denied.
const changedShop = `name: shop
services:
  web:
    image: any
    labels:
      dockerwall.outbound: "www.example.com:80, 203.0.113.20:443/udp, 203.0.113.21:8080"
`

func TestWhatASimulationSaysIsWhatHappens(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.names()
	d := w.start(t)
	labels := map[string]string{
		composeProject: "shop", composeService: "web", composeHash: "1f0c",
		"dockerwall.outbound": "www.example.com:80, db.example.com:5432/tcp, 203.0.113.20:443/udp",
	}
	b := w.run(t, lab.RunSpec{Name: "shop-web-1", Network: web, Labels: labels})
	b.resolves(t, "www.example.com", true)
	b.resolves(t, "db.example.com", true)
	stay := []act{"tcp 203.0.113.10:80", "udp 203.0.113.20:443"}
	go1, come := act("tcp 203.0.113.12:5432"), act("tcp 203.0.113.21:8080")
	never := act("tcp 203.0.113.22:443")
	b.reaches(t, append(slices.Clone(stay), go1)...)
	b.isKeptFrom(t, come, never)
	audited := w.run(t, lab.RunSpec{Name: "audited", Network: web, Labels: map[string]string{"dockerwall.mode": "audit", "dockerwall.outbound": "203.0.113.20"}})
	audited.reaches(t, "tcp 203.0.113.20:443", "tcp 203.0.113.23:443")
	all := []string{
		"audited 203.0.113.20:443/tcp allowed", "audited 203.0.113.23:443/tcp audit",
		"shop-web-1 203.0.113.10:80/tcp allowed", "shop-web-1 203.0.113.12:5432/tcp allowed", "shop-web-1 203.0.113.20:443/udp allowed",
		"shop-web-1 203.0.113.21:8080/tcp denied", "shop-web-1 203.0.113.22:443/tcp denied",
	}
	counts := w.hasObserved(t, all)
	d.stop()
	w.start(t)
	if diff := cmp.Diff(counts, w.hasObserved(t, all)); diff != "" {
		t.Errorf("a daemon counts what the one before it has (-before +after):\n%s", diff)
	}
	saved, change := filepath.Join(t.TempDir(), "seen.json"), filepath.Join(t.TempDir(), "compose.yaml")
	out := w.output(t, exitOK, "observations", "-o", "json")
	for path, text := range map[string]string{saved: out, change: changedShop} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{"shop-web-1 denied": "203.0.113.12:5432/tcp", "shop-web-1 allowed": "203.0.113.21:8080/tcp"}
	for name, args := range map[string][]string{"asks the daemon": nil, "replays what was saved": {"--observations", saved, "--socket", "/nowhere"}} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(want, w.simulates(t, exitFindings, append(args, change)...)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("of what is enforced", func(t *testing.T) {
		want := map[string]string{"audited denied": "203.0.113.23:443/tcp"}
		if diff := cmp.Diff(want, w.simulates(t, exitFindings, "--enforce")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("and so it is", func(t *testing.T) {
		w.docker(t, "rm", "-f", "shop-web-1")
		labels["dockerwall.outbound"] = "www.example.com:80, 203.0.113.20:443/udp, 203.0.113.21:8080"
		b := w.run(t, lab.RunSpec{Name: "shop-web-1", Network: web, Labels: labels})
		b.resolves(t, "www.example.com", true)
		b.reaches(t, append(slices.Clone(stay), come)...)
		b.isKeptFrom(t, go1, never)
	})
}

// hasObserved waits for the observations to be these, and returns how many connections each was that was allowed.
func (w *world) hasObserved(t *testing.T, want []string) map[string]uint64 {
	t.Helper()
	counts := map[string]uint64{}
	eventually(t, func() error {
		var object api.Object[api.Observations]
		out, said, code := w.answer(t, "observations", "-o", "json")
		if err := json.Unmarshal([]byte(out), &object); code != exitOK || err != nil {
			return fmt.Errorf("exit %d: %w: %s", code, err, said)
		}
		var got []string
		for _, s := range object.Spec.Subjects {
			for _, r := range s.Records {
				if r.Port == 53 {
					continue
				}
				got = append(got, fmt.Sprintf("%s %s %s", s.Container, destinationText(r.Destination, r.Port, r.Protocol), r.Verdict))
				if r.Verdict == api.VerdictAllowed { // more than one where a test had to try again
					counts[got[len(got)-1]] = r.Count
				}
				if r.Count == 0 {
					return fmt.Errorf("%s: no connections", got[len(got)-1])
				}
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("(-want +got):\n%s", diff)
		}
		return nil
	})
	return counts
}

// simulates are the destinations that a simulation tells of, by container and what becomes of them.
func (w *world) simulates(t *testing.T, code int, args ...string) map[string]string {
	t.Helper()
	var object api.Object[simulate.Report]
	out := w.output(t, code, append([]string{"check", "--simulate", "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &object); err != nil || object.Kind != kindSimulation {
		t.Fatalf("%v: %s", err, out)
	}
	told := map[string][]string{}
	for _, c := range object.Spec.Containers {
		for _, f := range c.Denied {
			told[c.Container+" denied"] = append(told[c.Container+" denied"], destinationText(f.Destination, f.Port, f.Protocol))
			if f.Connections == 0 {
				t.Errorf("no connections: %+v", f)
			}
		}
		for _, f := range c.Allowed {
			told[c.Container+" allowed"] = append(told[c.Container+" allowed"], destinationText(f.Destination, f.Port, f.Protocol))
		}
		if len(c.Undecided) > 0 {
			t.Errorf("undecided: %+v", c.Undecided)
		}
	}
	got := map[string]string{}
	for key, list := range told {
		got[key] = strings.Join(list, ", ")
	}
	return got
}
