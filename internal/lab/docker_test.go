package lab_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

func itoa(n int) string { return strconv.Itoa(n) }

func TestContainersReachTheInternet(t *testing.T) {
	l := lab.ForTest(t)
	began := time.Now()
	d := l.DockerForTest(t, lab.DockerOptions{})
	t.Logf("dockerd up in %v", time.Since(began))
	ctx := t.Context()
	if err := d.ImportProbe(ctx, lab.ProbeImage); err != nil {
		t.Fatal(err)
	}
	l.DNS.Set("www.example.com", netip.MustParseAddr("203.0.113.7"))
	network(t, d, "web", "--ipv6", "--subnet=2001:db8:c:1::/64")
	for name, c := range map[string]struct {
		network, act, body string
	}{
		"by address from the default bridge":    {"", "http http://192.0.2.1/", "reached 192.0.2.1:80 from " + lab.HostAddr},
		"by name from the default bridge":       {"", "http http://www.example.com/", "reached 203.0.113.7:80"},
		"by name through the embedded resolver": {"web", "http http://www.example.com/", "reached 203.0.113.7:80"},
		"v6, routed":                            {"web", "http http://[2001:db8:1::5]:8080/", "reached [2001:db8:1::5]:8080 from [2001:db8:c:1::"},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			r, err := d.RunProbe(ctx, lab.RunSpec{Network: c.network, Cmd: strings.Fields(c.act)})
			t.Logf("container's life: %v", time.Since(began))
			if err != nil || r.Outcome != result.OK || !strings.HasPrefix(r.Body, c.body) || r.Retransmits != 0 {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
	t.Run("first acts", func(t *testing.T) { firstActs(t, l, d) })
	t.Run("an image of local programs", func(t *testing.T) { localPrograms(t, d) })
}

func network(t *testing.T, d *lab.Docker, name string, args ...string) {
	t.Helper()
	if _, err := d.CLI(t.Context(), append([]string{"network", "create", name}, args...)...); err != nil {
		t.Fatal(err)
	}
}

func firstActs(t *testing.T, l *lab.Lab, d *lab.Docker) {
	ctx := t.Context()
	c, err := d.Run(ctx, lab.RunSpec{Name: "first", Network: "web", Labels: map[string]string{"a": "b c"}, Cmd: []string{
		"script", "udp 203.0.113.99:9 -count 20 -rate 1000", "tcp 203.0.113.99:80", "listen udp 5353"}})
	if err != nil {
		t.Fatal(err)
	}
	ns, err := c.Namespace(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ns.Close() }()
	addr, err := c.Addr(ctx, "web")
	if err != nil {
		t.Fatal(err)
	}
	if conn, err := ns.Dial(ctx, "udp", addr.String()+":5353"); err != nil {
		t.Errorf("dial in the container's namespace: %v", err)
	} else {
		_ = conn.Close()
	}
	if label, err := c.Inspect(ctx, `{{.Config.Labels.a}}`); err != nil || label != "b c" {
		t.Errorf("label %q, %v", label, err)
	}
	if r, err := c.Probe(ctx, "tcp", "203.0.113.99:81"); err != nil || r.Outcome != result.Refused {
		t.Errorf("in the running container: %+v, %v", r, err)
	}
	if got := l.ArrivedAt("udp", netip.MustParseAddrPort("203.0.113.99:9")); got != 20 {
		t.Errorf("%d packets arrived, want 20", got)
	}
	if err := c.Remove(ctx); err != nil {
		t.Error(err)
	}
}

func localPrograms(t *testing.T, d *lab.Docker) {
	ctx := t.Context()
	files := map[string]string{"/bin/sh": "/bin/sh", "/bin/cat": "/bin/cat"}
	if err := d.Import(ctx, "local", files, `LABEL made="here"`, `CMD ["/bin/sh", "-c", "exec cat /etc/hostname"]`); err != nil {
		t.Fatal(err)
	}
	if out, err := d.CLI(ctx, "run", "--rm", "--hostname=box", "local"); err != nil || out != "box" {
		t.Errorf("%q, %v", out, err)
	}
	if out, err := d.CLI(ctx, "image", "inspect", "--format={{.Config.Labels.made}}", "local"); err != nil || out != "here" {
		t.Errorf("label %q, %v", out, err)
	}
}

// engines are the Engines that the lab can run.
func engines() map[string]lab.DockerOptions {
	return map[string]lab.DockerOptions{"the machine's own Engine": {}, "the newest Engine": {Newest: true}}
}

func TestContainersSurviveDockerdWithLiveRestore(t *testing.T) {
	for name, options := range engines() {
		t.Run(name, func(t *testing.T) {
			options.Config, options.Args = `{"live-restore": true}`, []string{"--dns=" + lab.DNSAddr}
			survive(t, lab.ForTest(t).DockerForTest(t, options))
		})
	}
}

func survive(t *testing.T, d *lab.Docker) {
	ctx := t.Context()
	if err := d.ImportProbe(ctx, lab.ProbeImage, `LABEL a=b`); err != nil {
		t.Fatal(err)
	}
	c, err := d.Run(ctx, lab.RunSpec{Cmd: []string{"sleep"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, restart := range map[string]func() error{
		"restart": func() error { return d.Restart(ctx) },
		"kill -9": func() error { d.Kill9(); return d.Start(ctx) },
	} {
		old := d.PID()
		began := time.Now()
		if err := restart(); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %v", name, time.Since(began))
		if r, err := c.Probe(ctx, "tcp", "203.0.113.99:80"); err != nil || r.Outcome != result.OK {
			t.Errorf("after %s: %+v, %v", name, r, err)
		}
		if d.PID() == old || d.PID() == 0 {
			t.Errorf("%s: pid %d, before %d", name, d.PID(), old)
		}
	}
}

// trace is what a lab could leave on the machine.
func trace(t *testing.T) map[string][]string {
	t.Helper()
	return map[string][]string{
		"mounts":     lines(t, "/proc/self/mountinfo"),
		"interfaces": glob(t, "/sys/class/net/*"),
		"files":      glob(t, os.TempDir()+"/dockerwall-lab-"+itoa(os.Getpid())+"-*"),
		"cgroups": glob(t, "/sys/fs/cgroup/dockerwall-lab-"+itoa(os.Getpid())+"-*",
			"/sys/fs/cgroup/*/dockerwall-lab-"+itoa(os.Getpid())+"-*"),
		"processes":  descendants(t),
		"files open": namespaceFiles(t),
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	lab.Require(t)
	for name, use := range map[string]func(ctx context.Context, t *testing.T, l *lab.Lab){
		"a lab":                     func(context.Context, *testing.T, *lab.Lab) {},
		"a lab with containers":     withContainers(lab.DockerOptions{}),
		"the newest Engine":         withContainers(lab.DockerOptions{Newest: true}),
		"a start that is cancelled": cancelledStart,
		"programs left running":     leftRunning,
	} {
		t.Run(name, func(t *testing.T) {
			before := trace(t)
			began := time.Now()
			l, err := lab.New(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("lab up in %v", time.Since(began))
			use(t.Context(), t, l)
			began = time.Now()
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			t.Logf("closed in %v", time.Since(began))
			if err := l.Close(); err != nil {
				t.Errorf("close again: %v", err)
			}
			after := trace(t)
			for what := range before {
				if extra := added(before[what], after[what]); len(extra) > 0 {
					t.Errorf("%s left: %q", what, extra)
				}
			}
		})
	}
}

func withContainers(options lab.DockerOptions) func(context.Context, *testing.T, *lab.Lab) {
	return func(ctx context.Context, t *testing.T, l *lab.Lab) {
		d := l.DockerForTest(t, options)
		if err := d.ImportProbe(ctx, lab.ProbeImage); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			spec := lab.RunSpec{Name: fmt.Sprint("c", i), Args: []string{"--restart=always", "--publish=80"}, Cmd: []string{"serve", "80"}}
			if _, err := d.Run(ctx, spec); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func cancelledStart(ctx context.Context, t *testing.T, l *lab.Lab) {
	ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := l.StartDocker(ctx, lab.DockerOptions{}); err == nil {
		t.Error("dockerd started in 0.1 s: cancel earlier")
	}
}

func leftRunning(ctx context.Context, t *testing.T, l *lab.Lab) {
	if err := l.HostCommand(context.WithoutCancel(ctx), "setsid", "--fork", "sleep", "300").Run(); err != nil {
		t.Error(err)
	}
}

func added(before, after []string) (extra []string) {
	for _, s := range after {
		if !slices.Contains(before, s) {
			extra = append(extra, s)
		}
	}
	return extra
}
