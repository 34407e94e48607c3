package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/confine"
	"github.com/dockerwall/dockerwall/internal/lab"
)

// TestAConfinedDaemonGoesOnAsFilesOfItsHostChange is about those that it follows: what it may not open at all is tried in
// package confine, and the decision log by TestSIGHUP.
func TestAConfinedDaemonGoesOnAsFilesOfItsHostChange(t *testing.T) {
	if confine.ABI() == 0 {
		lab.Cannot(t, "needs a kernel with Landlock")
	}
	w := newWorld(t, lab.DockerOptions{})
	w.host(t, "rm", "-r", "/etc/docker") // dockerd made it
	d := w.start(t, "LOG_LEVEL=debug")
	d.says(t, "the daemon is confined to its files", fmt.Sprintf("landlock=%d", confine.ABI()))
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil || !strings.Contains(string(status), "NoNewPrivs:\t1") {
		t.Errorf("it may gain privileges: %v\n%s", err, status)
	}
	t.Run("daemon.json is made, and its directory", func(t *testing.T) {
		w.host(t, "mkdir", "/etc/docker")
		if err := w.WriteFile("/etc/docker/daemon.json", `{"dns": ["198.51.100.54"]}`); err != nil {
			t.Fatal(err)
		}
		d.says(t, "msg=resolvers", "198.51.100.54")
	})
	t.Run("resolv.conf is replaced", func(t *testing.T) {
		if err := w.SetResolvConf("nameserver " + lab.DNSAddr + "\nnameserver 198.51.100.55\n"); err != nil {
			t.Fatal(err)
		}
		d.says(t, "msg=resolvers", "198.51.100.55")
	})
	t.Run("systemd-resolved's list comes to be", func(t *testing.T) {
		w.host(t, "mkdir", "-p", "/run/systemd/resolve")
		if err := w.WriteFile("/run/systemd/resolve/resolv.conf", "nameserver 198.51.100.56\n"); err != nil {
			t.Fatal(err)
		}
		if err := w.SetResolvConf("nameserver 127.0.0.53\n"); err != nil {
			t.Fatal(err)
		}
		d.says(t, "msg=resolvers", "198.51.100.56")
	})
	t.Run("the Engine makes its socket anew", func(t *testing.T) {
		if err := w.engine.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		b := w.labelled(t, "203.0.113.1")
		b.reaches(t, "tcp 203.0.113.1:80")
		b.isKeptFrom(t, "tcp 203.0.113.2:80")
	})
	t.Run("it keeps what was denied", func(t *testing.T) {
		d.stop()
		if text := w.host(t, "cat", stateDir+"/observations.jsonl"); !strings.Contains(text, "203.0.113.2") {
			t.Errorf("%s", text)
		}
	})
}
