package lab

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Require skips the test with a reason where it cannot run, and fails it in CI.
func Require(t testing.TB) {
	t.Helper()
	if missing := missingTool(); missing != "" {
		Cannot(t, "needs "+missing)
	}
}

func missingTool() string {
	if os.Geteuid() != 0 {
		return "root"
	}
	for _, tool := range []string{"nsenter", "unshare", "ip", "nft", "iptables"} {
		if _, err := exec.LookPath(tool); err != nil {
			return tool
		}
	}
	return ""
}

// Cannot ends a test that the machine cannot run: skipped with the reason, failed in CI.
func Cannot(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s, and nothing may skip in CI; `make test` installs what is missing", reason)
	}
	t.Skipf("%s; `make test` as root runs it", reason)
}

// NamespaceForTest is an empty network namespace that ends with the test.
func NamespaceForTest(t testing.TB) *Namespace {
	t.Helper()
	Require(t)
	n, err := NewNamespace()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

// ForTest is a lab that ends with the test.
func ForTest(t testing.TB) *Lab {
	t.Helper()
	Require(t)
	l, err := New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close lab: %v", err)
		}
	})
	return l
}

// DockerForTest starts dockerd in the lab; it ends with the lab, and its log is shown if the test failed.
func (l *Lab) DockerForTest(t testing.TB, options DockerOptions) *Docker {
	t.Helper()
	if _, err := options.fetch(t.Context()); err != nil {
		Cannot(t, "needs a Docker Engine ("+err.Error()+")")
	}
	d, err := l.StartDocker(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("dockerd's log:\n%s", d.LogTail())
		}
	})
	return d
}

// Nft runs nft in the namespace with text on its standard input and returns what it prints.
func Nft(t testing.TB, n *Namespace, text string, args ...string) string {
	t.Helper()
	out, err := nft(t.Context(), n, text, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func nft(ctx context.Context, n *Namespace, text string, args ...string) (string, error) {
	cmd := n.Command(ctx, "nft", args...)
	cmd.Stdin = strings.NewReader(text)
	return output(cmd)
}
