package systemd

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

const (
	patience = 30 * time.Second   // for what has to come about
	moment   = "400ms"            // for an answer that must not come
	tree     = "/root/dockerwall" // where the files of this tree lie on the machine
)

// machine is a host with a real systemd and a real Docker, in the lab's network.
type machine struct {
	*lab.Lab
	*lab.System
	probe string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{Lab: lab.ForTest(t)}
	m.System = m.SystemForTest(t)
	var err error
	if m.probe, err = lab.BuildProbe(t.Context()); err != nil {
		t.Fatal(err)
	}
	binary, err := lab.BuildStatic(t.Context(), "github.com/dockerwall/dockerwall/cmd/dockerwall")
	if err != nil {
		t.Fatal(err)
	}
	m.copy(t, binary, tree+"/bin/dockerwall")
	m.copy(t, m.probe, "/opt/image/probe")
	// A host as systemd-resolved makes it: its stub is on loopback, which containers cannot ask, and its list elsewhere.
	for file, text := range map[string]string{
		"/etc/resolv.conf":                                  "nameserver 127.0.0.53\n",
		"/etc/tmpfiles.d/resolve.conf":                      "d /run/systemd/resolve 0755\nf /run/systemd/resolve/resolv.conf 0644 - - - nameserver " + lab.DNSAddr + "\n",
		"/etc/systemd/system/stub.service":                  "[Unit]\nBefore=dockerwall.service\n[Service]\nExecStart=/opt/image/probe resolver 127.0.0.53 -upstream " + lab.DNSAddr + "\n",
		"/etc/systemd/system/multi-user.target.d/stub.conf": "[Unit]\nWants=stub.service\n",
	} {
		if err := m.System.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"dockerwall.service", "dockerwall-restore.service", "sysusers.d/dockerwall.conf", "docker.service.d/dockerwall.conf"} {
		m.copy(t, file, filepath.Join(tree, "packaging/systemd", file))
	}
	return m
}

func (m *machine) copy(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.System.WriteFile(to, string(text), info.Mode().Perm()); err != nil {
		t.Fatal(err)
	}
}

// sh runs a script on the machine, in the tree's folder, and returns what it prints to both streams.
func (m *machine) sh(t *testing.T, script string) string {
	t.Helper()
	out, err := m.attempt(t.Context(), script)
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return out
}

// attempt runs a script as sh does, and returns its error too.
func (m *machine) attempt(ctx context.Context, script string) (string, error) {
	cmd := m.Command(ctx, "sh", "-c", "cd "+tree+"; set -e; "+script)
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// follow runs the commands of a section of the how-to.
func (m *machine) follow(t *testing.T, section string) {
	t.Helper()
	for _, block := range blocks(t, section) {
		m.sh(t, block)
	}
}

// blocks are what stands between fences in a section of the how-to.
func blocks(t *testing.T, section string) (out []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", howto))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n## "+section+"\n")
	rest, _, _ = strings.Cut(rest, "\n## ")
	for i, part := range strings.Split(rest, "\n```") {
		if i%2 == 1 {
			_, block, _ := strings.Cut(part, "\n") // the language stands before
			out = append(out, block)
		}
	}
	if !found || len(out) == 0 {
		t.Fatalf("%s has no block under %q", howto, section)
	}
	return out
}

// property is what systemd says of a unit.
func (m *machine) property(t *testing.T, unit, name string) string {
	t.Helper()
	return m.sh(t, "systemctl show --value --property="+name+" "+unit)
}

// becomes waits until systemd says so of a unit.
func (m *machine) becomes(t *testing.T, unit, name, want string) {
	t.Helper()
	eventually(t, func() error {
		if is := m.property(t, unit, name); is != want {
			return fmt.Errorf("%s of %s is %q, want %q", name, unit, is, want)
		}
		return nil
	})
}

// status is what the daemon says, once it says it.
func (m *machine) status(t *testing.T) api.Status {
	t.Helper()
	var said api.Object[api.Status]
	eventually(t, func() error {
		out, err := m.Command(t.Context(), "dockerwall", "status", "-o", "json").Output()
		if err != nil && len(out) == 0 {
			return err
		}
		return json.Unmarshal(out, &said)
	})
	return said.Spec
}

