package lab_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

// host runs the probe on the lab's host.
func host(t *testing.T, l *lab.Lab, args ...string) lab.Result {
	t.Helper()
	r, err := l.HostProbe(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTheInternetAnswersTheHost(t *testing.T) {
	l := lab.ForTest(t)
	l.DNS.Set("www.example.com", netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("2001:db8:1::7"))
	for act, want := range map[string]lab.Result{
		"http http://192.0.2.9:8080/":            {Body: "reached 192.0.2.9:8080 from 198.51.100.1:"},
		"http http://[2001:db8:2::9]:5432/":      {Body: "reached [2001:db8:2::9]:5432 from [2001:db8:ffff::1]:"},
		"http http://www.example.com/":           {Body: "reached "},
		"tcp 203.0.113.1:81":                     {Outcome: result.Refused},
		"udp 203.0.113.1:7 -count 9 -wait 3s":    {Received: 9},
		"udp [2001:db8:1::1]:7 -wait 3s":         {Received: 1},
		"ping 203.0.113.200":                     {Received: 1},
		"ping 2001:db8:1::200":                   {Received: 1},
		"lookup nobody.example.com":              {Outcome: result.NoName},
		"lookup www.example.com":                 {},
		"stream 203.0.113.1:7 -for 1s -every 1s": {Received: 1},
	} {
		t.Run(act, func(t *testing.T) {
			if want.Outcome == "" {
				want.Outcome = result.OK
			}
			got := host(t, l, strings.Fields(act)...)
			if got.Outcome != want.Outcome || !strings.HasPrefix(got.Body, want.Body) || got.Received != want.Received {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
	if got := host(t, l, "lookup", "www.example.com"); len(got.Addrs) != 2 {
		t.Errorf("lookup: %v", got.Addrs)
	}
	if q := l.DNS.Queries(); len(q) == 0 || q[0].From != netip.MustParseAddr(lab.HostAddr) {
		t.Errorf("queries: %v", q)
	}
}

func TestArrivalsAreExact(t *testing.T) {
	l := lab.ForTest(t)
	to, to6 := netip.MustParseAddrPort("203.0.113.77:9"), netip.MustParseAddrPort("[2001:db8:1::77]:9")
	host(t, l, "udp", to.String(), "-count", "50", "-rate", "1000")
	host(t, l, "udp", to6.String(), "-count", "50", "-rate", "1000")
	host(t, l, "ping", to.Addr().String(), "-count", "3")
	host(t, l, "spoof", "10.9.8.7", to.String(), "-count", "4")
	host(t, l, "spoof", "2001:db8:c::9", to6.String(), "-count", "4", "-proto", "tcp")
	for name, c := range map[string]struct{ got, want uint64 }{
		"v4 by address":    {l.Arrived(to.Addr()), 50 + 3 + 4},
		"v6 by address":    {l.Arrived(to6.Addr()), 50 + 4},
		"v4 by port":       {l.ArrivedAt("udp", to), 50 + 4},
		"v6 by port":       {l.ArrivedAt("udp", to6), 50},
		"v6 by tcp port":   {l.ArrivedAt("tcp", to6), 4},
		"v4 by source":     {l.ArrivedFrom(netip.MustParseAddr("10.9.8.7")), 4},
		"v6 by source":     {l.ArrivedFrom(netip.MustParseAddr("2001:db8:c::9")), 4},
		"nothing, nowhere": {l.Arrived(netip.MustParseAddr("203.0.113.78")), 0},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, want %d", name, c.got, c.want)
		}
	}
}

func TestTheHostSeesItsOwnEtcOnly(t *testing.T) {
	l := lab.ForTest(t)
	before, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.SetResolvConf("nameserver 198.51.100.99\n"); err != nil {
		t.Fatal(err)
	}
	if out, _ := l.HostCommand(t.Context(), "cat", "/etc/resolv.conf").Output(); string(out) != "nameserver 198.51.100.99\n" {
		t.Errorf("the host reads %q", out)
	}
	if after, _ := os.ReadFile("/etc/resolv.conf"); string(after) != string(before) {
		t.Errorf("the machine's resolv.conf changed: %q", after)
	}
	if err := l.WriteFile("/etc/../root/x", ""); err == nil {
		t.Error("a file outside /etc and /run was written")
	}
	cmd := l.HostCommand(t.Context(), "sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	if exe, _ := os.Readlink(filepath.Join("/proc", itoa(cmd.Process.Pid), "exe")); !strings.Contains(exe, "sleep") {
		t.Errorf("the command's pid is of %q", exe)
	}
	_ = cmd.Process.Kill()
	if err := cmd.Wait(); err == nil {
		t.Error("the command was not killed")
	}
}
