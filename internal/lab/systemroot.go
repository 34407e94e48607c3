package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// systemPackages are what a Debian that serves containers has beside its base; systemd-container has the program that
// boots it.
func systemPackages() []string {
	return []string{"systemd", "systemd-sysv", "systemd-container", "dbus", "nftables", "iptables", "iproute2", "docker.io"}
}

// FetchSystem makes sure that a whole system of the machine's own Debian, with systemd and Docker, is in the cache and
// returns its root. Nothing of it runs on the machine; what makes it, debootstrap, is unpacked and not installed. It
// takes some 30 s the first time. Where the machine is not a Debian the error is errors.ErrUnsupported.
func FetchSystem(ctx context.Context) (string, error) {
	if here := distribution(); !strings.HasPrefix(here, "debian-") {
		return "", fmt.Errorf("fetch a system: its packages are Debian's, this is %s: %w", here, errors.ErrUnsupported)
	}
	cache, err := CacheDir()
	if err != nil {
		return "", fmt.Errorf("fetch a system: %w", err)
	}
	root := filepath.Join(cache, "system-"+distribution()+"-"+runtime.GOARCH)
	unlock, err := lock(cache, "system")
	if err != nil {
		return "", fmt.Errorf("fetch a system: %w", err)
	}
	defer unlock()
	if _, err := os.Stat(filepath.Join(root, "usr/bin/systemd-nspawn")); err == nil {
		return root, nil
	}
	if err := fetchTo(root, func(work, system string) error { return fillSystem(ctx, work, system) }); err != nil {
		return "", fmt.Errorf("fetch a system: %w", err)
	}
	return root, nil
}

// fillSystem has debootstrap make the system from the mirror that the machine takes its own packages from.
func fillSystem(ctx context.Context, work, system string) error {
	download := func() error {
		_, err := output(apt(ctx, work, "download", "debootstrap"))
		return err
	}
	if err := withLists(ctx, work, download); err != nil {
		return err
	}
	if err := unpack(ctx, work); err != nil {
		return err
	}
	uri, err := mirror(ctx)
	if err != nil {
		return err
	}
	tool := filepath.Join(work, "root/usr")
	cmd := exec.CommandContext(ctx, filepath.Join(tool, "sbin/debootstrap"), "--variant=minbase",
		"--include="+strings.Join(systemPackages(), ","), release("VERSION_CODENAME"), system, uri)
	cmd.Env = append(os.Environ(), "DEBOOTSTRAP_DIR="+filepath.Join(tool, "share/debootstrap"), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if proxy := aptProxy(ctx); proxy != "" {
		cmd.Env = append(cmd.Env, "http_proxy="+proxy)
	}
	if said, err := cmd.CombinedOutput(); err != nil {
		lines := strings.Split(strings.TrimSpace(string(said)), "\n")
		return fmt.Errorf("debootstrap: %w: %s", err, strings.Join(lines[max(0, len(lines)-5):], "; "))
	}
	return slim(system)
}

// aptProxy is the proxy that apt is told to use, which debootstrap does not know of; mostly none.
func aptProxy(ctx context.Context) string {
	out, _ := output(exec.CommandContext(ctx, "apt-config", "shell", "proxy", "Acquire::http::Proxy"))
	_, value, _ := strings.Cut(strings.TrimSpace(out), "=")
	return strings.Trim(value, `'"`)
}

// slim takes away what a machine of some minutes does not need: packages, timers, the console's login; and what would
// change settings of its network that the lab has made.
func slim(system string) error {
	for _, pattern := range []string{"var/cache/apt/archives/*.deb", "var/lib/apt/lists/*", "etc/systemd/system/timers.target.wants/*"} {
		files, err := filepath.Glob(filepath.Join(system, pattern))
		if err != nil {
			return err
		}
		for _, file := range files {
			if err := os.RemoveAll(file); err != nil {
				return err
			}
		}
	}
	for _, unit := range []string{"console-getty.service", "getty@tty1.service", "e2scrub_reap.service", "systemd-sysctl.service"} {
		if err := os.Symlink("/dev/null", filepath.Join(system, "etc/systemd/system", unit)); err != nil {
			return err
		}
	}
	return nil
}
