package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// socketPath is in a directory that does not exist yet; short, for 108 bytes are all a socket has.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "dw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "run", "d.sock")
}

func newServer(t *testing.T, opt Options) *Server {
	t.Helper()
	if opt.Health == nil {
		opt.Health = func() Health { return Health{Healthy: true} }
	}
	if opt.Flush == nil {
		opt.Flush = func(context.Context) error { return nil }
	}
	s, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// serve runs a daemon's server on opt.Path; stop ends it and waits. It returns once it answers.
func serve(t *testing.T, opt Options) (stop func()) {
	t.Helper()
	s := newServer(t, opt)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	for !answers(opt.Path) {
		select {
		case err := <-done:
			cancel()
			t.Fatalf("Run: %v", err)
		default:
			runtime.Gosched()
		}
	}
	stopped := false
	stop = func() {
		t.Helper()
		cancel()
		if !stopped {
			stopped = true
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		}
	}
	t.Cleanup(stop)
	return stop
}

func answers(path string) bool {
	_, err := Dial(path).Health(context.Background())
	return err == nil
}

// stale leaves the socket of a daemon that died.
func stale(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestHealthArrives(t *testing.T) {
	want := Health{Healthy: true, Reasons: []string{"the label of web has an error"}, Version: "1.0", DryRun: true, DockerUp: true, Fenced: 3, Unfenced: 1, Generation: 9, Problems: 7, Findings: []string{"web: warning: it is privileged"}}
	path := socketPath(t)
	serve(t, Options{Path: path, Health: func() Health { return want }})
	got, err := Dial(path).Health(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAnUnhealthyDaemonIsAnAnswer(t *testing.T) {
	path := socketPath(t)
	serve(t, Options{Path: path, Health: func() Health { return Health{Reasons: []string{"the table is locked"}} }})
	got, err := Dial(path).Health(t.Context())
	if err != nil || got.Healthy || len(got.Reasons) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestFlushIsAnsweredThoughItEndsTheDaemon(t *testing.T) {
	path := socketPath(t)
	ctx, end := context.WithCancel(t.Context())
	defer end()
	s := newServer(t, Options{Path: path, Flush: func(context.Context) error {
		end()
		for gone := false; !gone; runtime.Gosched() {
			_, err := os.Lstat(path)
			gone = errors.Is(err, fs.ErrNotExist)
		}
		return nil
	}})
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	for !answers(path) {
		runtime.Gosched()
	}
	if err := Dial(path).Flush(t.Context()); err != nil {
		t.Errorf("Flush: %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestAFlushThatFailsSaysWhy(t *testing.T) {
	path := socketPath(t)
	serve(t, Options{Path: path, Flush: func(context.Context) error { return errors.New("remove the table: not permitted") }})
	err := Dial(path).Flush(t.Context())
	if err == nil || !strings.Contains(err.Error(), "remove the table: not permitted") {
		t.Errorf("Flush: %v", err)
	}
	if !answers(path) {
		t.Error("the daemon is gone")
	}
}

func TestEverythingIsAnsweredInJSON(t *testing.T) {
	path := socketPath(t)
	var flushes atomic.Int32
	serve(t, Options{Path: path, Flush: func(context.Context) error { flushes.Add(1); return nil }})
	tests := map[string]struct {
		method, path string
		status       int
		body         string
	}{
		"healthy without reasons":   {"GET", "/v1/health", 200, `"reasons":[]`},
		"unknown path":              {"GET", "/v2/health", 404, `"error"`},
		"root":                      {"GET", "/", 404, `"error"`},
		"health is only read":       {"POST", "/v1/health", 405, `"error":"use GET"`},
		"nobody flushes by looking": {"GET", "/v1/flush", 405, `"error":"use POST"`},
		"nor by HEAD":               {"HEAD", "/v1/flush", 405, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), tt.method, "http://d"+tt.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := Dial(path).http.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != tt.status || !strings.Contains(string(body), tt.body) || response.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s: %s", response.Status, body)
			}
			if len(body) > 0 && !json.Valid(body) {
				t.Errorf("not JSON: %s", body)
			}
		})
	}
	if flushes.Load() != 0 {
		t.Error("flushed")
	}
}

func TestNoDaemonIsItsOwnError(t *testing.T) {
	absent, dead := socketPath(t), socketPath(t)
	stale(t, dead)
	for name, path := range map[string]string{"no socket": absent, "nobody behind it": dead} {
		t.Run(name, func(t *testing.T) {
			_, err := Dial(path).Health(t.Context())
			if !errors.Is(err, ErrNoDaemon) || errors.Is(err, ErrPermission) || !strings.Contains(err.Error(), path) {
				t.Errorf("Health: %v", err)
			}
			if err := Dial(path).Flush(t.Context()); !errors.Is(err, ErrNoDaemon) {
				t.Errorf("Flush: %v", err)
			}
		})
	}
}

func TestNoPermissionIsItsOwnError(t *testing.T) {
	if os.Geteuid() != 0 {
		lab.Cannot(t, "needs root, to be somebody else")
	}
	path := socketPath(t)
	serve(t, Options{Path: path})
	if err := os.Chmod(filepath.Dir(filepath.Dir(path)), 0o755); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its user
		_, _, errno := unix.Syscall(unix.SYS_SETGROUPS, 0, 0, 0)
		if err := errors.Join(unix.Setfsgid(65534), unix.Setfsuid(65534)); errno != 0 || err != nil {
			done <- errors.Join(errno, err)
			return
		}
		conn, err := Dial(path).connect(context.Background(), "", "")
		if err == nil {
			_ = conn.Close()
		}
		done <- err
	}()
	if err := <-done; !errors.Is(err, ErrPermission) || errors.Is(err, ErrNoDaemon) {
		t.Errorf("got %v", err)
	}
}

func TestAHungDaemonDoesNotHangItsClient(t *testing.T) {
	path := socketPath(t)
	release := make(chan struct{})
	var hung atomic.Bool
	serve(t, Options{Path: path, Health: func() Health {
		if hung.Load() {
			<-release
		}
		return Health{}
	}})
	defer close(release)
	hung.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Dial(path).Health(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Health: %v", err)
	}
}

func TestDecodeRefusesNonsense(t *testing.T) {
	tests := map[string]struct {
		status int
		body   string
	}{
		"not JSON":        {200, "<html>"},
		"nothing":         {200, ""},
		"an error":        {500, `{"error":"no"}`},
		"an error in 200": {200, `{"error":"no"}`},
		"a redirect":      {302, `{}`},
		"a wrong type":    {200, `{"healthy":"yes"}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var h Health
			if err := decode(tt.status, []byte(tt.body), &h); err == nil {
				t.Errorf("accepted as %+v", h)
			}
		})
	}
}

func TestNewWantsItsFunctions(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("accepted")
	}
}
