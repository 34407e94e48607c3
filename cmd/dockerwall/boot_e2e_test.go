package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/boot"
	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
	"github.com/dockerwall/dockerwall/overlay"
	"github.com/dockerwall/dockerwall/policy"
)

// comeback is a container that Docker starts after a boot, and what its command does at once.
type comeback struct {
	*box
	network string
	acts    int
	starts  int
}

// comes runs a container with a restart policy. Its command's first act, if any, is to an allowed address, the rest are not.
func (w *world) comes(t *testing.T, policy, network, label string, script ...string) *comeback {
	t.Helper()
	b := w.run(t, lab.RunSpec{
		Network: network, Labels: map[string]string{"dockerwall.outbound": label}, Args: []string{"--restart=" + policy, "--stop-signal=KILL"},
		Cmd: append(append([]string{"script"}, script...), "sleep"),
	})
	return &comeback{b, network, len(script), 0}
}

// acted waits until its command has done all it does, once more, and returns what came of it.
func (c *comeback) acted(t *testing.T) []lab.Result {
	t.Helper()
	c.starts++
	var all []lab.Result
	eventually(t, func() error {
		out, err := c.w.engine.CLI(t.Context(), "logs", c.ID)
		if err != nil {
			return err
		}
		if all, err = lab.Results(out); err == nil && len(all) < c.starts*c.acts {
			err = fmt.Errorf("%d of %d acts are done", len(all), c.starts*c.acts)
		}
		return err
	})
	return all[len(all)-c.acts:]
}

// kept reads what the daemon keeps for a boot.
func (w *world) kept(t *testing.T) (boot.Saved, error) {
	t.Helper()
	out, err := w.HostCommand(t.Context(), "cat", boot.Path(stateDir)).Output()
	if err != nil {
		return boot.Saved{}, err
	}
	return boot.Decode(strings.NewReader(string(out)))
}

// shutdown ends Docker, its containers and then the daemon, and takes away what a host has not after a boot.
func (w *world) shutdown(t *testing.T, d *wall, addrs int) {
	t.Helper()
	eventually(t, func() error {
		saved, err := w.kept(t)
		if n := placesIn(saved.Ruleset); err == nil && n != addrs {
			err = fmt.Errorf("kept for %d addresses, not %d", n, addrs)
		}
		return err
	})
	if err := w.engine.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.says(t, "no connection to Docker")
	d.stop()
	saved, err := w.kept(t)
	if err != nil || placesIn(saved.Ruleset) != addrs {
		t.Fatalf("kept for %d addresses at the end, not %d: %v", placesIn(saved.Ruleset), addrs, err)
	}
	w.host(t, "sed", "-i", fmt.Sprintf("s/%q/%q/", saved.Boot, "an earlier one"), boot.Path(stateDir))
	w.unfence(t)
	w.host(t, "sh", "-c", `for b in $(ls /sys/class/net); do case $b in br-*|docker0) ip link del "$b";; esac; done`)
}

// unfence removes the tables of a daemon that is gone.
func (w *world) unfence(t *testing.T) {
	t.Helper()
	for _, family := range []string{"inet", "bridge"} {
		w.host(t, "nft", "delete", "table", family, "dockerwall")
	}
}

func TestAfterARebootContainersAreFencedFromTheirFirstPacket(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.reboots(t)
}

