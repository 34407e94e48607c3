package resolver

import (
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

// absent is the text of a file that does not exist.
const absent = "\x00absent"

func text(path, data string) Text {
	if data == absent {
		return Text{Path: path, Err: fmt.Errorf("open %s: %w", path, fs.ErrNotExist)}
	}
	return Text{Path: path, Data: []byte(data)}
}

func TestDiscover(t *testing.T) {
	const stub = "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch example.org\n"
	tests := map[string]struct {
		conf, resolved, daemon, extra string // "" for resolved and daemon is absent
		own                           string
		ask, containers               string
		degraded                      string // part of it
		problems                      []string
	}{
		"a plain resolv.conf": {conf: "# by hand\nnameserver 192.0.2.54\nnameserver\t192.0.2.53 # second\n; nameserver 192.0.2.99\n",
			ask: "192.0.2.54:53 192.0.2.53:53", containers: "192.0.2.53 192.0.2.54"},
		"systemd-resolved's stub and its list": {conf: stub, resolved: "nameserver 192.0.2.53\nnameserver 2001:db8::53\n",
			ask: "127.0.0.53:53", containers: "192.0.2.53 2001:db8::53"},
		"the stub alone is degraded": {conf: stub, ask: "127.0.0.53:53",
			degraded: "mount /run/systemd/resolve read-only or set DOCKERWALL_RESOLVERS"},
		"the stub alone, named by DOCKERWALL_RESOLVERS": {conf: stub, extra: " 192.0.2.53 ,",
			ask: "192.0.2.53:53 127.0.0.53:53", containers: "192.0.2.53"},
		"the stub alone, named by daemon.json": {conf: stub, daemon: `{"dns": ["192.0.2.53"]}`,
			ask: "192.0.2.53:53 127.0.0.53:53", containers: "192.0.2.53"},
		"the stub alone and a server elsewhere only": {conf: stub, extra: "127.0.0.1:5353, 192.0.2.53:5353",
			ask:      "127.0.0.1:5353 192.0.2.53:5353 127.0.0.53:53",
			degraded: "mount /run/systemd/resolve"},
		"the stub and an empty list: Docker's default": {conf: stub, resolved: "# none\n",
			ask: "127.0.0.53:53", containers: "8.8.4.4 8.8.8.8"},
		"the stub beside another server is left out": {conf: stub + "nameserver 192.0.2.53\n", resolved: "nameserver 192.0.2.99\n",
			ask: "127.0.0.53:53 192.0.2.53:53", containers: "192.0.2.53"},
		"another loopback resolver: Docker's default for the default bridge": {conf: "nameserver 127.0.0.1\nnameserver ::1\n",
			resolved: "nameserver 192.0.2.99\n", ask: "127.0.0.1:53 [::1]:53", containers: "8.8.4.4 8.8.8.8"},
		"nothing at all: Docker's default": {conf: absent, ask: "8.8.8.8:53 8.8.4.4:53", containers: "8.8.4.4 8.8.8.8"},
		"an empty resolv.conf":             {conf: "\n\n", ask: "8.8.8.8:53 8.8.4.4:53", containers: "8.8.4.4 8.8.8.8"},
		"daemon.json comes first, and both count": {conf: "nameserver 192.0.2.53\n", daemon: "\xef\xbb\xbf{\"dns\": [\"198.51.100.53\", \"::ffff:198.51.100.54\"]}",
			ask: "198.51.100.53:53 198.51.100.54:53 192.0.2.53:53", containers: "192.0.2.53 198.51.100.53 198.51.100.54"},
		"daemon.json with a loopback resolver is the container's own": {conf: "nameserver 192.0.2.53\n", daemon: `{"dns": ["127.0.0.1"]}`,
			ask: "127.0.0.1:53 192.0.2.53:53", containers: "192.0.2.53"},
		"daemon.json replaces Docker's default": {conf: "", daemon: `{"log-level": "info", "dns": ["198.51.100.53"]}`,
			ask: "198.51.100.53:53", containers: "198.51.100.53"},
		"daemon.json without dns": {conf: "nameserver 192.0.2.53\n", daemon: `{"dns-search": ["example.org"], "dns": null}`,
			ask: "192.0.2.53:53", containers: "192.0.2.53"},
		"an empty daemon.json": {conf: "nameserver 192.0.2.53\n", daemon: " \n", ask: "192.0.2.53:53", containers: "192.0.2.53"},
		"DOCKERWALL_RESOLVERS first, with ports and brackets": {conf: "nameserver 192.0.2.53\n", extra: "[2001:db8::53]:53,2001:db8::54,[2001:db8::55],198.51.100.53:53",
			ask:        "[2001:db8::53]:53 [2001:db8::54]:53 [2001:db8::55]:53 198.51.100.53:53 192.0.2.53:53",
			containers: "192.0.2.53 198.51.100.53 2001:db8::53 2001:db8::54 2001:db8::55"},
		"a container's own resolver is asked last and is not for others": {conf: "nameserver 192.0.2.53\n", own: "203.0.113.53 192.0.2.53 198.51.100.53",
			ask: "192.0.2.53:53 198.51.100.53:53 203.0.113.53:53", containers: "192.0.2.53"},
		"a zone is the host's alone": {conf: "nameserver fe80::1%eth0\nnameserver 192.0.2.53\n",
			ask: "[fe80::1%eth0]:53 192.0.2.53:53", containers: "192.0.2.53"},
		"the same twice":      {conf: "nameserver 192.0.2.53\nnameserver ::ffff:192.0.2.53\n", ask: "192.0.2.53:53", containers: "192.0.2.53"},
		"multicast is nobody": {conf: "nameserver 224.0.0.251\nnameserver 192.0.2.53\n", ask: "192.0.2.53:53", containers: "192.0.2.53"},
		"junk in resolv.conf": {conf: "nameserver\nnameserver 192.0.2.053\n\nnameserver evil\x1b[31m\r\nnameserver 192.0.2.53\r\nnameserver" + strings.Repeat(" x", 9),
			ask: "192.0.2.53:53", containers: "192.0.2.53", problems: []string{
				`resolv.conf:1: not an address: ""`, `resolv.conf:2: not an address: "192.0.2.053"`,
				`resolv.conf:4: not an address: "evil\x1b[31m"`, `resolv.conf:6: not an address: "x"`}},
		"long junk is cut": {conf: "nameserver " + strings.Repeat("é", 4000) + "\nnameserver 192.0.2.53", ask: "192.0.2.53:53", containers: "192.0.2.53",
			problems: []string{`resolv.conf:1: not an address: "` + strings.Repeat(`\u00e9`, 32) + `\u2026"`}},
		"junk in daemon.json": {conf: "nameserver 192.0.2.53\n", daemon: "{\n \"dns\": [\n  \"198.51.100.53\",\n  7,\n  \"a\\u0007b\"\n ]\n}",
			ask: "198.51.100.53:53 192.0.2.53:53", containers: "192.0.2.53 198.51.100.53", problems: []string{
				`daemon.json:4: not an address: "7"`, `daemon.json:5: not an address: "a\ab"`}},
		"dns in daemon.json is no list": {conf: "nameserver 192.0.2.53\n", daemon: "{\n\"dns\": \"198.51.100.53\"}", ask: "192.0.2.53:53", containers: "192.0.2.53",
			problems: []string{`daemon.json:2: "dns" is not a list of addresses`}},
		"daemon.json is no JSON": {conf: "nameserver 192.0.2.53\n", daemon: "{\n\n\x07}", ask: "192.0.2.53:53", containers: "192.0.2.53",
			problems: []string{`daemon.json:3: not valid JSON: invalid character '\a' looking for beginning of object key string`}},
		"daemon.json is a list": {conf: "nameserver 192.0.2.53\n", daemon: "[]", ask: "192.0.2.53:53", containers: "192.0.2.53",
			problems: []string{`daemon.json: not a JSON object`}},
		"junk in DOCKERWALL_RESOLVERS": {conf: "nameserver 192.0.2.53\n", extra: "dns.example.org,198.51.100.53:0,198.51.100.53:x,,\x00,198.51.100.53",
			ask: "198.51.100.53:53 192.0.2.53:53", containers: "192.0.2.53 198.51.100.53", problems: []string{
				`DOCKERWALL_RESOLVERS:1: not an address: "dns.example.org"`, `DOCKERWALL_RESOLVERS:2: not an address: "198.51.100.53:0"`,
				`DOCKERWALL_RESOLVERS:3: not an address: "198.51.100.53:x"`, `DOCKERWALL_RESOLVERS:5: not an address: "\x00"`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			src := Sources{ResolvConf: text("/etc/resolv.conf", tt.conf), Extra: tt.extra,
				Resolved: text("/run/systemd/resolve/resolv.conf", orAbsent(tt.resolved)), DaemonJSON: text("/etc/docker/daemon.json", orAbsent(tt.daemon))}
			for _, a := range strings.Fields(tt.own) {
				src.Containers = append(src.Containers, netip.MustParseAddr(a))
			}
			s := Discover(src)
			if got := join(s.Ask); got != tt.ask {
				t.Errorf("ask %q, want %q", got, tt.ask)
			}
			if got := join(s.Containers); got != tt.containers {
				t.Errorf("containers %q, want %q", got, tt.containers)
			}
			if (s.Degraded == "") != (tt.degraded == "") || !strings.Contains(s.Degraded, tt.degraded) {
				t.Errorf("degraded %q, want %q", s.Degraded, tt.degraded)
			}
			if got, want := join(s.Problems), strings.Join(tt.problems, " "); strings.NewReplacer("/etc/docker/", "", "/etc/", "").Replace(got) != want {
				t.Errorf("problems\n%s\nwant\n%s", got, want)
			}
			if !s.Equal(Discover(src)) || s.Equal(Servers{Degraded: "other"}) {
				t.Error("Equal is wrong")
			}
		})
	}
}

func TestDiscoverSaysWhomTheHostAsksAndWhoWasNamed(t *testing.T) {
	tests := map[string]struct{ conf, daemon, extra, own, host, named string }{
		"resolv.conf's servers in their order":        {conf: "nameserver 192.0.2.54\nnameserver 192.0.2.53\nnameserver 192.0.2.54\n", host: "192.0.2.54 192.0.2.53"},
		"the stub, not its list, asks for the host":   {conf: "nameserver 127.0.0.53\n", host: "127.0.0.53"},
		"loopback, link-local and mapped addresses":   {conf: "nameserver ::1\nnameserver fe80::1%eth0\nnameserver ::ffff:192.0.2.53\n", host: "::1 fe80::1%eth0 192.0.2.53"},
		"nobody, though containers have Docker's":     {conf: absent},
		"neither daemon.json's nor a container's own": {conf: "nameserver 192.0.2.53\n", daemon: `{"dns": ["198.51.100.53"]}`, own: "203.0.113.53", host: "192.0.2.53"},
		"those of the setting, with their ports":      {conf: "nameserver 192.0.2.53\n", extra: "[2001:db8::53]:5353, 192.0.2.55 ,junk,::ffff:192.0.2.56", host: "192.0.2.53", named: "[2001:db8::53]:5353 192.0.2.55:53 192.0.2.56:53"},
		"one that resolv.conf has, too, is both":      {conf: "nameserver 192.0.2.53\n", extra: "192.0.2.53", host: "192.0.2.53", named: "192.0.2.53:53"},
		"those of the setting are not the host's":     {conf: absent, extra: "192.0.2.53", named: "192.0.2.53:53"},
		"a loopback resolver may be named":            {conf: absent, extra: "127.0.0.1:5353", named: "127.0.0.1:5353"},
		"a comma alone names nobody":                  {conf: "nameserver 192.0.2.53\n", extra: " , ", host: "192.0.2.53"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			src := Sources{ResolvConf: text("/etc/resolv.conf", tt.conf), Resolved: text("/run/systemd/resolve/resolv.conf", "nameserver 192.0.2.99\n"),
				DaemonJSON: text("/etc/docker/daemon.json", orAbsent(tt.daemon)), Extra: tt.extra, Containers: list(tt.own)}
			s := Discover(src)
			if host, named := join(s.Host), join(s.Named); host != tt.host || named != tt.named {
				t.Errorf("host asks %q, want %q; named %q, want %q", host, tt.host, named, tt.named)
			}
			other := s
			if other.Host = append(list("192.0.2.200"), s.Host...); s.Equal(other) {
				t.Error("other hosts' servers are Equal")
			}
			other = s
			if other.Named = append([]netip.AddrPort{netip.MustParseAddrPort("192.0.2.200:53")}, s.Named...); s.Equal(other) {
				t.Error("other named servers are Equal")
			}
		})
	}
}

