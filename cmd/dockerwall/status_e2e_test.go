package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/internal/lab"
)

// status is what `dockerwall status` prints, with its exit code.
func (w *world) status(t *testing.T, args ...string) (out, said string, code int) {
	t.Helper()
	return w.answer(t, append([]string{"status"}, args...)...)
}

func (w *world) answer(t *testing.T, args ...string) (out, said string, code int) {
	t.Helper()
	cmd := w.command(t.Context(), args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// told is the Status of `status -o json`.
func (w *world) told(t *testing.T) (s api.Status, code int) {
	t.Helper()
	out, said, code := w.status(t, "-o", "json")
	var object api.Object[api.Status]
	if err := json.Unmarshal([]byte(out), &object); err != nil || object.Kind != api.KindStatus || object.APIVersion != api.Version {
		t.Fatalf("%v: %s%s", err, out, said)
	}
	return object.Spec, code
}

// inWords is a container in words: its mode, what is said of it, and its findings.
func inWords(c api.Container) string {
	out := []string{c.Mode}
	if note := strings.TrimSpace(c.Unfenced + c.Shares); note != "" {
		out = append(out, note)
	}
	for _, f := range c.Findings {
		out = append(out, f.Severity+": "+f.Message)
	}
	return strings.Join(out, "; ")
}

// TestStatusShowsEveryKindOfContainer also is row 13: a broken label concerns its container alone.
func TestStatusShowsEveryKindOfContainer(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.names()
	w.network(t, "free", "172.30.4.0/24", "")
	w.docker(t, "network", "create", "-d=macvlan", "-o=parent=eth0", "lan")
	d := w.start(t, "GATEWAY_NETWORKS=!free", "DEFAULT_OUTBOUND=203.0.113.9")
	if s, code := w.told(t); code != exitOK || s.State != api.Enforcing || len(s.Degraded) > 0 || len(s.Containers) > 0 {
		t.Errorf("exit %d: %+v", code, s)
	}
	run := func(name, network string, labels ...string) *box {
		spec := lab.RunSpec{Name: name, Network: network, Labels: map[string]string{}}
		for _, l := range labels {
			key, value, _ := strings.Cut(l, "=")
			spec.Labels["dockerwall."+key] = value
		}
		return w.run(t, spec)
	}
	good := run("good", web, "outbound=www.example.com, !10.0.0.0/8", "deny=reject")
	wrong := run("wrong", web, "outbound=203.0.113.1, !203.0.113.2:99999")
	run("audit", web, "mode=audit")
	run("off", web, "mode=off")
	run("free", "free")
	run("bound", "free", "outbound=*")
	run("host", "host")
	run("none", "none")
	run("lan", "lan")
	run("shares", "container:"+good.ID)
	w.docker(t, "network", "connect", "free", run("both", web).ID)

	good.reaches(t, "tcp 203.0.113.9:80", "tcp 203.0.113.10:80")
	wrong.reaches(t, "tcp 203.0.113.9:80")
	wrong.isKeptFrom(t, "tcp 203.0.113.1:80", "tcp 203.0.113.2:80")
	want := map[string]string{
		"good": "enforce", "audit": "audit", "off": "off", "none": "enforce", "shares": "enforce; good",
		"wrong": `enforce; error: "99999" is not a port, and a denial is lost with it: no allow beside it counts until that is corrected`,
		"free":  "unfenced; network free is left alone (GATEWAY_NETWORKS)",
		"bound": "unfenced; network free is left alone (GATEWAY_NETWORKS); error: the container's network is left alone (GATEWAY_NETWORKS); its labels do nothing there",
		"host":  "unfenced; it is in the host's own network; warning: the container is in the host's own network, where nothing is fenced",
		"lan":   "unfenced; network lan is of driver macvlan, which passes none of the host's hooks; warning: the container is on a network of driver macvlan: what it sends there passes none of the host's hooks",
		"both":  "enforce; warning: the container is fenced, but also sits on a network that is not: a free way out",
	}
	var s api.Status
	eventually(t, func() error {
		var code int
		s, code = w.told(t)
		got := map[string]string{}
		for _, c := range s.Containers {
			got[c.Name] = inWords(c)
		}
		if diff := cmp.Diff(want, got); diff != "" || code != exitDegraded || s.State != api.Enforcing {
			return fmt.Errorf("exit %d, %s (-want +got):\n%s", code, s.State, diff)
		}
		return nil
	})
	degraded := []string{"2 errors to correct (bound, wrong)", "both: the container is fenced, but also sits on a network that is not: a free way out (free)"}
	if diff := cmp.Diff(degraded, s.Degraded); diff != "" {
		t.Errorf("degraded (-want +got):\n%s", diff)
	}
	t.Run("counted alike by status, doctor and metrics", func(t *testing.T) { w.countsAlike(t) })
	t.Run("with all about one", func(t *testing.T) { w.statusOfOne(t, good, s) })
	t.Run("with a broken label's place and remedy", func(t *testing.T) {
		i := slices.IndexFunc(s.Containers, func(c api.Container) bool { return c.Name == "wrong" })
		f := s.Containers[i].Findings[0]
		if f.Label != "dockerwall.outbound" || f.Position != 26 || f.Token != "!203.0.113.2:99999" || f.Remedy == "" {
			t.Errorf("%+v", f)
		}
	})
	t.Run("in every format without an escape", w.statusHasNoEscapes)
	t.Run("and names complete", w.namesComplete)
	t.Run("and of one that does not run says so", func(t *testing.T) {
		if out, said, code := w.status(t, "goood"); out != "" || code != exitFailure || !strings.Contains(said, "did you mean good?") {
			t.Errorf("exit %d: %s%s", code, out, said)
		}
	})
	t.Run("and health sees a daemon that stands still", func(t *testing.T) { w.standsStill(t, d) })
	t.Run("and a dry run is loud; mistakes in settings and an Engine that is gone are told of", func(t *testing.T) {
		d.stop()
		w.start(t, "DRY_RUN=true", "GATEWAY_NETWORKS=!free, nosuch", "DEFAULT_OUTBOUND=203.0.113.9, 1.2.3.4.5")
		w.isDegraded(t, "GATEWAY_NETWORKS names a network that does not exist (nosuch)")
		s, _ := w.told(t)
		if out, _, _ := w.status(t); !strings.HasPrefix(out, "AUDIT: nothing is denied.") || s.State != api.DryRun {
			t.Errorf("%s: %s", s.State, out)
		}
		if i := slices.IndexFunc(s.Host, func(f api.Finding) bool {
			return f.Label == "DEFAULT_OUTBOUND" && f.Token == "1.2.3.4.5" && f.Severity == "error"
		}); i < 0 {
			t.Errorf("host: %+v", s.Host)
		}
		w.engine.Kill9()
		w.isDegraded(t, "Docker at unix:///run/docker.sock")
	})
}

// countsAlike is about 3 fenced containers, and 1, 1 and 4 others; one has no network, and one another's.
func (w *world) countsAlike(t *testing.T) {
	if out, _, _ := w.status(t); !strings.HasPrefix(out, "ENFORCING  3 containers fenced, 1 in audit, 1 off, 4 not · ") {
		t.Error(out)
	}
	if out, _, _ := w.answer(t, "doctor"); !strings.Contains(out, ": 3 containers fenced\n") || !strings.Contains(out, "nothing is fenced (4): ") {
		t.Error(out)
	}
	s := w.scrape(t)
	for state, want := range map[string]float64{"fenced": 3, "audit": 1, "off": 1, "unfenced": 4} {
		if got := s.sum("dockerwall_containers", "state="+state); got != want {
			t.Errorf("%v containers %s, want %v", got, state, want)
		}
	}
}

// isDegraded waits until one of the reasons that status gives has all of the words.
func (w *world) isDegraded(t *testing.T, words ...string) {
	t.Helper()
	eventually(t, func() error {
		s, code := w.told(t)
		for _, reason := range s.Degraded {
			if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(reason, w) }) && code == exitDegraded {
				return nil
			}
		}
		return fmt.Errorf("exit %d, degraded: %q", code, s.Degraded)
	})
}

