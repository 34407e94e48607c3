package doctor_test

import (
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/docker/dockertest"
	"github.com/dockerwall/dockerwall/doctor"
	"github.com/dockerwall/dockerwall/internal/lab"
)

// host is a network namespace with the kernel's own /proc, files of the test's, and a fake Engine.
type host struct {
	ns      *lab.Namespace
	files   fstest.MapFS
	engine  *dockertest.Engine
	options doctor.Options
}

// newHost has one Docker network with IPv6, and its bridge.
func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{ns: lab.NamespaceForTest(t), files: fstest.MapFS{}, engine: dockertest.New(t)}
	dir := t.TempDir()
	h.options = doctor.Options{
		Version: "v1", Root: h, DockerHost: h.engine.Host(), Socket: filepath.Join(dir, "d.sock"), Metrics: ":50000", DNSHold: "auto",
		NflogGroup: 32, DNSQueue: 5300,
	}
	h.engine.PutNetwork(docker.Network{
		ID: dockertest.ID("bridge"), Name: "bridge", Driver: "bridge", Bridge: "docker0",
		Subnets: []netip.Prefix{netip.MustParsePrefix("172.17.0.0/16"), netip.MustParsePrefix("fd00::/64")},
	})
	h.file("proc/1/cgroup", "0::/\n") // the machine may itself be a container
	h.run(t, "ip", "link", "add", "docker0", "type", "bridge")
	for _, s := range []string{"net.ipv4.ip_forward=1", "net.ipv6.conf.all.disable_ipv6=0", "net.ipv6.conf.all.forwarding=1", "net.ipv4.conf.all.accept_source_route=0"} {
		h.sysctl(t, s)
	}
	return h
}

func (h *host) run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := h.ns.Command(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// sysctl sets "name=value" in the namespace.
func (h *host) sysctl(t *testing.T, setting string) {
	t.Helper()
	name, value, _ := strings.Cut(setting, "=")
	err := h.ns.Do(func() error {
		return os.WriteFile("/proc/sys/"+strings.ReplaceAll(name, ".", "/"), []byte(value), 0)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (h *host) file(path, text string) {
	h.files[path] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
}

func (h *host) link(path, to string) {
	h.files[path] = &fstest.MapFile{Data: []byte(to), Mode: fs.ModeSymlink | 0o777}
}

// at is where a path is read: /proc is the kernel's, unless the test has it.
func (h *host) at(path string) fs.FS {
	if _, ours := h.files[path]; !ours && (path == "proc" || strings.HasPrefix(path, "proc/")) {
		return os.DirFS("/")
	}
	return h.files
}

func (h *host) Open(path string) (fs.File, error)          { return h.at(path).Open(path) }
func (h *host) ReadLink(path string) (string, error)       { return fs.ReadLink(h.at(path), path) }
func (h *host) Lstat(path string) (fs.FileInfo, error)     { return fs.Lstat(h.at(path), path) }
func (h *host) Stat(path string) (fs.FileInfo, error)      { return fs.Stat(h.at(path), path) }
func (h *host) ReadDir(path string) ([]fs.DirEntry, error) { return fs.ReadDir(h.at(path), path) }

// look examines the host as it is.
func (h *host) look(t *testing.T) doctor.Report {
	t.Helper()
	var f doctor.Facts
	err := h.ns.Do(func() error {
		f = doctor.Read(t.Context(), h.options)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return doctor.Examine(f)
}

// sees looks for a line, its result and its words; "->" parts those of the remedy off.
func (h *host) sees(t *testing.T, line string, result doctor.Result, words ...string) {
	t.Helper()
	l := lineOf(t, h.look(t), line)
	text := l.What + " -> " + l.Remedy
	if l.Result != result {
		t.Errorf("%+v, want %s", l, result)
	}
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%+v lacks %q", l, w)
		}
	}
}
