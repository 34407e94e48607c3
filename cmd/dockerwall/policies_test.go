package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// fileDir is a directory of policy files on the lab's host.
type fileDir struct {
	t    *testing.T
	path string
}

func newPolicyDir(t *testing.T) fileDir { return fileDir{t, t.TempDir()} }

// write puts a file there in one step, as editors do.
func (d fileDir) write(name, text string) {
	d.t.Helper()
	next := filepath.Join(d.path, ".next")
	if err := os.WriteFile(next, []byte(text), 0o644); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(d.path, name)); err != nil {
		d.t.Fatal(err)
	}
}

// TestPolicyFiles has files open and close what a container may reach that brings no label, while it runs.
func TestPolicyFiles(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	dir := newPolicyDir(t)
	policies := "DOCKERWALL_POLICY_DIR=" + dir.path
	all := t // whose end is the daemon's
	d := w.start(t, policies)
	b := w.run(t, lab.RunSpec{Name: "shop", Network: web, Labels: map[string]string{"com.docker.compose.project": "shop"}})
	const open, shut, apt = "tcp 203.0.113.7:80", "tcp 203.0.113.8:80", "tcp 203.0.113.9:80"
	b.isKeptFrom(t, open, shut)

	t.Run("a file opens what it says within the second", func(t *testing.T) {
		began := time.Now()
		dir.write("10-shop.yaml", "groups:\n  pay: [203.0.113.7]\npolicies:\n  - match: {project: shop}\n    allow: [\"@pay\", 203.0.113.8]\n")
		b.reaches(t, open)
		t.Logf("it passed %v after the file changed", time.Since(began).Round(time.Millisecond))
		b.reaches(t, shut)
		b.isKeptFrom(t, apt)
		d.says(t, "policy changed", "container=shop", "@pay", "203.0.113.8")
	})
	t.Run("a file with a mistake leaves all as it was, also over a kill", func(t *testing.T) {
		dir.write("10-shop.yaml", "policies:\n  - match: {project: shop}\n    allow: [*.example.com]\n")
		eventually(t, func() error { return w.tellsOf(t, "10-shop.yaml:3:13") })
		b.reaches(t, open, shut)
		d.kill9()
		d = w.launch(all, policies)
		eventually(t, func() error { return w.tellsOf(t, "10-shop.yaml:3:13") })
		b.reaches(t, open, shut)
		b.isKeptFrom(t, apt)
		if n := w.scrape(t).sum("dockerwall_policy_file_errors"); n != 1 {
			t.Errorf("%v errors in the metrics", n)
		}
		if diff, said, code := w.answer(t, "nft", "diff", "--policy-dir="+dir.path); code != exitOK {
			t.Errorf("nft diff: exit %d: %s%s", code, diff, said)
		}
	})
	t.Run("a file that denies beats the label, and cuts what flows", func(t *testing.T) {
		labelled := w.run(t, lab.RunSpec{Network: web, Labels: map[string]string{"dockerwall.outbound": "203.0.113.7, 203.0.113.8", "com.docker.compose.project": "shop"}})
		labelled.reaches(t, open)
		s := labelled.stream(t, "203.0.113.8:7")
		s.flows(t)
		dir.write("10-shop.yaml", "policies:\n  - match: {container: \"*\"}\n    deny: 203.0.113.8\n")
		eventually(t, func() error {
			before := s.echoed.Load()
			time.Sleep(10 * moment)
			if n := s.echoed.Load() - before; n > 0 {
				return fmt.Errorf("%d more lines came through", n)
			}
			return nil
		})
		labelled.isKeptFrom(t, shut)
		labelled.reaches(t, open)
		b.isKeptFrom(t, open, shut)
		w.healthy(t, d)
		if _, said, code := w.status(t); code != exitOK {
			t.Errorf("status: exit %d: %s", code, said)
		}
	})
	t.Run("SIGHUP reads them, and a file that is removed is out", func(t *testing.T) {
		if err := os.Remove(filepath.Join(dir.path, "10-shop.yaml")); err != nil {
			t.Fatal(err)
		}
		if err := unix.Kill(d.cmd.Process.Pid, unix.SIGHUP); err != nil {
			t.Fatal(err)
		}
		d.says(t, "policy files in force", "rules=0")
		b.isKeptFrom(t, open, shut)
	})
}

// tellsOf says whether the status is degraded by a policy file, and names the place.
func (w *world) tellsOf(t *testing.T, place string) error {
	t.Helper()
	out, said, code := w.status(t)
	if code != exitDegraded || !strings.Contains(out, place) {
		return fmt.Errorf("exit %d: %s%s", code, out, said)
	}
	return nil
}
