package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/internal/lab"
)

const (
	patience = 15 * time.Second        // for what has to come about
	stateDir = "/run/dockerwall/state" // every host's own
	moment   = 400 * time.Millisecond  // for an answer that must not come
)

// The networks of a world; each is of both families.
const (
	web       = "web"
	webNet    = "172.30.1.0/24"
	webGate   = "172.30.1.1"
	webNet6   = "2001:db8:c:1::/64"
	other     = "other"
	otherNet  = "172.30.2.0/24"
	otherGate = "172.30.2.1"
	otherNet6 = "2001:db8:c:2::/64"
)

// world is a lab with an Engine, two networks and the binary under test.
type world struct {
	*lab.Lab
	engine        *lab.Docker
	binary, probe string
	contacted     int // fresh names, see contacts
}

// newWorld lets the test run beside others: each has its own host, and most of their time is waiting.
func newWorld(t *testing.T, options lab.DockerOptions) *world {
	t.Helper()
	t.Parallel()
	return anotherWorld(t, options)
}

// anotherWorld is newWorld for a test that has one already.
func anotherWorld(t testing.TB, options lab.DockerOptions) *world {
	t.Helper()
	w := &world{Lab: lab.ForTest(t)}
	w.binary, w.probe = programs(t)
	w.engine = w.DockerForTest(t, options)
	if err := w.engine.ImportProbe(t.Context(), lab.ProbeImage); err != nil {
		t.Fatal(err)
	}
	w.network(t, web, webNet, webNet6)
	w.network(t, other, otherNet, otherNet6)
	return w
}

func programs(t testing.TB) (binary, probe string) {
	t.Helper()
	p, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return p[0], p[1]
}

// built are the binary and the probe, built once.
var built = sync.OnceValues(func() (paths [2]string, err error) {
	cache, err := goCache()
	if err != nil {
		return paths, err
	}
	if err := os.Setenv("GOCACHE", cache); err != nil {
		return paths, err
	}
	for i, pkg := range []string{"github.com/dockerwall/dockerwall/cmd/dockerwall", "github.com/dockerwall/dockerwall/internal/lab/probe"} {
		if paths[i], err = lab.BuildStatic(context.Background(), pkg); err != nil {
			return paths, err
		}
	}
	return paths, nil
})

// network makes one and returns the name of its bridge.
func (w *world) network(t testing.TB, name, v4, v6 string) string {
	t.Helper()
	args := []string{"network", "create", "--subnet=" + v4}
	if v6 != "" {
		args = append(args, "--ipv6", "--subnet="+v6)
	}
	return "br-" + w.docker(t, append(args, name)...)[:12]
}

// docker runs the docker program and returns what it prints.
func (w *world) docker(t testing.TB, args ...string) string {
	t.Helper()
	out, err := w.engine.CLI(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// host runs a program on the host and returns what it prints, both streams.
func (w *world) host(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := w.HostCommand(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// wall is a `dockerwall run` on the lab's host.
type wall struct {
	cmd    *exec.Cmd
	log    logged
	exited chan struct{}
}

// logged is what a program wrote to its error stream so far.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// command is the binary on the host with settings: those like NAME=value are variables, the others its arguments.
func (w *world) command(ctx context.Context, settings ...string) *exec.Cmd {
	env, args := []string{"PATH=" + os.Getenv("PATH"), "DOCKER_HOST=unix:///run/docker.sock", "DOCKERWALL_STATE_DIR=" + stateDir}, []string{}
	for _, s := range settings {
		if name, _, ok := strings.Cut(s, "="); ok && strings.ToUpper(name) == name && !strings.HasPrefix(s, "-") {
			env = append(env, s)
		} else {
			args = append(args, s)
		}
	}
	cmd := w.HostCommand(ctx, w.binary, args...)
	cmd.Env = env
	return cmd
}

// launch starts a daemon and does not wait for it. Without a command among the settings it is "run".
func (w *world) launch(t testing.TB, settings ...string) *wall {
	t.Helper()
	if !slices.ContainsFunc(settings, func(s string) bool { return s == "run" || strings.HasPrefix(s, "-") }) {
		settings = append(settings, "run")
	}
	return begin(t, w.command(context.WithoutCancel(t.Context()), settings...))
}

// begin starts a daemon's command; it ends with the test.
func begin(t testing.TB, cmd *exec.Cmd) *wall {
	t.Helper()
	d := &wall{cmd: cmd, exited: make(chan struct{})}
	d.cmd.Stderr = &d.log
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = d.cmd.Wait()
		close(d.exited)
	}()
	t.Cleanup(func() {
		d.stop()
		if t.Failed() {
			t.Logf("log of the daemon with %q:\n%s", cmd.Env, tail(d.log.String()))
		}
	})
	return d
}

func tail(text string) string {
	lines := strings.SplitAfter(text, "\n")
	return strings.Join(lines[max(0, len(lines)-60):], "")
}

// start starts a daemon and waits until it says that it is healthy.
func (w *world) start(t testing.TB, settings ...string) *wall {
	t.Helper()
	d := w.launch(t, settings...)
	w.healthy(t, d)
	return d
}

func (w *world) healthy(t testing.TB, d *wall) {
	t.Helper()
	eventually(t, func() error {
		select {
		case <-d.exited:
			t.Fatalf("the daemon ended:\n%s", d.log.String())
		default:
		}
		out, err := w.command(t.Context(), "health").CombinedOutput()
		if err != nil {
			return fmt.Errorf("health: %w: %s", err, out)
		}
		return nil
	})
}

func (d *wall) stop()  { d.signal(unix.SIGTERM) }
func (d *wall) kill9() { d.signal(unix.SIGKILL) }

func (d *wall) signal(s unix.Signal) {
	_ = d.cmd.Process.Signal(s) // not by its number, which may be another's by now
	<-d.exited
}

// code waits for the daemon's end and returns its exit code.
func (d *wall) code(t testing.TB) int {
	t.Helper()
	select {
	case <-d.exited:
		return d.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Fatal("the daemon goes on")
		return 0
	}
}

// says waits until all of the words stand in the log, in one line.
func (d *wall) says(t testing.TB, words ...string) {
	t.Helper()
	eventually(t, func() error {
		for line := range strings.Lines(d.log.String()) {
			if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
				return nil
			}
		}
		return fmt.Errorf("no line of the log has all of %q", words)
	})
}

// eventually polls until check is content, and fails with its last error.
func eventually(t testing.TB, check func() error) {
	t.Helper()
	within(t, patience, check)
}

// within is eventually with another patience.
func within(t testing.TB, patience time.Duration, check func() error) {
	t.Helper()
	end := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after %v: %v", patience, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
