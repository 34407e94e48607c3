// Package systemd has tests only: of the units of this directory, under a real systemd.
package systemd

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

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
	m.follow(t, "Enforce")
	c := m.run(t, "app", allowed)
	m.whole(t)
	c.reaches(t, allowed+":80")
	c.isKeptFrom(t, denied+":80")
}
