package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/google/go-cmp/cmp"
)

func TestAChangeIsAskedForAndAnswered(t *testing.T) {
	asked, answer := Change{Verb: Allow, Container: "web", Tokens: []string{"example.com:443"}, Seconds: 3600}, Changed{
		Verb: Allow, Container: "web", Tokens: []ChangedToken{{Token: "example.com:443", Beaten: []string{"!example.com (DEFAULT_OUTBOUND)"}}},
		Mode: "enforce", Notes: []string{"a note"},
	}
	var got Change
	var peer Peer
	path := socketPath(t)
	serve(t, Options{Path: path, Change: func(_ context.Context, p Peer, c Change) (Changed, error) {
		got, peer = c, p
		return answer, nil
	}})
	changed, err := Dial(path).Change(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]any{asked, answer}, []any{got, changed}); diff != "" {
		t.Error(diff)
	}
	if want := (Peer{uint32(os.Getuid()), int32(os.Getpid())}); peer != want {
		t.Errorf("asked by %+v, want %+v", peer, want)
	}
}

func TestAChangeThatCannotBeIsAnError(t *testing.T) {
	for name, test := range map[string]struct {
		err   error
		usage bool
		want  string
	}{
		"of what makes no sense": {fmt.Errorf("%w: no such token", ErrUsage), true, "allow: nothing is changed: no such token"},
		"of no container":        {fmt.Errorf("%w as \"x\"", ErrNoContainer), false, `allow: no such container as "x"`},
		"of the kernel":          {errors.New("no buffer space"), false, "allow: the daemon says: no buffer space"},
	} {
		t.Run(name, func(t *testing.T) {
			path := socketPath(t)
			serve(t, Options{Path: path, Change: func(context.Context, Peer, Change) (Changed, error) { return Changed{}, test.err }})
			_, err := Dial(path).Change(t.Context(), Change{Verb: Allow})
			if err == nil || err.Error() != test.want || errors.Is(err, ErrUsage) != test.usage {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestARequestThatIsNoChangeReachesNobody(t *testing.T) {
	path := socketPath(t)
	serve(t, Options{Path: path, Change: func(context.Context, Peer, Change) (Changed, error) {
		t.Error("it was asked for")
		return Changed{}, nil
	}})
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", path)
	}}}
	for name, test := range map[string]struct {
		method, body string
		code         int
	}{
		"read only":        {http.MethodGet, "", http.StatusMethodNotAllowed},
		"empty":            {http.MethodPost, "", http.StatusBadRequest},
		"no JSON":          {http.MethodPost, "verb=allow", http.StatusBadRequest},
		"an unknown field": {http.MethodPost, `{"verb":"allow","for":1}`, http.StatusBadRequest},
		"two of them":      {http.MethodPost, `{"verb":"allow"}{"verb":"deny"}`, http.StatusBadRequest},
		"too large":        {http.MethodPost, `{"verb":"` + strings.Repeat("x", maxChange) + `"}`, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), test.method, "http://dockerwall/v1/change", strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != test.code {
				t.Errorf("status %d, want %d", response.StatusCode, test.code)
			}
		})
	}
}

// TestAnotherUserIsRefused runs this test's program as a user who has neither the socket's group nor root's rights.
func TestAnotherUserIsRefused(t *testing.T) {
	if path := os.Getenv("DOCKERWALL_TEST_SOCKET"); path != "" {
		_, err := Dial(path).Change(context.Background(), Change{Verb: Allow})
		fmt.Println("said:", errors.Is(err, ErrPermission), err)
		return
	}
	if os.Getuid() != 0 {
		lab.Require(t)
	}
	dir, err := os.MkdirTemp("", "dw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // others have to come as far as the socket
		t.Fatal(err)
	}
	path := filepath.Join(dir, "d.sock")
	serve(t, Options{Path: path, Change: func(context.Context, Peer, Change) (Changed, error) {
		t.Error("it was asked for")
		return Changed{}, nil
	}})
	program := filepath.Join(dir, "test")
	text, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, text, 0o755); err != nil { //nolint:gosec // likewise
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestAnotherUserIsRefused$", "-test.v")
	cmd.Dir, cmd.Env = dir, []string{"DOCKERWALL_TEST_SOCKET=" + path}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "said: true") {
		t.Errorf("%v: %s", err, out)
	}
}
