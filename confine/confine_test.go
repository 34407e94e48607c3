package confine_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/confine"
	"github.com/dockerwall/dockerwall/internal/lab"
)

// variable makes this test's program, started once more, the prisoner: what it is confined to.
const variable = "CONFINE_TEST"

func TestMain(m *testing.M) {
	if text := os.Getenv(variable); text != "" {
		imprisoned(text)
		return
	}
	os.Exit(m.Run())
}

// imprisoned confines itself and then does what it is told, line by line, each on a thread that happens to be there.
func imprisoned(text string) {
	var o confine.Options
	err := json.Unmarshal([]byte(text), &o)
	abi := 0
	if err == nil {
		abi, err = confine.Self(o)
	}
	fmt.Println(abi, err)
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		words := strings.Fields(in.Text())
		done := make(chan error)
		go func() { done <- act(words[0], words[1], words[len(words)-1]) }()
		fmt.Println(<-done)
	}
}

func act(what, one, other string) error {
	switch what {
	case "read":
		_, err := os.ReadFile(one)
		return err
	case "write":
		return os.WriteFile(one, []byte("x"), 0o600)
	case "append":
		f, err := os.OpenFile(one, os.O_WRONLY|os.O_APPEND, 0)
		if err == nil {
			err = f.Close()
		}
		return err
	case "list":
		_, err := os.ReadDir(one)
		return err
	case "mkdir":
		return os.Mkdir(one, 0o700)
	case "remove":
		return os.Remove(one)
	case "rename":
		return os.Rename(one, other)
	case "listen":
		l, err := net.Listen("unix", one)
		if err == nil {
			err = l.Close()
		}
		return err
	case "run":
		return exec.Command(one).Run()
	case "connect":
		c, err := net.Dial("tcp4", one)
		if err == nil {
			err = c.Close()
		}
		return err
	case "signal":
		pid, err := strconv.Atoi(one)
		if err != nil {
			return err
		}
		return unix.Kill(pid, 0)
	case "privileges":
		text, err := os.ReadFile("/proc/thread-self/status")
		if err == nil && !strings.Contains(string(text), "NoNewPrivs:\t1") {
			err = errors.New("may gain privileges")
		}
		return err
	default:
		return errors.New("no such act: " + what)
	}
}

// prisoner is a process that confined itself.
type prisoner struct {
	in   io.Writer
	out  *bufio.Scanner
	abi  int
	said string
}

func imprison(t *testing.T, o confine.Options) *prisoner {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), variable+"="+string(text))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = in.Close(), cmd.Wait() })
	p := &prisoner{in: in, out: bufio.NewScanner(out)}
	abi, said, _ := strings.Cut(p.line(t), " ")
	if p.abi, err = strconv.Atoi(abi); err != nil || said != "<nil>" {
		t.Fatalf("%q: %v", said, err)
	}
	return p
}

func (p *prisoner) line(t *testing.T) string {
	t.Helper()
	if !p.out.Scan() {
		t.Fatalf("the prisoner ended: %v", p.out.Err())
	}
	return p.out.Text()
}

// does tells it to act and fails unless it can, or, with allowed false, unless it is refused for lack of rights.
func (p *prisoner) does(t *testing.T, allowed bool, words string) {
	t.Helper()
	if _, err := fmt.Fprintln(p.in, words); err != nil {
		t.Fatal(err)
	}
	said := p.line(t)
	refused := strings.HasSuffix(said, unix.EACCES.Error()) || strings.HasSuffix(said, unix.EPERM.Error())
	if allowed && said != "<nil>" || !allowed && !refused {
		t.Errorf("%s: %s", words, said)
	}
}

