package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// mark is in the environment of every process that a demo starts.
const mark = "DOCKERWALL_DEMO_TEST"

// TestMain is the demo itself when a test asks for it, so that signals and exit codes are real.
func TestMain(m *testing.M) {
	if os.Getenv(mark) != "" {
		os.Args = os.Args[:1]
		main()
	}
	os.Exit(m.Run())
}

// showing is a demo that runs in a process group of its own, as under a shell.
type showing struct {
	*exec.Cmd
	mark   string
	said   bytes.Buffer
	stderr bytes.Buffer
	lines  io.Reader
}

func begin(t *testing.T) *showing {
	t.Helper()
	lab.Require(t)
	if _, err := lab.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := &showing{Cmd: exec.CommandContext(t.Context(), os.Args[0]), mark: fmt.Sprintf("%s=%d-%s", mark, os.Getpid(), t.Name())}
	s.Env = append(os.Environ(), s.mark)
	s.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.Stderr = &s.stderr
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.lines = io.TeeReader(out, &s.said)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// until reads on to a line that holds text.
func (s *showing) until(t *testing.T, text string) {
	t.Helper()
	for lines := bufio.NewScanner(s.lines); lines.Scan(); {
		if strings.Contains(lines.Text(), text) {
			return
		}
	}
	t.Fatalf("no line with %q:\n%s%s", text, s.said.String(), s.stderr.String())
}

// end reads the rest and returns the exit code.
func (s *showing) end(t *testing.T) int {
	t.Helper()
	if _, err := io.Copy(io.Discard, s.lines); err != nil {
		t.Error(err)
	}
	_ = s.Wait()
	return s.ProcessState.ExitCode()
}

// left is what the demo could leave on the machine.
func (s *showing) left(t *testing.T) map[string][]string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	own := fmt.Sprintf("dockerwall-lab-%d-*", s.Process.Pid)
	return map[string][]string{
		"mounts":     strings.Split(string(mounts), "\n"),
		"interfaces": found(t, "/sys/class/net/*"),
		"files":      found(t, filepath.Join(os.TempDir(), own)),
		"cgroups":    append(found(t, "/sys/fs/cgroup/"+own), found(t, "/sys/fs/cgroup/*/"+own)...),
		"processes":  s.processes(t),
	}
}

func found(t *testing.T, pattern string) []string {
	t.Helper()
	out, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (s *showing) processes(t *testing.T) (out []string) {
	t.Helper()
	for _, dir := range found(t, "/proc/[0-9]*") {
		environment, _ := os.ReadFile(filepath.Join(dir, "environ"))
		if strings.Contains(string(environment), s.mark) {
			command, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
			out = append(out, dir+" "+strings.ReplaceAll(string(command), "\x00", " "))
		}
	}
	return out
}

// leavesNothing compares with what was there before the demo.
func (s *showing) leavesNothing(t *testing.T, before map[string][]string) {
	t.Helper()
	for what, now := range s.left(t) {
		for _, thing := range now {
			if !slices.Contains(before[what], thing) {
				t.Errorf("%s left: %s", what, thing)
			}
		}
	}
}

// nothingYet is the machine before a demo.
func nothingYet(t *testing.T) map[string][]string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]string{"mounts": strings.Split(string(mounts), "\n"), "interfaces": found(t, "/sys/class/net/*")}
}

