package packaging

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// system is a copy of this machine to install packages in.
type system struct {
	*lab.Twin
	t *testing.T
}

func newSystem(t *testing.T, dir string) *system {
	t.Helper()
	return &system{lab.TwinForTest(t, dir), t}
}

// does runs a line of shell, which must succeed, and returns what it prints, both streams.
func (s *system) does(line string) string {
	s.t.Helper()
	out, err := s.Command(s.t.Context(), "sh", "-c", line).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// refuses runs a line of shell that must fail.
func (s *system) refuses(line string) {
	s.t.Helper()
	if out, err := s.Command(s.t.Context(), "sh", "-c", line).CombinedOutput(); err == nil {
		s.t.Errorf("%s: succeeds\n%s", line, out)
	}
}

func (s *system) exists(file string) bool {
	_, err := os.Lstat(s.Path(file))
	return err == nil
}

func (s *system) has(text string, words ...string) {
	s.t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			s.t.Errorf("%q is not in\n%s", w, text)
		}
	}
}

// fence lays the tables that a daemon leaves, and one that is somebody else's.
func (s *system) fence() {
	s.t.Helper()
	s.does(`nft 'add table inet dockerwall; add chain inet dockerwall forward { type filter hook forward priority -10; };
		add chain inet dockerwall c; add rule inet dockerwall forward jump c; add table bridge dockerwall; add table ip dockerwall-dns; add table inet other'`)
}

// files are the files of the package that other things rely on, and their modes.
func files() map[string]fs.FileMode {
	return map[string]fs.FileMode{
		"/usr/bin/dockerwall": 0o755, "/etc/default/dockerwall": 0o644, "/usr/lib/sysusers.d/dockerwall.conf": 0o644,
		"/usr/lib/systemd/system/dockerwall.service": 0o644, "/usr/lib/systemd/system/dockerwall-restore.service": 0o644,
		"/usr/share/man/man8/dockerwall.8.gz": 0o644, "/usr/share/man/man5/dockerwall-labels.5.gz": 0o644,
		"/usr/share/bash-completion/completions/dockerwall": 0o644, "/usr/share/fish/vendor_completions.d/dockerwall.fish": 0o644,
		"/usr/share/dockerwall/policy.schema.json": 0o644, "/usr/share/dockerwall/prometheus/alerts.yaml": 0o644, "/usr/share/dockerwall/grafana/dockerwall.json": 0o644,
		"/usr/share/doc/dockerwall/README.md": 0o644, "/usr/share/doc/dockerwall/changelog.gz": 0o644,
		"/usr/share/doc/dockerwall/docs/reference/commands.md": 0o644, "/usr/share/doc/dockerwall/examples/docker-compose.yml": 0o644,
		"/usr/share/doc/dockerwall/examples/docker.service.d/dockerwall.conf": 0o644,
	}
}

func (s *system) hasFiles(more ...string) {
	s.t.Helper()
	want := files()
	for _, file := range more {
		want[file] = 0o644
	}
	for file, mode := range want {
		info, err := os.Lstat(s.Path(file))
		if err != nil || info.Mode() != mode {
			s.t.Errorf("%s: %v, want %v: %v", file, info, mode, err)
		}
	}
}

// deb is the package of this machine's architecture, in /share of a system over the folder of them.
func deb() string { return "/share/" + names()["deb "+native()] }

