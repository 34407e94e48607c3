package claim

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// taken takes claims in a namespace, and gives them back with the test.
func taken(t *testing.T, ns *lab.Namespace, o Options) (*Claims, error) {
	t.Helper()
	if o.Wait == 0 {
		o.Wait = time.Nanosecond
	}
	var c *Claims
	err := ns.Do(func() (err error) {
		c, err = Take(t.Context(), o)
		return err
	})
	if c != nil {
		t.Cleanup(c.Close)
	}
	return c, err
}

func TestWhatADaemonHasNoOtherGets(t *testing.T) {
	one, two := lab.NamespaceForTest(t), lab.NamespaceForTest(t)
	mine, yours := t.TempDir(), t.TempDir()
	first, err := taken(t, one, Options{StateDir: mine, Socket: filepath.Join(mine, "d.sock")})
	if err != nil || !first.Socket() {
		t.Fatalf("%v, %+v", err, first)
	}
	pid := "another dockerwall daemon is running, process " + strconv.Itoa(os.Getpid()) + ": "
	port := func(port uint32) func() (uint32, error) { return func() (uint32, error) { return port, nil } }
	for name, c := range map[string]struct {
		ns   *lab.Namespace
		o    Options
		want string // of the error; "" is none
	}{
		"the same network namespace": {one, Options{StateDir: yours}, pid + "it fences this network namespace; stop it first"},
		"the same state directory":   {two, Options{StateDir: mine}, pid + "it keeps its state in " + mine + "; stop it first, or give this one another --state-dir"},
		"the same socket":            {two, Options{Socket: filepath.Join(mine, "d.sock")}, pid + "it listens on " + mine + "/d.sock; stop it first, or give this one another --socket"},
		"a table that another owns":  {two, Options{Owner: port(1)}, "another dockerwall daemon is running: it fences this network namespace; stop it first"},
		"nothing of it":              {two, Options{StateDir: yours, Socket: filepath.Join(yours, "d.sock"), Owner: port(0)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			second, err := taken(t, c.ns, c.o)
			if err == nil {
				second.Close()
			}
			if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrRunning) || err.Error() != c.want) {
				t.Errorf("%v", err)
			}
		})
	}
	first.Close()
	if _, err := taken(t, one, Options{StateDir: mine, Socket: filepath.Join(mine, "d.sock")}); err != nil {
		t.Errorf("after its end: %v", err)
	}
}

func TestTheEndOfAnotherIsWaitedFor(t *testing.T) {
	ns, dir := lab.NamespaceForTest(t), t.TempDir()
	first, err := taken(t, ns, Options{StateDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	ends := slog.New(slog.NewTextHandler(whenSaid{"waiting for the end of another daemon", first.Close}, nil))
	if _, err := taken(t, ns, Options{StateDir: dir, Wait: time.Hour, Logger: ends}); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	gives := slog.New(slog.NewTextHandler(whenSaid{"waiting for the end of another daemon", cancel}, nil))
	if err := ns.Do(func() error { _, err := Take(ctx, Options{StateDir: dir, Wait: time.Hour, Logger: gives}); return err }); !errors.Is(err, context.Canceled) {
		t.Errorf("told to end meanwhile: %v", err)
	}
}

func TestWhatCannotBeClaimedIsSaidOnceHoweverLongAnotherIsWaitedFor(t *testing.T) {
	ns, dir := lab.NamespaceForTest(t), t.TempDir()
	first, err := taken(t, lab.NamespaceForTest(t), Options{StateDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	said, asked := 0, 0
	count := slog.New(slog.NewTextHandler(whenSaid{"a second daemon would not be kept away", func() { said++ }}, nil))
	owner := func() (uint32, error) {
		if asked++; asked == 3 {
			first.Close()
		}
		return 0, errors.New("it cannot be asked")
	}
	if _, err := taken(t, ns, Options{StateDir: dir, Owner: owner, Wait: time.Hour, Logger: count}); err != nil || said != 1 || asked < 3 {
		t.Errorf("%v, said %d times, asked %d times", err, said, asked)
	}
}

// whenSaid does something when a line of the log has the words.
type whenSaid struct {
	words string
	do    func()
}

func (w whenSaid) Write(p []byte) (int, error) {
	if strings.Contains(string(p), w.words) {
		w.do()
	}
	return len(p), nil
}

// TestWhatCannotBeClaimedIsDoneWithout has files that somebody else put there.
func TestWhatCannotBeClaimedIsDoneWithout(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"a link":             func(dir string) error { return os.Symlink("/dev/null", filepath.Join(dir, "lock")) },
		"a directory":        func(dir string) error { return os.Mkdir(filepath.Join(dir, "lock"), 0o700) },
		"no state directory": func(dir string) error { return errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			if err := errors.Join(os.Mkdir(dir, 0o700), spoil(dir)); err != nil {
				t.Fatal(err)
			}
			warned := false
			logger := slog.New(slog.NewTextHandler(whenSaid{"a second daemon would not be kept away", func() { warned = true }}, nil))
			if _, err := taken(t, lab.NamespaceForTest(t), Options{StateDir: dir, Logger: logger}); err != nil || !warned {
				t.Errorf("%v, warned: %v", err, warned)
			}
		})
	}
}

func TestTheKernelsLists(t *testing.T) {
	const locks = `1: POSIX  ADVISORY  WRITE 7 fe:01:456 0 EOF
2: FLOCK  ADVISORY  WRITE 8 fe:01:4567 0 EOF
3: FLOCK  ADVISORY  WRITE 123 fe:01:456 0 EOF
3: -> FLOCK  ADVISORY  WRITE 9 fe:01:456 0 EOF
4: FLOCK  ADVISORY  WRITE 0 fe:01:99 0 EOF
5: FLOCK`
	for file, want := range map[string]int{"fe:01:456": 123, "fe:01:99": 0, "fe:02:456": 0, "": 0} {
		if got := lockerIn(locks, file); got != want {
			t.Errorf("%s is locked by %d, want %d", file, got, want)
		}
	}
	const groups = "   32   4294963200     0 2   128    100  1\n53367   1234     0 2     0    100  1\n7\n"
	for group, want := range map[uint16]uint32{53367: 1234, 32: 4294963200, 3: 0, 7: 0} {
		if got := readerIn(groups, group); got != want {
			t.Errorf("group %d is read by %d, want %d", group, got, want)
		}
	}
	const sockets = `sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode
0000000000000000 0   1234       00000000 0        0        0     2        0        11
0000000000000000 12  1234       00000000 0        0        0     2        0        22
0000000000000000 12  0          00000000 0        0        0     2        0        33
short 12 5`
	for port, want := range map[uint32]string{1234: "22", 5: "", 12: ""} {
		if got := inodeIn(sockets, port); got != want {
			t.Errorf("port %d is socket %q, want %q", port, got, want)
		}
	}
}
