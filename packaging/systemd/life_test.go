package systemd

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

// flushes removes the table while the unit runs, and starts it where containers run and send.
func flushes(t *testing.T, m *machine) {
	m.sh(t, "dockerwall nft flush")
	m.becomes(t, "dockerwall", "ActiveState", "inactive")
	if m.table(t) {
		t.Error("the table stands")
	}
	c := container{m, "app"}
	c.reaches(t, denied+":80")
	open, err := c.namespace(t).Dial(t.Context(), "tcp", denied+":7")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = open.Close() }()
	if is := m.property(t, "dockerwall", "ActiveState"); is != "inactive" {
		t.Errorf("the unit is %s: somebody wished for no table", is)
	}
	onlyAllowed(t, c, func() {
		m.sh(t, "systemctl start dockerwall")
		m.whole(t)
	})
	c.isKeptFrom(t, denied+":80")
	if answered(open.SetDeadline(time.Now().Add(time.Second)), open) {
		t.Error("a connection of before goes on, which nothing allows")
	}
}

// answered sends to an echo server and says whether something came back before the deadline.
func answered(deadline error, conn interface {
	Read([]byte) (int, error)
	Write([]byte) (int, error)
}) bool {
	if deadline != nil {
		return true
	}
	_, _ = conn.Write([]byte("again\n"))
	n, _ := conn.Read(make([]byte, 6))
	return n > 0
}

// dockerNeedsIt has Docker refuse to start without a fence, and outlive the daemon.
func dockerNeedsIt(t *testing.T, m *machine) {
	m.follow(t, "No fence, no Docker")
	docker := m.property(t, "docker", "MainPID")
	m.sh(t, "systemctl restart dockerwall; systemctl stop dockerwall")
	if is := m.property(t, "docker", "MainPID"); is != docker {
		t.Errorf("Docker was restarted: process %s is now %s", docker, is)
	}
	m.sh(t, "systemctl mask --runtime dockerwall; systemctl stop docker.socket docker.service")
	if out, err := m.attempt(t.Context(), "systemctl start docker.service"); err == nil {
		t.Errorf("Docker starts without a fence: %s", out)
	}
	if said := m.sh(t, "journalctl --unit=docker --boot --no-pager --output=cat --lines=20"); !strings.Contains(said, "Docker does not start without dockerwall.service") {
		t.Errorf("it does not say why:\n%s", said)
	}
	m.sh(t, "systemctl stop docker.socket docker.service; systemctl reset-failed; systemctl unmask --runtime dockerwall; systemctl start docker.service")
	if is := m.property(t, "dockerwall", "ActiveState"); is != "active" {
		t.Errorf("Docker runs and dockerwall.service is %s", is)
	}
	m.whole(t)
}

// unanswered is how long the daemon waits for an Engine before it makes a fence without, where it does not know better: here the
// Engine waits for the daemon.
const unanswered = 3 * time.Second

