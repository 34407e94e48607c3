package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/internal/lab"
)

func TestTheSocketIsForItsGroupOnly(t *testing.T) {
	path := socketPath(t)
	serve(t, Options{Path: path})
	for name, want := range map[string]fs.FileMode{path: fs.ModeSocket | 0o660, filepath.Dir(path): fs.ModeDir | 0o750} {
		info, err := os.Lstat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s is %v, want %v", filepath.Base(name), info.Mode(), want)
		}
	}
}

func TestTheSocketOfTheDeadIsReplaced(t *testing.T) {
	path := socketPath(t)
	stale(t, path)
	stop := serve(t, Options{Path: path})
	stop()
	serve(t, Options{Path: path}) // and that of the orderly ended
}

func TestTheSocketOfTheLivingIsNot(t *testing.T) {
	path := socketPath(t)
	serve(t, Options{Path: path})
	err := newServer(t, Options{Path: path}).Run(t.Context())
	if !errors.Is(err, ErrDaemonRunning) || !strings.Contains(err.Error(), path) {
		t.Errorf("second daemon: %v", err)
	}
	if !answers(path) {
		t.Error("the first no longer answers")
	}
}

func TestASocketSomebodyElseListensOnIsNotReplaced(t *testing.T) {
	path := socketPath(t)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if err := newServer(t, Options{Path: path}).Run(t.Context()); !errors.Is(err, ErrDaemonRunning) {
		t.Errorf("Run: %v", err)
	}
}

func TestWhatIsNotASocketIsNotRemoved(t *testing.T) {
	path := socketPath(t)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := newServer(t, Options{Path: path}).Run(t.Context())
	if err == nil || errors.Is(err, ErrDaemonRunning) {
		t.Errorf("Run: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestOfDaemonsThatStartTogetherOneListens(t *testing.T) {
	for range 20 {
		path := socketPath(t)
		stale(t, path)
		const daemons = 8
		ctx, end := context.WithCancel(t.Context())
		defer end()
		var refused atomic.Int32
		done := make(chan error, daemons)
		for range daemons {
			s := newServer(t, Options{Path: path})
			go func() {
				err := s.Run(ctx)
				if errors.Is(err, ErrDaemonRunning) {
					if refused.Add(1) == daemons-1 {
						end()
					}
					err = nil
				}
				done <- err
			}()
		}
		for range daemons {
			if err := <-done; err != nil {
				t.Fatalf("Run: %v", err)
			}
		}
		if got := refused.Load(); got != daemons-1 {
			t.Fatalf("%d of %d refused", got, daemons)
		}
	}
}

func TestAGroupHasTheSocketAndADirectoryOfOurs(t *testing.T) {
	if os.Geteuid() != 0 {
		lab.Cannot(t, "needs root, to give a file to another group")
	}
	groupOf := func(path string) uint32 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Sys().(*syscall.Stat_t).Gid
	}
	daemon, err := user.LookupGroup("daemon") // every Linux has it
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		group        string
		ours         bool
		socket, path string
	}{
		"where there is one":                {"daemon", true, daemon.Gid, daemon.Gid},
		"but no directory that is somebody": {"daemon", false, daemon.Gid, "0"},
		"and nobody where there is none":    {"dockerwall-none", true, "0", "0"},
	} {
		t.Run(name, func(t *testing.T) {
			path := socketPath(t)
			serve(t, Options{Path: path})
			err := share(path, test.group)
			if test.ours {
				err = errors.Join(err, share(filepath.Dir(path), test.group))
			}
			if err != nil {
				t.Error(err)
			}
			if socket, dir := fmt.Sprint(groupOf(path)), fmt.Sprint(groupOf(filepath.Dir(path))); socket != test.socket || dir != test.path {
				t.Errorf("the socket is group %s's, its directory %s's", socket, dir)
			}
		})
	}
}

// TestASocketThatCannotBeAskedIsNobodysYet has no file descriptor left to ask with.
func TestASocketThatCannotBeAskedIsNobodysYet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	_ = stale.Close()
	var was unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: was.Max}, nil); err != nil {
		t.Fatal(err)
	}
	err = removeStale(t.Context(), path)
	if failed := unix.Prlimit(0, unix.RLIMIT_NOFILE, &was, nil); failed != nil {
		t.Fatal(failed)
	}
	if !errors.Is(err, unix.EMFILE) || errors.Is(err, ErrDaemonRunning) {
		t.Errorf("got %v", err)
	}
	if err := removeStale(t.Context(), path); err != nil {
		t.Errorf("a socket of the dead stays: %v", err)
	}
}