func TestADebianPackageInstalledUpgradedRemovedAndPurged(t *testing.T) {
	s := newSystem(t, built(t).all)
	s.does(`printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d`)
	s.does("! getent passwd dockerwall || userdel dockerwall")
	said := s.does("dpkg --install " + deb())
	s.has(said, "dockerwall status", "dockerwall suggest", "DRY_RUN=false/' /etc/default/dockerwall && systemctl restart dockerwall")
	s.hasFiles("/usr/share/doc/dockerwall/copyright", "/usr/share/doc/dockerwall/changelog.Debian.gz", "/usr/share/zsh/vendor-completions/_dockerwall")
	s.has(s.does("dockerwall version && dpkg --verify dockerwall && getent passwd dockerwall && getent group docker"), version, "dockerwall:x:", "nologin")
	if text := string(read(t, s.Path("/etc/default"), "dockerwall")); !strings.Contains(text, "\nDRY_RUN=true\n") {
		t.Errorf("installed, it would deny:\n%s", text)
	}
	enabled := "/etc/systemd/system/multi-user.target.wants/dockerwall.service"
	if !s.exists(enabled) {
		t.Error("the service is not enabled")
	}
	s.fence()
	t.Run("an upgrade keeps what somebody set, what he disabled, and the table", func(t *testing.T) {
		s.does("sed -i 's/^DRY_RUN=true/DRY_RUN=false/' /etc/default/dockerwall && systemctl disable dockerwall.service")
		out := s.does("dpkg --install " + deb())
		s.has(s.does("cat /etc/default/dockerwall; nft list tables"), "DRY_RUN=false", "table inet dockerwall")
		if s.exists(enabled) || strings.Contains(out, "suggest") {
			t.Errorf("enabled again: %v; it says\n%s", s.exists(enabled), out)
		}
	})
	s.does("mkdir -p /var/lib/dockerwall /var/log/dockerwall && touch /var/lib/dockerwall/ruleset.json")
	t.Run("removed, the table fences on and the settings stay", func(t *testing.T) {
		s.has(s.does("dpkg --remove dockerwall"), "goes on fencing", "dpkg --purge dockerwall")
		s.has(s.does("cat /etc/default/dockerwall; nft list tables; ls /var/lib/dockerwall"), "DRY_RUN=false", "table inet dockerwall", "table ip dockerwall-dns", "ruleset.json")
		if s.exists("/usr/bin/dockerwall") {
			t.Error("the program is still there")
		}
	})
	t.Run("purged, table, settings and state are gone, without nft too", func(t *testing.T) {
		s.has(s.does("dpkg --install "+deb()+" && mv /usr/sbin/nft /usr/sbin/hidden && dpkg --purge dockerwall && mv /usr/sbin/hidden /usr/sbin/nft"), "table inet dockerwall is removed")
		if left := strings.Fields(s.does("nft list tables")); strings.Join(left, " ") != "table inet other" {
			t.Errorf("left: %q", left)
		}
		for _, file := range []string{"/etc/default/dockerwall", "/var/lib/dockerwall", "/var/log/dockerwall", enabled, "/usr/share/doc/dockerwall", "/usr/share/dockerwall"} {
			if s.exists(file) {
				t.Errorf("%s is still there", file)
			}
		}
		if s.exists("/var/lib/systemd/deb-systemd-helper-enabled/dockerwall.service.dsh-also") {
			t.Error("deb-systemd-helper still knows it")
		}
	})
	t.Run("purged with a table that a daemon holds, it says so", func(t *testing.T) {
		s.does("dpkg --install " + deb())
		held := s.Command(t.Context(), "nft", "--interactive")
		hold, err := held.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		held.Stdout, held.Stderr = &bytes.Buffer{}, &bytes.Buffer{}
		if err := held.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := hold.Write([]byte("add table inet dockerwall { flags owner; }\n")); err != nil {
			t.Fatal(err)
		}
		s.does("timeout 30 sh -c 'until nft list tables | grep -q \"inet dockerwall\"; do sleep 0.1; done'")
		s.has(s.does("dpkg --purge dockerwall"), "table inet dockerwall still stands (Operation not permitted)", "nft delete table inet dockerwall")
		_ = hold.Close()
		_ = held.Wait()
	})
}

func TestAPackagePurgedInAChrootLeavesTheKernelsTable(t *testing.T) {
	s := newSystem(t, built(t).all)
	s.fence()
	// The same files once more, as the root of programs whose first process has another.
	s.does("mkdir /inner && mount --bind / /inner && mount --bind /share /inner/share && mount -t proc proc /inner/proc")
	s.does("chroot /inner dpkg --install " + deb())
	s.does("chroot /inner dpkg --purge dockerwall")
	s.has(s.does("nft list tables"), "table inet dockerwall")
}

func TestAnRPMInstalledUpgradedAndErased(t *testing.T) {
	dir := built(t).all
	s := newSystem(t, dir)
	file := "/share/" + names()["rpm "+native()]
	s.does("! getent passwd dockerwall || userdel dockerwall")
	s.has(s.does("rpm -qp --qf '%{VERSION} %{LICENSE} %{BUILDHOST}\n' "+file), version+" MIT dockerwall")
	s.has(s.does("rpm -qp --configfiles "+file), "/etc/default/dockerwall")
	rpm := "rpm --nodeps --define '_dbpath /var/lib/rpm-of-test' " // Debian's own packages are no rpms
	s.has(s.does(rpm+"--install "+file), "dockerwall status", "dockerwall suggest", "systemctl enable --now dockerwall")
	s.hasFiles("/usr/share/licenses/dockerwall/LICENSE", "/usr/share/zsh/site-functions/_dockerwall")
	s.has(s.does("dockerwall version && getent passwd dockerwall"), version, "dockerwall:x:")
	s.does(rpm + "--verify dockerwall")
	s.fence()
	s.does("sed -i 's/^DRY_RUN=true/DRY_RUN=false/' /etc/default/dockerwall")
	s.does(rpm + "--upgrade --force " + file)
	s.has(s.does("cat /etc/default/dockerwall"), "DRY_RUN=false")
	s.has(s.does(rpm+"--erase dockerwall"), "goes on fencing", "nft delete table inet dockerwall")
	s.has(s.does("nft list tables"), "table inet dockerwall")
	if s.exists("/usr/bin/dockerwall") {
		t.Error("the program is still there")
	}
}

func TestTheArchiveHasWhatThePackagesHave(t *testing.T) {
	dir := t.TempDir()
	if err := run(dir, "tar", "-xzf", filepath.Join(built(t).all, names()["tar "+native()]), "--strip-components=1"); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"dockerwall", "man/dockerwall.8.gz", "systemd/dockerwall.service", "completions/bash", "doc/LICENSE", "share/dockerwall"} {
		if info, err := os.Stat(filepath.Join(dir, file)); err != nil || info.Mode().Perm()&0o022 != 0 {
			t.Errorf("%s: %v", file, err)
		}
	}
}
