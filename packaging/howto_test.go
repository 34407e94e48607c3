package packaging

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const howto = "docs/howto/packages.md"

// section are the commands of each block of a section of the how-to, about the packages of this machine's architecture.
func section(t *testing.T, title string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", howto))
	if err != nil {
		t.Fatal(err)
	}
	_, part, found := strings.Cut(string(text), "\n## "+title+"\n")
	part, _, _ = strings.Cut(part, "\n## ")
	var blocks []string
	for i, block := range strings.Split(part, "```") {
		if i%2 == 1 {
			blocks = append(blocks, named(block))
		}
	}
	if !found || len(blocks) == 0 {
		t.Fatalf("%s has no commands under %q", howto, title)
	}
	return blocks
}

// named puts the names of what was built in place of those that the how-to stands for.
func named(command string) string {
	of := func(format, before, behind string) string {
		return strings.TrimSuffix(strings.TrimPrefix(names()[format+" "+native()], before), behind)
	}
	return strings.NewReplacer(
		"TARARCH", native(), "RPMARCH", of("rpm", "dockerwall-"+version+"-1.", ".rpm"),
		"ARCH", of("deb", "dockerwall_"+version+"-1_", ".deb"), "VERSION", version,
	).Replace(command)
}

// TestTheCommandsOfTheHowtoInstallAndRemove types what the how-to says and sees what comes of it.
func TestTheCommandsOfTheHowtoInstallAndRemove(t *testing.T) {
	s := newSystem(t, built(t).all)
	s.does("printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d")
	follow := func(title string, block int) string {
		t.Helper()
		return s.does("set -e; cd /share; " + section(t, title)[block])
	}
	s.has(section(t, "Build")[0], "make dist\n") // what built ran
	s.has(follow("Verify", 0), names()["deb "+native()]+": OK")
	for _, line := range section(t, "Verify")[1:] {
		s.has(line, "make dist", "sha256sum --check dist/SHA256SUMS")
	}
	s.has(follow("Debian and Ubuntu", 0), "dockerwall suggest")
	s.fence()
	s.has(follow("Remove and purge", 0)+s.does("nft list tables"), "table inet dockerwall")
	if s.exists("/usr/bin/dockerwall") {
		t.Error("removed, the program is there")
	}
	if follow("Remove and purge", 1); strings.Contains(s.does("nft list tables"), "dockerwall") {
		t.Error("purged, a table stands")
	}
	s.does(`rpm --initdb && mv /usr/bin/rpm /usr/bin/rpm.real && printf '#!/bin/sh\nexec rpm.real --nodeps "$@"\n' >/usr/bin/rpm && chmod 755 /usr/bin/rpm`)
	follow("Fedora, openSUSE and others with rpm", 0)
	s.hasFiles()
	s.does("nft add table inet dockerwall")
	follow("Fedora, openSUSE and others with rpm", 1)
	if s.exists("/usr/bin/dockerwall") || strings.Contains(s.does("nft list tables"), "inet dockerwall") {
		t.Error("erased, the program or the table is there")
	}
	s.does("cp /share/dockerwall_*_linux_* /tmp && rm -f /etc/default/dockerwall")
	s.does("set -e; cd /tmp; " + section(t, "Archive")[0])
	for _, file := range []string{
		"/usr/bin/dockerwall", "/usr/lib/systemd/system/dockerwall.service", "/usr/lib/systemd/system/dockerwall-restore.service",
		"/usr/lib/sysusers.d/dockerwall.conf", "/etc/default/dockerwall", "/usr/share/man/man8/dockerwall-run.8.gz",
		"/usr/share/bash-completion/completions/dockerwall",
	} {
		if !s.exists(file) {
			t.Errorf("installed by hand, %s is missing", file)
		}
	}
	s.has(s.does("dockerwall version"), version)
}
