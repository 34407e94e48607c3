package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
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

// printed is a line of `watch`, and when it came.
type printed struct {
	at   time.Time
	text string
}

// screen is a `dockerwall watch` on the lab's host.
type screen struct {
	cmd    *exec.Cmd
	exited chan struct{}
	said   logged

	mu    sync.Mutex
	lines []printed
	part  string
}

func (s *screen) Write(p []byte) (int, error) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := strings.Split(s.part+string(p), "\n")
	s.part = lines[len(lines)-1]
	for _, text := range lines[:len(lines)-1] {
		s.lines = append(s.lines, printed{now, text})
	}
	return len(p), nil
}

func (s *screen) all() []printed {
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
func (s *screen) shows(t *testing.T, words ...string) printed {
	t.Helper()
	var found printed
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

	t.Run("a denied connection is printed with its name within a second", func(t *testing.T) { shownAtOnce(t, b, s) })
	t.Run("what passes in audit is printed as that", func(t *testing.T) {
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
	t.Run("the last packets of a container that goes are printed", func(t *testing.T) { lastPackets(t, w, s) })
	t.Run("an address of nobody is printed with its bridge", func(t *testing.T) { nobodysPackets(t, b, s) })
	t.Run("what was printed comes again, and its packets are the kernel's", func(t *testing.T) {
		out := w.output(t, exitOK, "watch", "--follow=false", "--last=10000", "talker")
		again := &screen{}
		_, _ = again.Write([]byte(out))
		if got, want := again.packets("talker"), int(w.scrape(t).packets(b, "drop")); got != want || got == 0 {
			t.Errorf("%d packets printed, %d denied:\n%s", got, want, out)
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

// shownAtOnce connects a container to a name that nobody has asked for yet, then again and again as soon as that is printed.
func shownAtOnce(t *testing.T, b *box, s *screen) {
	began := time.Now()
	if r, err := b.Probe(t.Context(), "tcp", "www.example.com:443", "-timeout", "300ms"); err != nil || r.Outcome != result.Timeout {
		t.Fatalf("%+v, %v", r, err)
	}
	line := s.shows(t, "DENIED talker -> www.example.com:443 (", ") tcp x", " no rule")
	t.Logf("%v after the container was told to connect: %s", line.at.Sub(began), line.text)
	if took := line.at.Sub(began); took > time.Second {
		t.Errorf("printed after %v", took)
	}
	for port := 1; port <= 5; port++ {
		began, to := time.Now(), fmt.Sprintf("203.0.113.8:%d", port)
		done := make(chan struct{})
		go func() {
			defer close(done)
			b.try(t.Context(), act("udp "+to))
		}()
		took := s.shows(t, "DENIED talker -> "+to+" udp x1 ").at.Sub(began)
		t.Logf("the next one %v after the container was told to send", took)
		if took > observe.Pause+300*time.Millisecond { // a reading that found something is a second old, and the machine is busy
			t.Errorf("printed after %v", took)
		}
		<-done
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
			return fmt.Errorf("%d packets printed of 50", n)
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

// TestWatchUnderAFlood has a container send 10,000 denied packets a second for ten seconds.
func TestWatchUnderAFlood(t *testing.T) {
	const (
		seconds, perSecond, destinations = 10, 10_000, 4
		each                             = seconds * perSecond / destinations
	)
	w := newWorld(t, lab.DockerOptions{})
	d := w.start(t)
	b := w.run(t, lab.RunSpec{Name: "flooder", Network: web})
	b.isKeptFrom(t, "udp 203.0.113.2:9") // its rules are there
	s := w.watch(t, "--last=0")
	eventually(t, func() error {
		_ = b.try(t.Context(), "udp 203.0.113.2:10")
		if s.packets("203.0.113.2:10") == 0 {
			return fmt.Errorf("watch does not show anything: %s", s.said.String())
		}
		return nil
	})
	before, began, cpu := w.scrape(t), time.Now(), cpuOf(t, d.cmd.Process.Pid)
	b.pour(t, "203.0.113.8", destinations, seconds, perSecond)
	took, used := time.Since(began), cpuOf(t, d.cmd.Process.Pid)-cpu
	eventually(t, func() error {
		if n := s.packets("203.0.113.8:"); n != destinations*each {
			return fmt.Errorf("%d packets printed of %d", n, destinations*each)
		}
		return nil
	})
	if n := w.scrape(t).packets(b, "drop") - before.packets(b, "drop"); n != destinations*each {
		t.Errorf("%v packets counted of %d", n, destinations*each)
	}
	for port := 9000; port < 9000+destinations; port++ {
		lines := s.about(fmt.Sprintf(" flooder -> 203.0.113.8:%d udp x", port))
		if n := s.packets(fmt.Sprintf("203.0.113.8:%d udp", port)); n != each {
			t.Errorf("to port %d %d packets printed of %d", port, n, each)
		}
		if most := int(took/time.Second) + 2; len(lines) > most || len(lines) < 3 {
			t.Errorf("to port %d %d lines in %v", port, len(lines), took)
		}
		for i := range lines[1:] {
			if gap := lines[i+1].at.Sub(lines[i].at); gap < 900*time.Millisecond { // read by a busy test
				t.Errorf("to port %d two lines within %v", port, gap)
			}
		}
	}
	if said := s.said.String(); said != "" {
		t.Errorf("it says %s", said)
	}
	t.Logf("%d packets in %v; the daemon used %v, %.1f %% of a core; %d lines", destinations*each, took, used, 100*used.Seconds()/took.Seconds(), len(s.all()))
	if used > took/5 {
		t.Errorf("the daemon used %v in %v", used, took)
	}
}

// about are the lines that have the text.
func (s *screen) about(text string) []printed {
	return slices.DeleteFunc(s.all(), func(line printed) bool { return !strings.Contains(line.text, text) })
}

// pour sends udp packets from the container's namespace to ports from 9000 on, evenly.
func (b *box) pour(t *testing.T, to string, ports, seconds, perSecond int) {
	t.Helper()
	var conns []net.Conn
	for i := range ports {
		conn, err := b.ns.Dial(t.Context(), "udp", net.JoinHostPort(to, strconv.Itoa(9000+i)))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		conns = append(conns, conn)
	}
	tick, began := time.NewTicker(5*time.Millisecond), time.Now()
	defer tick.Stop()
	for sent := 0; sent < seconds*perSecond; <-tick.C {
		due := min(int(time.Since(began).Seconds()*float64(perSecond)), seconds*perSecond)
		for sent < due {
			if _, err := conns[sent%ports].Write([]byte("flood")); err != nil {
				t.Fatal(err)
			}
			sent++
		}
	}
}

// cpuOf is the time that a process has used, user's and system's (proc(5), stat).
func cpuOf(t *testing.T, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * time.Second / 100
}
