package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/internal/lab"
)

// decided are the decisions in a file; each line must be whole.
func decided(t *testing.T, path string) (out []api.Denial) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var o api.Object[api.Denial]
		if err := json.Unmarshal([]byte(line), &o); err != nil || o.APIVersion != api.Version || o.Kind != api.KindDenial {
			t.Fatalf("%q: %v", line, err)
		}
		out = append(out, o.Spec)
	}
	return out
}

// TestSIGHUP rotates the decision log under a daemon, which goes on.
func TestSIGHUP(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	path := filepath.Join(t.TempDir(), "decisions.jsonl")
	d := w.start(t, "DOCKERWALL_DECISION_LOG="+path)
	b := w.run(t, lab.RunSpec{Name: "talker", Network: web})
	until := func(path, destination string) {
		t.Helper()
		eventually(t, func() error {
			all := decided(t, path)
			for _, one := range all {
				if one.Container == "talker" && fmt.Sprintf("%v:%d", one.Destination, one.Port) == destination && one.Packets > 0 && one.Verdict == api.VerdictDenied && one.ID > 0 {
					return nil
				}
			}
			return fmt.Errorf("no line about %s: %+v", destination, all)
		})
	}
	b.isKeptFrom(t, "udp 203.0.113.7:5000")
	until(path, "203.0.113.7:5000")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(d.cmd.Process.Pid, unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
	d.says(t, "reloading")
	b.isKeptFrom(t, "udp 203.0.113.8:5000")
	until(path, "203.0.113.8:5000")
	for _, one := range decided(t, path+".old") {
		if one.Port == 5000 && one.Destination.String() == "203.0.113.8" {
			t.Error("the file that was moved away is still written")
		}
	}
	w.healthy(t, d)
}

// TestTheDocumentedRotationHangsUpOnTheDaemonAlone matches as the pkill of docs/observations.md does: the command lines that
// a daemon has, not those of other commands, which SIGHUP would end, nor that of the shell that runs pkill.
func TestTheDocumentedRotationHangsUpOnTheDaemonAlone(t *testing.T) {
	script := between(t, document(t, "docs/observations.md"), "logrotate")
	pattern := regexp.MustCompile(`pkill -HUP -f '(.+)'`).FindStringSubmatch(script)
	if pattern == nil {
		t.Fatalf("no pkill in:\n%s", script)
	}
	daemon := regexp.MustCompile(pattern[1])
	for line, want := range map[string]bool{
		"/dockerwall run": true, "./bin/dockerwall run --dry-run": true, "/usr/bin/dockerwall run": true,
		"dockerwall watch web": false, "dockerwall status": false, "sh -c " + script: false,
	} {
		if daemon.MatchString(line) != want {
			t.Errorf("%q: want %v", line, want)
		}
	}
}