// shown are the lines of the demo's output that the page about it shows.
func shown(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("../../..", "docs/development.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(page), "```text\nby-address")
	block, _, found := strings.Cut(block, "\n```")
	if !found {
		t.Fatal("docs/development.md shows no excerpt")
	}
	return strings.Split(unnumbered("by-address"+block), "\n")
}

// unnumbered leaves out what differs from run to run: containers' IDs.
func unnumbered(text string) string {
	return regexp.MustCompile(`c_[0-9a-f]{12}_`).ReplaceAllString(text, "c_ID_")
}

func TestTheDemoShowsTheMainJobAndLeavesNothing(t *testing.T) {
	before := nothingYet(t)
	s := begin(t)
	began := time.Now()
	code := s.end(t)
	took := time.Since(began)
	said := s.said.String()
	t.Logf("%v", took)
	if code != 0 || s.stderr.Len() > 0 {
		t.Fatalf("exit %d\n%s%s", code, said, s.stderr.String())
	}
	for _, line := range []string{
		"9 of 9 destinations",
		`token "www.example.com" of its label: 203.0.113.10 comment "www.example.com"`,
		`token "203.0.113.20:5432/tcp" of its label: 203.0.113.20 . tcp . 5432`,
		"203.0.113.30 tcp/443: not in the label",
		"203.0.113.20 tcp/443: no label opens it",
		"the host itself: only _host_",
		"type filter hook forward",
		"accepted by nftables",
		"the kernel holds exactly this",
		`3   dockerwall_containers{state="fenced"}`,
		"from a container started just now",
		"outcomes are as the labels say",
	} {
		if !strings.Contains(said, line) {
			t.Errorf("it did not say %q", line)
		}
	}
	for _, line := range shown(t) {
		if !strings.Contains(unnumbered(said), line) {
			t.Errorf("it did not say, as docs/development.md shows: %q", line)
		}
	}
	if strings.Contains(said, "\x1b") {
		t.Error("colour without a terminal")
	}
	if t.Failed() {
		t.Log(said)
	}
	s.leavesNothing(t, before)
}

func TestAnInterruptedDemoLeavesNothing(t *testing.T) {
	for name, when := range map[string]string{
		"while the Engine starts":  " A host with",
		"while containers try":     " Who reaches what",
		"before there is anything": "are not touched",
	} {
		t.Run(name, func(t *testing.T) {
			before := nothingYet(t)
			s := begin(t)
			s.until(t, when)
			if len(s.processes(t)) == 0 {
				t.Error("no process of the demo to be seen: the check below could not fail")
			}
			// Ctrl-C goes to the whole foreground group.
			if err := syscall.Kill(-s.Process.Pid, syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			if code := s.end(t); code != 130 {
				t.Errorf("exit %d\n%s%s", code, s.said.String(), s.stderr.String())
			}
			s.leavesNothing(t, before)
		})
	}
}

func TestAnOutcomeAgainstTheLabelIsLoud(t *testing.T) {
	var said bytes.Buffer
	d := &demo{page: &page{w: &said}}
	c := &container{label: "www.example.com", opens: named}
	d.line(c, destination{kind: elsewhere, title: "www.example.net:443"}, lab.Result{Outcome: "ok"}, reason{})
	d.line(c, destination{kind: named, title: "www.example.com:443"}, lab.Result{Outcome: "timeout"}, reason{})
	if d.unexpected != 2 || strings.Count(said.String(), "UNEXPECTED") != 2 {
		t.Errorf("%d unexpected:\n%s", d.unexpected, said.String())
	}
}

func TestReadingATrace(t *testing.T) {
	monitor := &trace{decisions: map[string]*decision{}}
	for line := range strings.Lines(`trace id 1 inet demo_trace first_packets packet: iif "br-1" ip saddr 172.18.0.2 ip daddr 203.0.113.30 ip protocol tcp tcp sport 4 tcp dport 443
trace id 1 inet dockerwall forward packet: iif "br-1" oif "up" ip saddr 172.18.0.2 ip daddr 203.0.113.30 ip protocol tcp tcp sport 4 tcp dport 443 tcp flags == syn
trace id 1 inet dockerwall forward rule iifname . ip saddr vmap @source4 (verdict jump c_0a1b2c3d4e5f)
trace id 1 inet dockerwall c_0a1b2c3d4e5f rule goto c_0a1b2c3d4e5f_deny (verdict goto c_0a1b2c3d4e5f_deny)
trace id 1 inet dockerwall c_0a1b2c3d4e5f_deny rule counter name "c_0a1b2c3d4e5f_drop" (verdict continue)
trace id 1 inet dockerwall c_0a1b2c3d4e5f_deny rule drop (verdict drop)
trace id 2 inet dockerwall forward packet: iif "br-1" oif "up" ip6 saddr 2001:db8:c:1::2 ip6 daddr 2001:db8:1::10 ip6 nexthdr tcp tcp sport 4 tcp dport 443 tcp flags == syn
trace id 2 inet dockerwall c_0a1b2c3d4e5f rule ip6 daddr @c_0a1b2c3d4e5f_dns6 accept (verdict accept)
`) {
		monitor.read(line)
	}
	c := &container{addr: monitor.decisions["1"].src, addr6: monitor.decisions["2"].src}
	for i, want := range map[string]decision{
		"1": {rule: "goto c_0a1b2c3d4e5f_deny", denied: true, done: true},
		"2": {rule: "ip6 daddr @c_0a1b2c3d4e5f_dns6 accept", done: true},
	} {
		d := monitor.decisions[i]
		want.src, want.dst, want.proto, want.port = d.src, d.dst, "tcp", 443
		if *d != want {
			t.Errorf("%s: %+v, want %+v", i, *d, want)
		}
		if got, ok := monitor.find(c, destination{addrs: []netip.Addr{d.dst}, port: 443, proto: "tcp"}); !ok || got != want {
			t.Errorf("find %s: %+v, %t", i, got, ok)
		}
	}
}
