// Package systemd has tests only: of the units of this directory, under a real systemd.
package systemd

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
)

const howto = "docs/howto/systemd.md" // whose commands are run

// TestUnderSystemd is the life of one host, in order.
func TestUnderSystemd(t *testing.T) {
	m := newMachine(t)
	for _, wants := range []string{"sockets.target.wants/docker.socket", "multi-user.target.wants/docker.service"} {
		if err := m.disable(wants); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name string
		do   func(*testing.T, *machine)
	}{
		{"it is installed where Docker is off, and Docker stays off", install},
		{"systemd finds nothing wrong with the units", verified},
		{"the units are confined", confined},
		{"Docker starts, and what it runs is fenced", dockerStarts},
		{"all that the daemon does works in the unit", everythingWorks},
		{"nftables.service flushes and the fence stands", nftablesRestarts},
		{"a stop and a restart open and close nothing", restarts},
		{"a reload looks at everything again", reloads},
		{"a daemon that hangs is started again", hangs},
		{"a flush is not undone, and a start disturbs nobody", flushes},
		{"Docker needs a fence where it is told so", dockerNeedsIt},
		{"after a reboot the fence stands before Docker", reboots},
		{"it is removed, and its table", removed},
		{"the package is installed and only looks, and purged it is gone with its table", packaged},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.do(t, m) }) {
			return // the next stands on it
		}
	}
}

func install(t *testing.T, m *machine) {
	m.sh(t, "useradd --create-home admin")
	m.follow(t, "Install")
	if state := m.property(t, "dockerwall", "ActiveState"); state != "active" {
		t.Errorf("dockerwall.service is %s", state)
	}
	if state := m.property(t, "docker", "ActiveState"); state != "inactive" {
		t.Errorf("docker.service is %s", state)
	}
	if user := m.sh(t, "stat --format=%U /proc/$(systemctl show --value --property=MainPID dockerwall)"); user != "dockerwall" {
		t.Errorf("it runs as %q", user)
	}
	if !m.table(t) {
		t.Error("no table stands")
	}
}

func verified(t *testing.T, m *machine) {
	for _, unit := range units() {
		if out := m.sh(t, "systemd-analyze verify --man=no /usr/lib/systemd/system/"+unit); strings.Contains(out, "dockerwall") {
			t.Errorf("%s:\n%s", unit, out)
		}
	}
}

func units() []string { return []string{"dockerwall.service", "dockerwall-restore.service"} }

func confined(t *testing.T, m *machine) {
	for _, unit := range units() {
		out := m.sh(t, "systemd-analyze security --no-pager "+unit)
		found := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindStringSubmatch(out)
		if found == nil {
			t.Fatalf("no level in:\n%s", out)
		}
		if level, err := strconv.ParseFloat(found[1], 64); err != nil || level > 2.0 {
			t.Errorf("%s has an exposure level of %s, at most 2.0 is wanted:\n%s", unit, found[1], out)
		}
		t.Logf("%s: %s", unit, found[1])
	}
}

func dockerStarts(t *testing.T, m *machine) {
	m.sh(t, "systemctl enable --now docker.socket docker.service")
	m.sh(t, `tar -C /opt/image -c probe | docker import --change 'ENTRYPOINT ["/probe"]' - probe`)
	m.sh(t, "echo DOCKERWALL_DECISION_LOG=/var/log/dockerwall/decisions.jsonl >>/etc/default/dockerwall")
	m.follow(t, "Enforce")
	// Not masqueraded: nftables.service takes Docker's rules too, and what the kernel then does with flows that were is not ours.
	m.sh(t, "docker network create --subnet=172.30.1.0/24 --opt=com.docker.network.bridge.enable_ip_masquerade=false straight")
	c := m.run(t, "app", allowed, "--network=straight")
	m.whole(t)
	c.reaches(t, allowed+":80")
	c.isKeptFrom(t, denied+":80")
}

// everythingWorks looks at what needs a right or a file that the unit could lack.
func everythingWorks(t *testing.T, m *machine) {
	const named, sibling = "203.0.113.10", "203.0.113.20"
	m.DNS.Set("www.example.com", netip.MustParseAddr(named))
	c := m.run(t, "names", "_host_:7001, www.example.com", "--network=bridge")
	other := m.run(t, "other", sibling)
	host, err := m.Host.Listen(":7001")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = host.Close() }()
	m.whole(t)
	if s := m.status(t); s.DNSMode != "queue" && s.DNSMode != "xt" {
		t.Errorf("DNS answers are held by %q", s.DNSMode)
	}
	m.says(t, "containers=["+lab.DNSAddr+"]", 1)
	if strings.Contains(m.journal(t), "cannot use the socket") {
		t.Error("it says that its group cannot use the socket, which it has")
	}
	m.sh(t, "docker exec names /probe lookup www.example.com")
	c.reaches(t, named+":80", "172.17.0.1:7001")
	other.isKeptFrom(t, named+":80", "172.17.0.1:7001")
	other.reaches(t, sibling+":80")
	c.act(t, "spoof", other.address(t).String(), sibling+":5000", "-count", "3") // as the neighbour who may
	if n := m.ArrivedAt("udp", netip.MustParseAddrPort(sibling+":5000")); n > 0 {
		t.Errorf("%d packets under a neighbour's address arrived", n)
	}
	eventually(t, func() error {
		if said := m.sh(t, "dockerwall watch --follow=false"); !strings.Contains(said, "DENIED other -> www.example.com:80 ("+named+")") {
			return fmt.Errorf("the denial is not told: %s", said)
		}
		return nil
	})
	m.sh(t, "runuser -u admin -- dockerwall status && runuser -u admin -- dockerwall health")
	if out, err := m.attempt(t.Context(), "runuser -u nobody -- dockerwall status"); err == nil {
		t.Errorf("nobody may ask the daemon: %s", out)
	}
	m.follow(t, "See how it does")
	writesElsewhere(t, m)
	if said := m.property(t, "dockerwall", "StatusText"); said != "enforcing, 3 containers" {
		t.Errorf("systemd knows: %s", said)
	}
}