// reboots has a container that Docker starts by itself send at once. It is alone on its network: an address that others might be
// given after a boot opens no more than what all of them may.
func reboots(t *testing.T, m *machine) {
	to := netip.MustParseAddr("203.0.113.67")
	m.sh(t, "docker network create alone; docker run --detach --network=alone --restart=always --name=first --label=dockerwall.outbound="+allowed+
		" probe script 'tcp "+allowed+":80' 'udp "+to.String()+":5000' 'tcp "+to.String()+":80 -timeout 2s' sleep")
	m.whole(t)
	ends(t, m, "first", 3)
	if n := m.Arrived(to); n > 0 {
		t.Fatalf("%d packets arrived before the reboot", n)
	}
	if err := m.PowerOff(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.bootIsAnother(t)
	if err := m.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, unit := range []string{"dockerwall", "docker"} {
		if is, again := m.property(t, unit, "ActiveState"), m.property(t, unit, "NRestarts"); is != "active" || again != "0" {
			t.Errorf("%s is %s after %s restarts", unit, is, again)
		}
	}
	run, ready := m.monotonic(t, "dockerwall", "ExecMainStartTimestampMonotonic"), m.monotonic(t, "dockerwall", "ActiveEnterTimestampMonotonic")
	docker := m.monotonic(t, "docker", "ExecMainStartTimestampMonotonic")
	if ready > docker || ready-run > unanswered {
		t.Errorf("the fence stood %v after its daemon's start, and Docker was started %v after that", ready-run, docker-ready)
	}
	t.Logf("the fence stood %v after its daemon's start, and Docker was started %v after that", ready-run, docker-ready)
	if is := m.property(t, "dockerwall-restore", "ActiveState"); is != "active" {
		t.Errorf("dockerwall-restore is %s: nothing was restored", is)
	}
	ends(t, m, "first", 6)
	acts, err := lab.Results(m.sh(t, "docker logs first"))
	if err != nil {
		t.Fatal(err)
	}
	// What it may reach it reaches at its first SYN, the first packet it sends.
	if first := acts[3]; first.Outcome != result.OK || first.Retransmits > 0 || acts[5].Outcome != result.Timeout {
		t.Errorf("what the container did after the reboot: %+v", acts[3:])
	}
	if n := m.Arrived(to); n > 0 {
		t.Errorf("%d packets arrived after the reboot", n)
	}
	m.whole(t)
	container{m, "first"}.reaches(t, allowed+":80")
	container{m, "first"}.isKeptFrom(t, denied+":80")
}

// bootIsAnother has what was kept for a boot come from another one. The machine has a boot_id of its own for each boot, but the
// /proc of a unit with ProtectProc= is new and shows the kernel's, which stays.
func (m *machine) bootIsAnother(t *testing.T) {
	t.Helper()
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	path := m.Path("/var/lib/dockerwall/ruleset.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	another := strings.ReplaceAll(string(text), strings.TrimSpace(string(id)), "another")
	if err := os.WriteFile(path, []byte(another), 0o600); err != nil {
		t.Fatal(err)
	}
}

// ends waits for so many lines of a container's log.
func ends(t *testing.T, m *machine, name string, lines int) {
	t.Helper()
	eventually(t, func() error {
		if n := strings.Count(m.sh(t, "docker logs "+name), "\"act\""); n < lines {
			return errors.New("it has done " + strconv.Itoa(n) + " of " + strconv.Itoa(lines) + " acts")
		}
		return nil
	})
}

// monotonic is one of systemd's times since the boot.
func (m *machine) monotonic(t *testing.T, unit, name string) time.Duration {
	t.Helper()
	micros, err := strconv.ParseInt(m.property(t, unit, name), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(micros) * time.Microsecond
}

func removed(t *testing.T, m *machine) {
	m.follow(t, "Remove")
	m.isGone(t)
	container{m, "first"}.reaches(t, denied+":80")
}

// isGone looks for what is left of dockerwall. Its user stays, as those of other services do.
func (m *machine) isGone(t *testing.T) {
	t.Helper()
	if m.table(t) {
		t.Error("the table stands")
	}
	if left := m.sh(t, "find / -xdev -name '*dockerwall*' -not -path '"+tree+"*' -not -path '/proc/*' -not -path '/sys/*'"); left != "" {
		t.Errorf("it leaves\n%s", left)
	}
}

// packaged installs the .deb where Docker runs, as people do.
func packaged(t *testing.T, m *machine) {
	m.copy(t, debianPackage(t), "/root/dockerwall.deb")
	first := container{m, "first"}
	undecided := first.namespace(t)
	var said string
	onlyAllowed(t, first, func() {
		said = m.sh(t, "dpkg --install /root/dockerwall.deb 2>&1")
		m.whole(t)
	})
	if !strings.Contains(said, "sed -i 's/^DRY_RUN=true/DRY_RUN=false/'") {
		t.Errorf("it does not say how to enforce:\n%s", said)
	}
	if r := act(undecided.Command(t.Context(), m.probe, "tcp", denied+":80")); r.Outcome != result.OK {
		t.Errorf("installed it denies: %+v", r)
	}
	m.sh(t, "sed -i 's/^DRY_RUN=true/DRY_RUN=false/' /etc/default/dockerwall && systemctl restart dockerwall")
	m.whole(t)
	first.isKeptFrom(t, denied+":80")
	if enabled := m.sh(t, "systemctl is-enabled dockerwall"); enabled != "enabled" {
		t.Errorf("the unit is %s", enabled)
	}
	m.sh(t, "dpkg --remove dockerwall")
	first.isKeptFrom(t, denied+":80")
	m.sh(t, "dpkg --purge dockerwall; rm /root/dockerwall.deb")
	first.reaches(t, denied+":80")
	m.isGone(t)
}

// debianPackage makes the package for this machine and returns its file.
func debianPackage(t *testing.T) string {
	t.Helper()
	before := time.Now().Add(-time.Second)
	cmd := exec.CommandContext(t.Context(), "make", "--directory=../..", "deb", "ARCHES="+runtime.GOARCH)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make deb: %v\n%s", err, out)
	}
	files, err := filepath.Glob("../../dist/*.deb")
	if err != nil {
		t.Fatal(err)
	}
	files = slices.DeleteFunc(files, func(file string) bool {
		info, err := os.Stat(file)
		return err != nil || info.ModTime().Before(before)
	})
	if len(files) != 1 {
		t.Fatalf("make deb made %q", files)
	}
	return files[0]
}