// isWhole waits until status has nothing to say against the fence.
func (w *world) isWhole(t *testing.T) {
	t.Helper()
	eventually(t, func() error {
		if s, code := w.told(t); code != exitOK {
			return fmt.Errorf("exit %d, degraded: %q", code, s.Degraded)
		}
		return nil
	})
}

// statusOfOne is about container good, which denied packets are known of.
func (w *world) statusOfOne(t *testing.T, b *box, s api.Status) {
	i := slices.IndexFunc(s.Containers, func(c api.Container) bool { return c.Name == "good" })
	c := s.Containers[i]
	tokens := []api.PolicyToken{
		{Token: "www.example.com", Origin: "dockerwall.outbound"}, {Token: "!10.0.0.0/8", Origin: "dockerwall.outbound"},
		{Token: "203.0.113.9", Origin: "DEFAULT_OUTBOUND"}, {Token: "_dns_", Origin: "implied"},
	}
	if diff := cmp.Diff(tokens, c.Policy); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
	if len(c.Names) != 1 || len(c.Names[0].Addrs) != 2 || !c.Names[0].Addrs[0].Expires.After(s.Time) {
		t.Errorf("names: %+v", c.Names)
	}
	if c.Deny != "reject" || !slices.Contains(c.Addrs, b.addr(t, web)) || c.Sent.Packets == 0 {
		t.Errorf("%+v", c)
	}
	before := c.Denied.Packets
	for range 3 {
		b.try(t.Context(), "tcp 203.0.113.77:80")
	}
	eventually(t, func() error {
		out, said, code := w.status(t, "good", "-o", "jsonl")
		var line api.Object[api.Container]
		if err := json.Unmarshal([]byte(out), &line); err != nil || line.Kind != "Container" || code != exitDegraded {
			t.Fatalf("exit %d, %v: %s%s", code, err, out, said)
		}
		day := line.Spec.History
		if n := line.Spec.Denied.Packets - before; n != 3 || day[len(day)-1]+day[len(day)-2] != before+n {
			return fmt.Errorf("%d denied and %d before, history %v", n, before, day)
		}
		return nil
	})
}

