package lab_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

func TestTheNewestEngineAsksDNSFromTheHost(t *testing.T) {
	l := lab.ForTest(t)
	began := time.Now()
	d := l.DockerForTest(t, lab.DockerOptions{Newest: true})
	t.Logf("dockerd up in %v", time.Since(began))
	ctx := t.Context()
	version, err := d.Version(ctx)
	t.Logf("Engine %s", version)
	major, _, _ := strings.Cut(version, ".")
	if n, convErr := strconv.Atoi(major); err != nil || convErr != nil || n < 28 {
		t.Fatalf("version %q, %v; want 28 or later", version, err)
	}
	if err := d.ImportProbe(ctx, lab.ProbeImage); err != nil {
		t.Fatal(err)
	}
	l.DNS.Set("www.example.com", netip.MustParseAddr("203.0.113.7"))
	network(t, d, "web", "--ipv6", "--subnet=2001:db8:c:1::/64")
	c, err := d.Run(ctx, lab.RunSpec{Network: "web", Cmd: []string{"sleep"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, wanted := range map[string]struct{ url, body string }{
		"by address": {"http://192.0.2.1/", "reached 192.0.2.1:80 from " + lab.HostAddr},
		"by name":    {"http://www.example.com/", "reached 203.0.113.7:80 from " + lab.HostAddr},
		// Since Docker 27 ip6tables is on without being asked for, and with it the masquerading of IPv6.
		"v6": {"http://[2001:db8:1::5]:8080/", "reached [2001:db8:1::5]:8080 from [" + lab.HostAddr6 + "]"},
	} {
		r, err := c.Probe(ctx, "http", wanted.url)
		if err != nil || r.Outcome != result.OK || !strings.HasPrefix(r.Body, wanted.body) || r.Retransmits != 0 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	resolvConf(t, l, c, "ExtServers: [host("+lab.DNSAddr+")]")
	told, err := d.Run(ctx, lab.RunSpec{Network: "web", Args: []string{"--dns=" + lab.DNSAddr}, Cmd: []string{"sleep"}})
	if err != nil {
		t.Fatal(err)
	}
	resolvConf(t, l, told, "ExtServers: ["+lab.DNSAddr+"]") // a server that was named is asked from the container
}

// resolvConf checks what the Engine notes in a container's resolv.conf: whom it asks, and whether from the host.
func resolvConf(t *testing.T, l *lab.Lab, c *lab.Container, want string) {
	t.Helper()
	path, err := c.Inspect(t.Context(), "{{.ResolvConfPath}}")
	if err != nil {
		t.Fatal(err)
	}
	text, err := l.HostCommand(t.Context(), "cat", path).Output()
	if err != nil || !strings.Contains(string(text), want) {
		t.Errorf("resolv.conf says %q, %v; want %s", text, err, want)
	}
}

func TestTheNewestEngineIsFetchedOnce(t *testing.T) {
	lab.Require(t)
	first, err := lab.FetchNewest(t.Context())
	if err != nil {
		lab.Cannot(t, "needs the newest Docker Engine ("+err.Error()+")")
	}
	before := written(t, first)
	again, err := lab.FetchNewest(t.Context())
	if err != nil || again != first || written(t, again) != before {
		t.Errorf("fetched again to %s, before to %s: %v", again, first, err)
	}
}

func written(t *testing.T, dir string) time.Time {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, "dockerd"))
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime()
}