func orAbsent(s string) string {
	if s == "" {
		return absent
	}
	return s
}

func join[T fmt.Stringer](list []T) string {
	var s []string
	for _, v := range list {
		s = append(s, v.String())
	}
	return strings.Join(s, " ")
}

func TestDiscoverUnreadable(t *testing.T) {
	denied := Text{Path: "/etc/resolv.conf", Err: fs.ErrPermission}
	s := Discover(Sources{ResolvConf: denied, Resolved: text("r", absent), DaemonJSON: text("d", absent)})
	if len(s.Containers) != 0 || len(s.Ask) != 0 || s.Degraded != "cannot read /etc/resolv.conf: make it readable or set DOCKERWALL_RESOLVERS" || len(s.Problems) != 1 {
		t.Errorf("%+v", s)
	}
}

func TestDiscoverIsBounded(t *testing.T) {
	var conf strings.Builder
	for i := range 100 {
		fmt.Fprintf(&conf, "nameserver 192.0.2.%d\nnameserver junk%d\n", i, i)
	}
	s := Discover(Sources{ResolvConf: text("/etc/resolv.conf", conf.String())})
	if len(s.Ask) != 16 || len(s.Containers) != 16 || len(s.Problems) != 20 {
		t.Errorf("%d, %d, %d problems", len(s.Ask), len(s.Containers), len(s.Problems))
	}
	if got := s.Problems[0].String(); got != "/etc/resolv.conf: more than 16 resolvers; the rest is not used" {
		t.Errorf("problem %q", got)
	}
}