// writesElsewhere has the decision log where the unit may write, and where a drop-in lets it.
func writesElsewhere(t *testing.T, m *machine) {
	t.Helper()
	const dir = "/run/systemd/system/dockerwall.service.d"
	writes := func(file, port string) { // one that is new: what is known is told of once a minute
		t.Helper()
		container{m, "other"}.isKeptFrom(t, denied+port)
		eventually(t, func() error {
			_, err := m.attempt(t.Context(), "grep -q '\"container\":\"other\"' "+file)
			return err
		})
	}
	writes("/var/log/dockerwall/decisions.jsonl", ":5432")
	m.sh(t, "sed -i /DECISION_LOG/d /etc/default/dockerwall; install -d -o dockerwall /srv/log; mkdir -p "+dir)
	m.sh(t, "cat >"+dir+"/elsewhere.conf <<'END'\n"+blocks(t, "Files elsewhere")[0]+"\nEND\nsystemctl daemon-reload; systemctl restart dockerwall")
	m.whole(t)
	writes("/srv/log/decisions.jsonl", ":8080")
	m.sh(t, "rm "+dir+"/elsewhere.conf; systemctl daemon-reload")
}

func nftablesRestarts(t *testing.T, m *machine) {
	c := container{m, "app"}
	reloaded := strings.Count(m.journal(t), "reloading: SIGHUP")
	undisturbed(t, c, func() {
		m.sh(t, "systemctl restart nftables; systemctl reload nftables; systemctl restart nftables")
		m.says(t, "reloading: SIGHUP", reloaded+1)
	})
	if !m.table(t) {
		t.Error("no table stands")
	}
	if out := m.sh(t, "nft list ruleset"); strings.Contains(out, "DOCKER-USER") {
		t.Errorf("nothing was flushed: the test shows nothing:\n%s", out)
	}
	m.whole(t)
	m.sh(t, "systemctl stop nftables; systemctl restart docker; docker start app names other")
	m.whole(t)
}

func restarts(t *testing.T, m *machine) {
	c := container{m, "app"}
	undisturbed(t, c, func() {
		m.sh(t, "systemctl stop dockerwall")
		if !m.table(t) {
			t.Error("no table stands")
		}
		m.sh(t, "systemctl start dockerwall")
		m.whole(t)
		m.sh(t, "systemctl restart dockerwall")
		m.whole(t)
	})
}

func reloads(t *testing.T, m *machine) {
	was, pid := strings.Count(m.journal(t), "reloading: SIGHUP"), m.property(t, "dockerwall", "MainPID")
	m.follow(t, "Reload")
	m.says(t, "reloading: SIGHUP", was+1)
	m.becomes(t, "dockerwall", "SubState", "running")
	if is := m.property(t, "dockerwall", "MainPID"); is != pid {
		t.Errorf("process %s is now %s", pid, is)
	}
}

// hangs stops the daemon's process, with a watchdog of seconds.
func hangs(t *testing.T, m *machine) {
	const quick = "/run/systemd/system/dockerwall.service.d/quick.conf"
	m.sh(t, "mkdir -p $(dirname "+quick+"); printf '[Service]\\nWatchdogSec=4s\\nTimeoutAbortSec=1s\\n' >"+quick+"; systemctl daemon-reload; systemctl restart dockerwall")
	m.whole(t)
	undisturbed(t, container{m, "app"}, func() {
		pid := m.property(t, "dockerwall", "MainPID")
		m.sh(t, "kill -STOP "+pid)
		eventually(t, func() error {
			if is := m.property(t, "dockerwall", "MainPID"); is == pid || is == "0" {
				return fmt.Errorf("process %s is %s", pid, is)
			}
			return nil
		})
		m.becomes(t, "dockerwall", "ActiveState", "active")
		m.whole(t)
	})
	if out := m.sh(t, "journalctl --boot --unit=init.scope --unit=dockerwall --no-pager --output=cat"); !strings.Contains(out, "Watchdog timeout") {
		t.Errorf("it was not the watchdog:\n%s", out)
	}
	m.sh(t, "rm "+quick+"; systemctl daemon-reload; systemctl restart dockerwall")
}