func (w *world) reboots(t *testing.T) {
	d := w.start(t)
	const flood = " -count 20"
	// All of one policy, and of two, where each tries what only the other may.
	twins := []*comeback{
		w.comes(t, "always", other, "203.0.113.10, 2001:db8:1::10", "tcp 203.0.113.10:80", "tcp [2001:db8:1::10]:80", "udp 203.0.113.66:6600"+flood, "udp [2001:db8:1::66]:6600"+flood),
		w.comes(t, "always", other, "203.0.113.10, 2001:db8:1::10", "tcp 203.0.113.10:80", "tcp [2001:db8:1::10]:80", "udp 203.0.113.66:6600"+flood, "udp [2001:db8:1::66]:6600"+flood),
	}
	a := w.comes(t, "unless-stopped", web, "203.0.113.11, 203.0.113.13", "tcp 203.0.113.13:80", "udp 203.0.113.12:6601"+flood)
	b := w.comes(t, "always", web, "203.0.113.12, 203.0.113.13", "tcp 203.0.113.13:80", "udp 203.0.113.11:6602"+flood)
	denied := []string{"203.0.113.66:6600", "[2001:db8:1::66]:6600", "203.0.113.12:6601", "203.0.113.11:6602"}
	check := func(t *testing.T, came ...*comeback) {
		t.Helper()
		for _, c := range came {
			for _, r := range c.acted(t) {
				if strings.HasPrefix(r.Act, "tcp") && (r.Outcome != result.OK || r.Retransmits != 0) {
					t.Errorf("%s: %s %s, %d SYN retransmissions", r.Act, r.Outcome, r.Error, r.Retransmits)
				}
			}
		}
		for _, at := range denied {
			if n := w.ArrivedAt("udp", netip.MustParseAddrPort(at)); n != 0 {
				t.Errorf("%d packets arrived at %s", n, at)
			}
		}
	}
	check(t, append(twins, a, b)...)
	places := func() string { return fmt.Sprint(a.addr(t, web), " ", b.addr(t, web)) }

	before := places()
	w.shutdown(t, d, 8)
	if out, err := w.command(t.Context(), "nft", "restore").CombinedOutput(); err != nil || !strings.Contains(string(out), "restored") {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := w.command(t.Context(), "nft", "restore").CombinedOutput(); err != nil || !strings.Contains(string(out), "stays as it is") {
		t.Errorf("again: %v: %s", err, out)
	}
	if err := w.engine.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(t, append(twins, a, b)...)
	t.Logf("addresses of a and b: %s before the boot, %s after", before, places())
	d = w.start(t)
	for _, c := range []*comeback{a, b} {
		c.enter(t)
	}
	a.reaches(t, "tcp 203.0.113.11:80")
	a.isKeptFrom(t, "tcp 203.0.113.12:80")
	b.reaches(t, "tcp 203.0.113.12:80")
	b.isKeptFrom(t, "tcp 203.0.113.11:80")
	if n := w.ArrivedAt("tcp", netip.MustParseAddrPort("203.0.113.12:443")); n != 0 {
		t.Error("the daemon's own acts are counted")
	}

	// Now a stays away, and b gets its address. This time the daemon is there before Docker is.
	was := a.addr(t, web)
	w.docker(t, "stop", "--time=0", a.ID)
	if b.addr(t, web).Less(was) {
		w.docker(t, "restart", "--time=0", b.ID)
		b.acted(t)
	}
	w.shutdown(t, d, 8)
	d = w.launch(t)
	d.says(t, "from before the boot committed")
	if err := w.engine.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(t, append(twins, b)...)
	if got := b.addr(t, web); got != was {
		t.Logf("b has %s, not a's %s", got, was)
	}
	w.healthy(t, d)
	b.enter(t)
	b.reaches(t, "tcp 203.0.113.12:80")
	b.isKeptFrom(t, "tcp 203.0.113.11:80")

	t.Run("without the table they arrive", func(t *testing.T) {
		d.kill9()
		w.unfence(t)
		w.docker(t, "restart", "--time=0", b.ID)
		b.acted(t)
		if n := w.ArrivedAt("udp", netip.MustParseAddrPort("203.0.113.11:6602")); n != 20 {
			t.Errorf("%d arrived", n)
		}
	})
}

func TestRestoreFencesWhateverTheFileSays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const id = "0123456789ab"
	good := file("good", `{"apiVersion":"v1","kind":"Ruleset","spec":{"logGroup":32,"settings":{"networks":"!","policy":"\"\" \"false\" \"\" \"\""},
		"bridges":[{"name":"br-`+id+`","network":"`+id+`"}],
		"containers":[{"id":"`+id+`","endpoints":[{"bridge":"br-`+id+`","addr":"172.30.9.2"}],"own":{"allow":{"nets":{"any":[{"first":"203.0.113.1","last":"203.0.113.1"}]}}}}]}}`)
	state := t.TempDir()
	audited, err := overlay.New(overlay.Options{Path: filepath.Join(state, overlay.FileName)})
	if err == nil {
		err = audited.SetMode(overlay.Wish{}, policy.ModeAudit)
	}
	files := t.TempDir()
	if err := errors.Join(err, os.WriteFile(filepath.Join(files, "10.yaml"), []byte("policies: [{match: {container: web}, deny: 203.0.113.1}]\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args   []string
		code   int
		says   string
		opens  bool // 203.0.113.1
		passes bool // all
	}{
		"what a daemon wrote":         {[]string{good}, exitOK, "restored: 1 networks fenced, policies at 1 addresses", true, false},
		"under another default":       {[]string{"DEFAULT_OUTBOUND=203.0.113.9", good}, exitOK, "restored", false, false},
		"dry now":                     {[]string{"DRY_RUN=true", good}, exitOK, "restored", true, true},
		"audit, said at run time":     {[]string{"DOCKERWALL_STATE_DIR=" + state, good}, exitOK, "restored", true, true},
		"under other policy files":    {[]string{"DOCKERWALL_POLICY_DIR=" + files, good}, exitOK, "restored", false, false},
		"no file":                     {nil, exitOK, "nothing was remembered", false, false},
		"no directory":                {[]string{"DOCKERWALL_STATE_DIR=off"}, exitOK, "--state-dir is off", false, false},
		"a file that is not there":    {[]string{filepath.Join(dir, "none")}, exitFailure, "no such file", false, false},
		"a broken file":               {[]string{file("broken", "{")}, exitFailure, "not JSON", false, false},
		"a setting that is no choice": {[]string{"DRY_RUN=maybe", good}, exitUsage, "want true or false", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &world{Lab: lab.ForTest(t)}
			w.binary, w.probe = programs(t)
			b := w.bridge(t, "br-"+id)
			cmd := w.command(t.Context(), append([]string{"nft", "restore"}, test.args...)...)
			out, _ := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != test.code || !strings.Contains(string(out), test.says) {
				t.Errorf("exit %d: %s", code, out)
			}
			for a, open := range map[act]bool{"tcp 203.0.113.1:80": test.opens, "tcp 203.0.113.2:80": test.passes} {
				if open {
					b.reaches(t, a)
				} else {
					b.isKeptFrom(t, a)
				}
			}
		})
	}
}
