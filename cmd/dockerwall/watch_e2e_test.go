package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
	"github.com/dockerwall/dockerwall/observe"
)

// shownLine is a line of `watch`, and when it came.
type shownLine struct {
	at   time.Time
	text string
}

// screen is a `dockerwall watch` on the lab's host.
type screen struct {
	cmd    *exec.Cmd
	exited chan struct{}
	said   logged

	mu    sync.Mutex
	lines []shownLine
	part  string
}

func (s *screen) Write(p []byte) (int, error) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := strings.Split(s.part+string(p), "\n")
	s.part = lines[len(lines)-1]
	for _, text := range lines[:len(lines)-1] {
		s.lines = append(s.lines, shownLine{now, text})
	}
	return len(p), nil
}

func (s *screen) all() []shownLine {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lines)
}

// watch starts one and waits until the daemon knows of it.
func (w *world) watch(t *testing.T, args ...string) *screen {
	t.Helper()
	s := &screen{cmd: w.command(t.Context(), append([]string{"watch"}, args...)...), exited: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = s, &s.said
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = s.cmd.Wait()
		close(s.exited)
	}()
	t.Cleanup(func() { s.interrupt() })
	return s
}

// interrupt is Ctrl-C; it returns the exit code.
func (s *screen) interrupt() int {
	_ = unix.Kill(s.cmd.Process.Pid, unix.SIGINT)
	<-s.exited
	return s.cmd.ProcessState.ExitCode()
}

// shows waits for a line that has the words, and returns it.
func (s *screen) shows(t *testing.T, words ...string) shownLine {
	t.Helper()
	var found shownLine
	eventually(t, func() error {
		for _, line := range s.all() {
			if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line.text, w) }) {
				found = line
				return nil
			}
		}
		return fmt.Errorf("no line has %q: %v", words, s.all())
	})
	return found
}

// packets adds up the counts of lines that have all of the words.
func (s *screen) packets(words ...string) (n int) {
	for _, line := range s.all() {
		if slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line.text, w) }) {
			continue
		}
		if m := regexp.MustCompile(` x(\d+) `).FindStringSubmatch(line.text); m != nil {
			more, _ := strconv.Atoi(m[1])
			n += more
		}
	}
	return n
}

func TestWatch(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.names()
	d := w.start(t)
	b := w.run(t, lab.RunSpec{Name: "talker", Network: web, Labels: map[string]string{
		"dockerwall.outbound": "203.0.113.7", "com.docker.compose.project": "shop", "com.docker.compose.service": "web",
	}})
	audited := w.run(t, lab.RunSpec{Name: "ci", Network: web, Labels: map[string]string{"dockerwall.mode": "audit"}})
	s, raw := w.watch(t), w.watch(t, "-o", "jsonl")
	b.reaches(t, "udp 203.0.113.7:5000")

	t.Run("a denied connection is shown with its name within a second", func(t *testing.T) { shownAtOnce(t, b, s) })
	t.Run("what passes in audit is shown as that", func(t *testing.T) {
		audited.reaches(t, "tcp 203.0.113.9:80")
		s.shows(t, "AUDIT  ci -> 203.0.113.9:80 tcp x", " no rule")
	})
	t.Run("jsonl has all of it", func(t *testing.T) {
		var line api.Object[api.Denial]
		text := raw.shows(t, `"names":["www.example.com"]`).text
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatal(err)
		}
		if got := line.Spec; got.ContainerID != b.ID || got.Container != "talker" || got.Image != lab.ProbeImage || got.Token != "www.example.com:443/tcp" || got.Verdict != "denied" || got.Bytes == 0 {
			t.Errorf("%+v", got)
		}
	})
	t.Run("the last packets of a container that goes are shown", func(t *testing.T) { lastPackets(t, w, s) })
	t.Run("an address of nobody is shown with its bridge", func(t *testing.T) { nobodysPackets(t, b, s) })
	t.Run("what was shown comes again, and its packets are the kernel's", func(t *testing.T) {
		out := w.output(t, exitOK, "watch", "--follow=false", "--last=10000", "talker")
		again := &screen{}
		_, _ = again.Write([]byte(out))
		if got, want := again.packets("talker"), int(w.scrape(t).packets(b, "drop")); got != want || got == 0 {
			t.Errorf("%d packets shown, %d denied:\n%s", got, want, out)
		}
	})
	t.Run("a shell completes containers, and words of filters", func(t *testing.T) {
		for args, want := range map[string][]string{
			"": {"talker\n", "ci\n"}, "talker ": {"ci\n"}, "--container ": {"talker\n"},
			"--verdict ": {"audit\n"}, "--reason ": {"spoof\n"}, "--protocol ": {"sctp\n"}, "-o ": {"jsonl\n"},
		} {
			out := w.output(t, exitOK, append([]string{"__complete", "watch"}, strings.Split(args, " ")...)...)
			for _, word := range want {
				if !strings.Contains(out, word) {
					t.Errorf("watch %s: lacks %q: %s", args, word, out)
				}
			}
		}
	})
	t.Run("it ends well when interrupted, and badly when the daemon ends", func(t *testing.T) {
		if code := raw.interrupt(); code != exitOK || raw.said.String() != "" {
			t.Errorf("interrupted: exit %d, %s", code, raw.said.String())
		}
		d.kill9()
		<-s.exited
		if code := s.cmd.ProcessState.ExitCode(); code != exitFailure || !strings.Contains(s.said.String(), "dockerwall: ") {
			t.Errorf("without the daemon: exit %d, %s", code, s.said.String())
		}
	})
}