// whole waits until the daemon finds nothing wrong with the fence.
func (m *machine) whole(t *testing.T) {
	t.Helper()
	eventually(t, func() error {
		if s := m.status(t); len(s.Degraded) > 0 || !s.Docker.Up {
			return fmt.Errorf("degraded: %q, Docker up: %v", s.Degraded, s.Docker.Up)
		}
		return nil
	})
}

// journal is what the daemon wrote since the machine was booted.
func (m *machine) journal(t *testing.T) string {
	t.Helper()
	return m.sh(t, "journalctl --unit=dockerwall --boot --no-pager --output=cat")
}

// says waits for words in the daemon's journal, so often at least.
func (m *machine) says(t *testing.T, words string, times int) {
	t.Helper()
	eventually(t, func() error {
		if n := strings.Count(m.journal(t), words); n < times {
			return fmt.Errorf("%q stands %d times in the journal, want %d", words, n, times)
		}
		return nil
	})
}

func (m *machine) table(t *testing.T) bool {
	t.Helper()
	return m.Host.Command(t.Context(), "nft", "list", "table", "inet", "dockerwall").Run() == nil
}

// disable removes the link by which a target starts a unit, of a machine that does not run.
func (m *machine) disable(link string) error { return os.Remove(m.Path("/etc/systemd/system/" + link)) }

// container is one that runs on the machine.
type container struct {
	m    *machine
	name string
}

// run starts a container of the probe, which sleeps.
func (m *machine) run(t *testing.T, name, outbound string, args ...string) container {
	t.Helper()
	m.sh(t, fmt.Sprintf("docker run --detach --name=%s --label='dockerwall.outbound=%s' %s probe sleep", name, outbound, strings.Join(args, " ")))
	return container{m, name}
}

// namespace is the container's network; it is opened anew each time.
func (c container) namespace(t *testing.T) *lab.Namespace {
	t.Helper()
	key := c.m.sh(t, "docker inspect --format='{{.NetworkSettings.SandboxKey}}' "+c.name)
	ns, err := lab.OpenNamespace(c.m.Path(strings.Replace(key, "/var/run/", "/run/", 1)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.Close() })
	return ns
}

func (c container) act(t *testing.T, words ...string) lab.Result {
	t.Helper()
	return act(c.namespace(t).Command(t.Context(), c.m.probe, words...))
}

func act(cmd *exec.Cmd) lab.Result {
	out, _ := cmd.Output() // its exit code says the outcome once more
	results, err := lab.Results(string(out))
	if err != nil || len(results) != 1 {
		return lab.Result{Outcome: result.Failed, Error: fmt.Sprintf("%q: %v", out, err)}
	}
	return results[0]
}

func (c container) reaches(t *testing.T, targets ...string) {
	t.Helper()
	for _, target := range targets {
		if r := c.act(t, "tcp", target, "-timeout", "3s"); r.Outcome != result.OK || r.Retransmits > 0 {
			t.Errorf("%s to %s: %+v", c.name, target, r)
		}
	}
}

func (c container) address(t *testing.T) netip.Addr {
	t.Helper()
	text := c.m.sh(t, "docker inspect --format='{{.NetworkSettings.IPAddress}}' "+c.name)
	addr, err := netip.ParseAddr(text)
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// isKeptFrom tries, and looks on the internet's side too.
func (c container) isKeptFrom(t *testing.T, targets ...string) {
	t.Helper()
	for _, target := range targets {
		to := netip.MustParseAddrPort(target)
		before := c.m.ArrivedAt("tcp", to)
		if r := c.act(t, "tcp", target, "-timeout", moment); r.Outcome != result.Timeout {
			t.Errorf("%s to %s: %+v", c.name, target, r)
		}
		if n := c.m.ArrivedAt("tcp", to) - before; n > 0 {
			t.Errorf("%s: %d packets arrived at %s", c.name, n, target)
		}
	}
}

func eventually(t testing.TB, check func() error) {
	t.Helper()
	end := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after %v: %v", patience, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