func (w *world) statusHasNoEscapes(t *testing.T) {
	for _, args := range [][]string{nil, {"-o=wide"}, {"-o=json"}, {"-o=yaml"}, {"-o=jsonl"}, {"good"}, {"wrong"}} {
		out, said, code := w.status(t, args...)
		if code != exitDegraded || said != "" || strings.Contains(out, "\x1b") || !strings.Contains(out, "good") && !strings.Contains(out, "wrong") {
			t.Errorf("%q: exit %d: %s%s", args, code, out, said)
		}
	}
}

func (w *world) namesComplete(t *testing.T) {
	out, _, code := w.answer(t, "__complete", "status", "")
	if code != exitOK || !strings.HasPrefix(out, "audit\nboth\nbound\nfree\ngood\nhost\nlan\nnone\noff\nshares\nwrong\n:4\n") {
		t.Errorf("exit %d: %s", code, out)
	}
}

// standsStill stops the daemon as a hang would.
func (w *world) standsStill(t *testing.T, d *wall) {
	if err := unix.Kill(d.cmd.Process.Pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { // one thread has to take the signal before all stop
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
		if err == nil && !strings.Contains(string(status), "\nState:\tT") {
			err = errors.New("the daemon is not stopped")
		}
		return err
	})
	out, said, code := w.answer(t, "health")
	if err := unix.Kill(d.cmd.Process.Pid, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if out != "" || code != exitFailure || !strings.HasPrefix(said, "unhealthy: the daemon has not answered for 5s") {
		t.Errorf("exit %d: %s%s", code, out, said)
	}
	w.healthy(t, d)
}