// shownAtOnce connects a container to a name that nobody has asked for yet, then again and again as soon as that is shown.
func shownAtOnce(t *testing.T, b *box, s *screen) {
	began := time.Now()
	if r, err := b.Probe(t.Context(), "tcp", "www.example.com:443", "-timeout", "300ms"); err != nil || r.Outcome != result.Timeout {
		t.Fatalf("%+v, %v", r, err)
	}
	busy := time.Since(began) - 300*time.Millisecond // that a program takes to start and end on this machine now
	line := s.shows(t, "DENIED talker -> www.example.com:443 (", ") tcp x", " no rule")
	t.Logf("%v after the container was told to connect: %s", line.at.Sub(began), line.text)
	if took := line.at.Sub(began); took > time.Second+busy {
		t.Errorf("shown after %v", took)
	}
	fastest := time.Minute
	for port := 1; port <= 5; port++ {
		began, to := time.Now(), fmt.Sprintf("203.0.113.8:%d", port)
		done := make(chan struct{})
		go func() {
			defer close(done)
			b.try(t.Context(), act("udp "+to))
		}()
		took := s.shows(t, "DENIED talker -> "+to+" udp x1 ").at.Sub(began)
		t.Logf("the next one %v after the container was told to send", took)
		fastest = min(fastest, took)
		<-done
	}
	if fastest > observe.Pause+300*time.Millisecond+busy { // a reading that found something is a second old
		t.Errorf("none was shown before %v", fastest)
	}
}

func lastPackets(t *testing.T, w *world, s *screen) {
	short := w.run(t, lab.RunSpec{Name: "shortlived", Network: web})
	eventually(t, func() error { // its rules are there
		if r := short.try(t.Context(), "udp 203.0.113.8:1"); s.packets("shortlived") == 0 {
			return fmt.Errorf("%+v", r)
		}
		return nil
	})
	before := s.packets("shortlived", ":4444 udp")
	err := short.ns.Do(func() error {
		conn, err := net.Dial("udp", "203.0.113.8:4444")
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		for range 50 {
			if _, err := conn.Write([]byte("x")); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.docker(t, "rm", "-f", "shortlived")
	eventually(t, func() error {
		if n := s.packets("shortlived", ":4444 udp") - before; n != 50 {
			return fmt.Errorf("%d packets shown of 50", n)
		}
		return nil
	})
}

func nobodysPackets(t *testing.T, b *box, s *screen) {
	const stray = "172.30.1.99"
	if out, err := b.ns.Command(t.Context(), "ip", "addr", "add", stray+"/24", "dev", "eth0").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	err := b.ns.Do(func() error {
		dialer := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(stray)}}
		conn, err := dialer.Dial("udp", "203.0.113.8:5555")
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		_, err = conn.Write([]byte("x"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.shows(t, "DENIED "+stray+"@br-", " -> 203.0.113.8:5555 udp x1 unknown source")
}
