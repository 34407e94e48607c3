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

	"golang.org/x/sys/unix"
)

// enginePrograms are what a private Engine needs, by the names under which its parts look for each other, with the
// name in the distribution's packages.
func enginePrograms() map[string]string {
	return map[string]string{
		"dockerd": "dockerd", "docker": "docker", "docker-proxy": "docker-proxy", "docker-init": "tini-static",
		"containerd": "containerd", "containerd-shim-runc-v2": "containerd-shim-runc-v2", "ctr": "ctr", "runc": "runc",
	}
}

// CacheDir is where what was fetched and built stays: $DOCKERWALL_CACHE, or .cache beside go.mod.
func CacheDir() (string, error) {
	if dir := os.Getenv("DOCKERWALL_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	return filepath.Join(root, ".cache"), nil
}

// moduleRoot is the nearest folder upward with a go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("find go.mod: run this inside the source tree, or set DOCKERWALL_CACHE")
		}
	}
}

// Fetch makes sure that an Engine's programs are in the cache and returns their folder. They are downloaded as the
// distribution's packages and unpacked, never installed; no service is started. It is quick when they are there.
func Fetch(ctx context.Context) (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", fmt.Errorf("fetch the Engine: %w", err)
	}
	dir := filepath.Join(cache, "engine-"+distribution()+"-"+runtime.GOARCH)
	unlock, err := lock(cache, "engine")
	if err != nil {
		return "", fmt.Errorf("fetch the Engine: %w", err)
	}
	defer unlock()
	if !complete(dir) {
		own := func(work, programs string) error { return fetchOwn(ctx, work, programs) }
		if err := fetchTo(dir, own); err != nil {
			return "", fmt.Errorf("fetch the Engine: %w", err)
		}
	}
	if err := checkLibraries(ctx, dir); err != nil {
		return "", fmt.Errorf("fetch the Engine: %w", err)
	}
	return dir, nil
}

func complete(dir string) bool {
	for name := range enginePrograms() {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

// lock keeps other processes (tests of other packages) out until the returned function is called.
func lock(cache, name string) (func(), error) {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(cache, name+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// distribution names the release whose packages fit this machine, such as debian-12.
func distribution() string { return release("ID") + "-" + release("VERSION_ID") }

// release is a value of the machine's os-release(5).
func release(name string) string {
	values := map[string]string{}
	text, _ := os.ReadFile("/etc/os-release")
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		values[key] = strings.Trim(value, `"`)
	}
	return values[name]
}

// fetchTo has a folder of programs filled beside dir and gives it the name when it is whole.
func fetchTo(dir string, fill func(work, programs string) error) error {
	work, err := os.MkdirTemp(filepath.Dir(dir), "fetching-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	programs := filepath.Join(work, "programs")
	if err := fill(work, programs); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(programs, dir)
}

// fetchOwn fills a folder with the programs of the machine's own release.
func fetchOwn(ctx context.Context, work, programs string) error {
	if err := withLists(ctx, work, func() error { return downloadOwn(ctx, work) }); err != nil {
		return err
	}
	if err := unpack(ctx, work); err != nil {
		return err
	}
	return collect(work, programs, enginePrograms())
}

// withLists does what needs the machine's lists of packages. Where they are missing or old, root renews them once.
func withLists(ctx context.Context, work string, act func() error) error {
	for _, tool := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is missing: the lab takes its Engine from the packages of Debian or Ubuntu", tool)
		}
	}
	err := act()
	if err == nil || os.Geteuid() != 0 {
		return err
	}
	if _, err := output(apt(ctx, work, "update")); err != nil {
		return err
	}
	return act()
}

func downloadOwn(ctx context.Context, work string) error {
	packages := []string{"docker.io", "containerd", "runc", "tini"}
	if exec.CommandContext(ctx, "apt-cache", "show", "--no-all-versions", "docker-cli").Run() == nil {
		packages = append(packages, "docker-cli") // its own package since Debian 13
	}
	_, err := output(apt(ctx, work, append([]string{"download"}, packages...)...))
	return err
}

func apt(ctx context.Context, work string, args ...string) *exec.Cmd {
	// Root's downloads go to a folder that apt's own user may not enter: without this it warns at length.
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-qq", "-o", "APT::Sandbox::User=root"}, args...)...)
	cmd.Dir = work
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	return cmd
}

func unpack(ctx context.Context, work string) error {
	packages, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil {
		return err
	}
	for _, p := range packages {
		if _, err := output(exec.CommandContext(ctx, "dpkg-deb", "-x", p, filepath.Join(work, "root"))); err != nil {
			return err
		}
	}
	return nil
}

// collect moves programs (name: name in the packages) out of the unpacked packages.
func collect(work, into string, programs map[string]string) error {
	if err := os.MkdirAll(into, 0o755); err != nil {
		return err
	}
	for name, packaged := range programs {
		found := program(filepath.Join(work, "root"), packaged)
		if found == "" {
			return fmt.Errorf("find %s in the packages: not there", packaged)
		}
		if err := os.Rename(found, filepath.Join(into, name)); err != nil {
			return err
		}
	}
	return nil
}

// program finds a program itself, not a link to it (bin/runc is one to sbin/runc).
func program(root, name string) string {
	for _, dir := range []string{"usr/bin", "usr/sbin", "bin", "sbin", "usr/libexec/docker/cli-plugins"} {
		path := filepath.Join(root, dir, name)
		if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ""
}