// write makes a file, with its directory, and returns its path.
func write(t *testing.T, parts ...string) string {
	t.Helper()
	path := filepath.Join(parts...)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// kernel ends the test where the kernel has no Landlock, of which only no_new_privs is left to see.
func kernel(t *testing.T, abi int) {
	t.Helper()
	if confine.ABI() < abi {
		lab.Cannot(t, fmt.Sprintf("needs a kernel with version %d of Landlock's ABI, this one has %d", abi, confine.ABI()))
	}
}

func TestNoThreadGainsPrivileges(t *testing.T) {
	p := imprison(t, confine.Options{Read: []string{"/proc"}})
	if p.abi != confine.ABI() {
		t.Errorf("confined by version %d of %d", p.abi, confine.ABI())
	}
	for range 20 {
		p.does(t, true, "privileges x")
	}
}

func TestOnlyWhatIsNamedCanBeReadAndWritten(t *testing.T) {
	kernel(t, 3)
	dir := t.TempDir()
	config, state, log := write(t, dir, "etc", "config"), filepath.Join(dir, "lib", "state"), filepath.Join(dir, "log", "decisions")
	secret, secretly := write(t, dir, "secret"), write(t, dir, "home", "key")
	write(t, state, "old")
	write(t, log)
	p := imprison(t, confine.Options{Read: []string{config}, Write: []string{state, log, "/dev/null"}})
	for words, allowed := range map[string]bool{
		"read " + config: true, "list " + dir + "/etc": true, "read " + state + "/old": true, "list " + state: true,
		"write " + state + "/new": true, "mkdir " + state + "/below": true, "listen " + state + "/socket": true, "append " + log: true, "append /dev/null": true,
		"read " + secret: false, "read " + secretly: false, "read /etc/passwd": false, "read /proc/self/status": false, "list /": false, "list " + dir: false,
		"write " + config: false, "write " + dir + "/etc/new": false, "remove " + config: false, "append " + secret: false, "write " + dir + "/new": false,
		"mkdir " + dir + "/new": false, "remove " + secret: false, "listen " + dir + "/socket": false, "append /dev/zero": false,
		"rename " + secret + " " + state + "/secret": false, "rename " + state + "/old " + dir + "/etc/old": false,
		"run " + os.Args[0]: false, "run /bin/true": false,
	} {
		p.does(t, allowed, words)
	}
}

// TestWhatComesLaterIsAllowedWhereItWasNamed is how files of a host change under a daemon.
func TestWhatComesLaterIsAllowedWhereItWasNamed(t *testing.T) {
	kernel(t, 1)
	dir := t.TempDir()
	resolv, rotated := write(t, dir, "etc", "resolv.conf"), write(t, dir, "log", "decisions")
	stub := filepath.Join(dir, "etc", "stub.conf")
	if err := os.Symlink("../run/resolve/stub.conf", stub); err != nil { // to nowhere, yet
		t.Fatal(err)
	}
	write(t, dir, "run", "x")
	p := imprison(t, confine.Options{
		Read: []string{resolv, stub, filepath.Join(dir, "etc", "docker", "daemon.json")}, Write: []string{rotated, filepath.Join(dir, "state", "of", "us")},
	})
	p.does(t, true, "read "+resolv)
	if err := os.Rename(write(t, dir, "etc", "resolv.conf.new"), resolv); err != nil {
		t.Fatal(err)
	}
	p.does(t, true, "read "+resolv)
	p.does(t, true, "read "+write(t, dir, "etc", "docker", "daemon.json"))
	write(t, dir, "run", "resolve", "stub.conf")
	p.does(t, true, "read "+stub)
	p.does(t, true, "append "+rotated)
	if err := os.Rename(rotated, rotated+".1"); err != nil {
		t.Fatal(err)
	}
	p.does(t, true, "write "+rotated)
	p.does(t, true, "rename "+rotated+" "+rotated+".1")
	p.does(t, true, "mkdir "+filepath.Join(dir, "state"))
	p.does(t, true, "mkdir "+filepath.Join(dir, "state", "of"))
}

func TestOnlyPortsThatAreNamedAreConnectedTo(t *testing.T) {
	kernel(t, 4)
	var open, shut uint16
	for range 2 {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		open, shut = shut, uint16(l.Addr().(*net.TCPAddr).Port)
	}
	p := imprison(t, confine.Options{TCP: []uint16{open}})
	p.does(t, true, fmt.Sprintf("connect 127.0.0.1:%d", open))
	p.does(t, false, fmt.Sprintf("connect 127.0.0.1:%d", shut))
	imprison(t, confine.Options{}).does(t, true, fmt.Sprintf("connect 127.0.0.1:%d", shut))
}

func TestOtherProcessesCannotBeSignalled(t *testing.T) {
	kernel(t, 6)
	imprison(t, confine.Options{}).does(t, false, fmt.Sprintf("signal %d", os.Getpid()))
}