func FuzzDiscover(f *testing.F) {
	f.Add("nameserver 127.0.0.53\n", "nameserver 192.0.2.53\n", `{"dns":["192.0.2.1"]}`, "192.0.2.1:53")
	f.Fuzz(func(t *testing.T, conf, resolved, daemon, extra string) {
		s := Discover(Sources{ResolvConf: text("c", conf), Resolved: text("r", resolved), DaemonJSON: text("d", daemon), Extra: extra})
		for _, a := range s.Containers {
			if a.IsLoopback() || a.Is4In6() || a.Zone() != "" {
				t.Errorf("containers may ask %s", a)
			}
		}
		for _, p := range s.Problems {
			if strings.ContainsFunc(p.Text, unicode.IsControl) {
				t.Errorf("unprintable problem %q", p.Text)
			}
		}
	})
}

func TestFiles(t *testing.T) {
	root := t.TempDir()
	files := Files{Root: root, DaemonJSON: "/docker.json"}
	for path, data := range map[string]string{
		"/etc/resolv.conf": "nameserver 127.0.0.53\n", "/run/systemd/resolve/resolv.conf": "nameserver 192.0.2.53\n", "/docker.json": `{"dns":["192.0.2.54"]}`,
	} {
		if err := os.MkdirAll(filepath.Dir(root+path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(root+path, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := Discover(files.Read())
	if got := join(s.Containers); got != "192.0.2.53 192.0.2.54" || len(s.Problems) != 0 {
		t.Errorf("%+v", s)
	}
	if s := Discover(Files{Root: t.TempDir()}.Read()); join(s.Containers) != "8.8.4.4 8.8.8.8" || len(s.Problems) != 0 {
		t.Errorf("an empty root: %+v", s)
	}
}
