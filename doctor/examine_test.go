package doctor_test

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/doctor"
	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/resolver"
)

// well are the facts of a host where every line is ok.
func well() doctor.Facts {
	return doctor.Facts{
		Version: "v1", Took: 50 * time.Millisecond, Kernel: "6.18.1", Landlock: 7, EngineHost: "unix:///run/docker.sock", DNSHold: "auto",
		Process: doctor.Known[doctor.Process]{Value: doctor.Process{Capabilities: 1 << unix.CAP_NET_ADMIN}},
		Nftables: doctor.Known[nft.Features]{Value: nft.Features{
			Owner: true, ElementLimit: true, Ports: true, Taps: []nft.TapMode{nft.TapNFTQueue, nft.TapCopy},
		}},
		Table: doctor.Known[doctor.Table]{Value: doctor.Table{Exists: true, Owned: true}},
		Sysctl: map[string]string{
			"net.ipv4.ip_forward": "1", "net.ipv4.conf.all.accept_source_route": "0", "net.ipv4.conf.all.route_localnet": "0",
			"net.ipv4.conf.docker0.route_localnet": "0", "net.ipv6.conf.all.disable_ipv6": "0", "net.ipv6.conf.all.forwarding": "1",
			"net.bridge.bridge-nf-call-iptables": "1", "net.bridge.bridge-nf-call-ip6tables": "1", "net.netfilter.nf_conntrack_tcp_loose": "1",
			"net.netfilter.nf_conntrack_count": "10", "net.netfilter.nf_conntrack_max": "1000",
			"net.ipv4.ip_local_port_range": "32768\t60999", "net.ipv4.ip_local_reserved_ports": "8080,50000-50001",
		},
		Bridges:    doctor.Known[[]hostnet.Bridge]{Value: []hostnet.Bridge{{Name: "docker0", NoLinkLocalLearn: true}}},
		Engine:     doctor.Known[docker.About]{Value: docker.About{Product: "Engine", Version: "27.5.1", API: "1.47", OperatingSystem: "Debian"}},
		Networks:   doctor.Known[[]docker.Network]{Value: []docker.Network{{Name: "bridge", Bridge: "docker0", Subnets: []netip.Prefix{netip.MustParsePrefix("fd00::/64")}}}},
		Unit:       doctor.Known[bool]{Value: true},
		Kept:       doctor.Known[bool]{Value: true},
		StateDir:   doctor.Path{Path: "/var/lib/dockerwall"},
		Resolvers:  resolver.Servers{Containers: []netip.Addr{netip.MustParseAddr("192.0.2.53")}},
		Metrics:    doctor.Listener{Addr: ":50000", Port: 50000},
		Nflog:      doctor.Numbered{Number: 32},
		Queue:      doctor.Numbered{Number: 5300},
		Socket:     doctor.Path{Path: "/run/dockerwall/dockerwall.sock"},
		Daemon:     doctor.Known[api.Health]{Value: api.Health{Healthy: true, Version: "v1", Fenced: 3}},
		DaemonJSON: doctor.Known[doctor.DaemonJSON]{Value: doctor.DaemonJSON{DNS: []string{"192.0.2.53"}}},
	}
}

// faults are what is wrong with an otherwise healthy host, and the line that says so.
func faults() map[string]fault {
	no := false
	yes := true
	sysctl := func(name, value string) func(*doctor.Facts) {
		return func(f *doctor.Facts) { f.Sysctl[name] = value }
	}
	return map[string]fault{
		"an old kernel whose nf_tables was brought up": {"kernel", doctor.Warn, "4.18.0", func(f *doctor.Facts) { f.Kernel = "4.18.0-553.el8" }},
		"an old kernel": {"kernel", doctor.Fail, "5.4.0", func(f *doctor.Facts) { f.Kernel, f.Nftables.Why = "5.4.0-1", "probe nf_tables: invalid argument" }},
		"a kernel before 5.10 by its second number": {"kernel", doctor.Warn, "older than 5.10", func(f *doctor.Facts) { f.Kernel = "5.9" }},
		"a version that is none":                    {"kernel", doctor.Skip, "mine", func(f *doctor.Facts) { f.Kernel = "mine" }},
		"no nf_tables":                              {"nftables", doctor.Fail, "protocol not supported", func(f *doctor.Facts) { f.Nftables.Why = "open netlink socket: protocol not supported" }},
		"no right to ask nf_tables":                 {"nftables", doctor.Skip, "not permitted", func(f *doctor.Facts) { f.Nftables.Why, f.Nftables.Rights = "not permitted", true }},
		"no table flags":                            {"ownership", doctor.Warn, "owner and persist", func(f *doctor.Facts) { f.Nftables.Value.Owner = false }},
		"one expression an element":                 {"element-limit", doctor.Warn, "counter and a limit", func(f *doctor.Facts) { f.Nftables.Value.ElementLimit = false }},
		"no nf_tables for bridges":                  {"port-binding", doctor.Warn, "NET_RAW", func(f *doctor.Facts) { f.Nftables.Value.Ports = false }},
		"no queue":                                  {"dns-hold", doctor.Warn, "only copied", func(f *doctor.Facts) { f.Nftables.Value.Taps = []nft.TapMode{nft.TapCopy} }},
		"no tap at all":                             {"dns-hold", doctor.Warn, "cannot be looked at", func(f *doctor.Facts) { f.Nftables.Value.Taps = nil }},
		"answers not to be held":                    {"dns-hold", doctor.Warn, "--dns-hold is off", func(f *doctor.Facts) { f.DNSHold = "off" }},
		"no table, no daemon":                       {"table", doctor.Warn, "nothing is fenced", func(f *doctor.Facts) { f.Table.Value.Exists, f.Silent = false, true }},
		"no table of a daemon":                      {"table", doctor.Fail, "but a daemon runs", func(f *doctor.Facts) { f.Table.Value.Exists = false }},
		"rules of somebody in our table":            {"table", doctor.Warn, "dockerwall's: 2", func(f *doctor.Facts) { f.Table.Value.Foreign = 2 }},
		"a table without an owner":                  {"table", doctor.Warn, "without an owner", func(f *doctor.Facts) { f.Table.Value.Owned = false }},
		"a table that outlived a daemon":            {"table", doctor.OK, "without a daemon", func(f *doctor.Facts) { f.Table.Value.Owned, f.Silent = false, true }},
		"root without its capability":               {"capabilities", doctor.Fail, "root is without", func(f *doctor.Facts) { f.Process.Value.Capabilities = 0 }},
		"not root":                                  {"capabilities", doctor.Skip, "uid 1000", func(f *doctor.Facts) { f.Process.Value = doctor.Process{UID: 1000} }},
		"another network namespace":                 {"namespace", doctor.Fail, "docker0", func(f *doctor.Facts) { f.Bridges.Value = nil }},
		"no Engine":                                 {"engine", doctor.Fail, "no such file", func(f *doctor.Facts) { f.Engine.Why = "reach Docker at x: no such file; is Docker running?" }},
		"no right to ask the Engine": {"engine", doctor.Skip, "denied", func(f *doctor.Facts) {
			f.Engine.Why, f.Engine.Rights, f.Process.Value.UID = "reach Docker: denied; run as root", true, 1000
		}},
		"a rootless Engine": {"engine-kind", doctor.Fail, "rootless", func(f *doctor.Facts) { f.Engine.Value.Rootless = true }},
		"Docker Desktop":    {"engine-kind", doctor.Fail, "virtual machine", func(f *doctor.Facts) { f.Engine.Value.OperatingSystem = "Docker Desktop" }},
		"Podman":            {"engine-kind", doctor.Warn, "Podman", func(f *doctor.Facts) { f.Engine.Value.Product = "Podman Engine" }},
		"user namespaces and dockerwall in a container": {"engine-kind", doctor.Warn, "userns-remap", func(f *doctor.Facts) { f.Engine.Value.UserNamespaces, f.Container = true, true }},
		"a proxy that refuses /info":                    {"engine-kind", doctor.Skip, "403", func(f *doctor.Facts) { f.Engine.Value.Unsaid = "403; allow it" }},
		"a kernel without landlock":                     {"landlock", doctor.Warn, "no landlock", func(f *doctor.Facts) { f.Landlock = 0 }},
		"a proxy that refuses /version":                 {"engine", doctor.Skip, "does not tell its version", func(f *doctor.Facts) { f.Engine.Value.Version = "" }},
		"Docker's nftables backend":                     {"firewall-backend", doctor.Warn, "nftables", func(f *doctor.Facts) { f.Engine.Value.Firewall = "nftables" }},
		"live-restore":                                  {"live-restore", doctor.OK, "on:", func(f *doctor.Facts) { f.Engine.Value.LiveRestore = true }},
		"no docker-proxy":                               {"userland-proxy", doctor.OK, "off:", func(f *doctor.Facts) { f.DaemonJSON.Value.UserlandProxy = &no }},
		"Docker without rules":                          {"docker-iptables", doctor.Warn, "no NAT", func(f *doctor.Facts) { f.DaemonJSON.Value.IPTables = &no }},
		"Docker without IPv6 rules":                     {"docker-ip6tables", doctor.Warn, "no IPv6 rules", func(f *doctor.Facts) { f.DaemonJSON.Value.IP6Tables, f.DaemonJSON.Value.IPv6 = &no, &yes }},
		"names asked for from the host": {"docker-dns", doctor.Warn, "Docker 28", func(f *doctor.Facts) {
			f.Engine.Value.Version, f.DaemonJSON.Value.DNS = "28.5.2+dfsg4", nil
		}},
		"IPv6 off where Docker wants it":              {"ipv6", doctor.Warn, "off, but", sysctl("net.ipv6.conf.all.disable_ipv6", "1")},
		"IPv6 not forwarded where Docker wants it":    {"ipv6", doctor.Warn, "not forwarded", sysctl("net.ipv6.conf.all.forwarding", "0")},
		"a kernel without IPv6":                       {"ipv6", doctor.OK, "no IPv6", func(f *doctor.Facts) { delete(f.Sysctl, "net.ipv6.conf.all.disable_ipv6") }},
		"no forwarding":                               {"ip-forward", doctor.Warn, "off", sysctl("net.ipv4.ip_forward", "0")},
		"no br_netfilter":                             {"br-netfilter", doctor.OK, "not loaded", func(f *doctor.Facts) { delete(f.Sysctl, "net.bridge.bridge-nf-call-iptables") }},
		"source routes":                               {"source-route", doctor.Warn, "first hop", sysctl("net.ipv4.conf.all.accept_source_route", "1")},
		"127.0.0.0/8 routed everywhere":               {"route-localnet", doctor.Warn, "127.0.0.1", sysctl("net.ipv4.conf.all.route_localnet", "1")},
		"127.0.0.0/8 routed on a bridge":              {"route-localnet", doctor.Warn, "docker0", sysctl("net.ipv4.conf.docker0.route_localnet", "1")},
		"conntrack that is strict":                    {"tcp-loose", doctor.OK, "off", sysctl("net.netfilter.nf_conntrack_tcp_loose", "0")},
		"many connections":                            {"conntrack", doctor.Warn, "81 %", sysctl("net.netfilter.nf_conntrack_count", "810")},
		"as many connections as may be":               {"conntrack", doctor.Fail, "full", sysctl("net.netfilter.nf_conntrack_count", "1000")},
		"80 % exactly":                                {"conntrack", doctor.OK, "800 of 1000", sysctl("net.netfilter.nf_conntrack_count", "800")},
		"a bridge that learns from what no hook sees": {"bridge-learning", doctor.Warn, "docker0", func(f *doctor.Facts) { f.Bridges.Value[0].NoLinkLocalLearn = false }},
		"ufw":                                         {"ufw", doctor.Warn, "ufw is on", func(f *doctor.Facts) { f.UFW.Value = true }},
		"firewalld":                                   {"firewalld", doctor.Warn, "firewalld is on", func(f *doctor.Facts) { f.Firewalld.Value = true }},
		"a service that flushes":                      {"nftables-conf", doctor.Warn, "/etc/nftables.conf", func(f *doctor.Facts) { f.Flushes.Value, f.Reloads.Value = []string{"/etc/nftables.conf"}, true }},
		"a file that flushes, but no service":         {"nftables-conf", doctor.OK, "/etc/nftables.conf", func(f *doctor.Facts) { f.Flushes.Value = []string{"/etc/nftables.conf"} }},
		"rules of the old program":                    {"leftovers", doctor.Warn, "DOCKERWALL-DENY", func(f *doctor.Facts) { f.Leftovers.Value.Chains = []string{"DOCKERWALL-DENY"} }},
		"resolvers that cannot be known":              {"resolvers", doctor.Warn, "stub", func(f *doctor.Facts) { f.Resolvers.Degraded = "only a stub: mount /run/systemd/resolve" }},
		"a mistake in resolv.conf":                    {"resolvers", doctor.Warn, "/etc/resolv.conf:3", func(f *doctor.Facts) { f.Resolvers.Problems = []resolver.Problem{{File: "/etc/resolv.conf", Line: 3}} }},
		"dockerwall as a container, seen from inside": {"boot", doctor.Warn, "as a container", func(f *doctor.Facts) { f.Container = true }},
		"dockerwall as a container, seen from outside": {"boot", doctor.Warn, "Docker starts", func(f *doctor.Facts) {
			f.Unit.Value, f.Unfenced.Value = false, []doctor.Unfenced{{Name: "x-dockerwall-1"}}
		}},
		"both units":                     {"boot", doctor.OK, "dockerwall-restore.service", func(f *doctor.Facts) { f.Restore.Value = true }},
		"only that of restore":           {"boot", doctor.Warn, "not dockerwall.service", func(f *doctor.Facts) { f.Unit.Value, f.Restore.Value = false, true }},
		"nothing kept for a boot":        {"boot", doctor.Warn, "no ruleset.json", func(f *doctor.Facts) { f.Kept.Value = false }},
		"what nobody may see is no lack": {"boot", doctor.OK, "enabled", func(f *doctor.Facts) { f.Kept = doctor.Known[bool]{Why: "permission denied"} }},
		"nowhere to keep it":             {"boot", doctor.Warn, "nothing is remembered", func(f *doctor.Facts) { f.StateDir.Path = "" }},
		"nothing that starts dockerwall": {"boot", doctor.Warn, "no unit", func(f *doctor.Facts) { f.Unit.Value = false }},
		"an ephemeral port for metrics":  {"metrics-port", doctor.Warn, "32768-60999", sysctl("net.ipv4.ip_local_reserved_ports", "8080,50001")},
		"a port that another has":        {"metrics-port", doctor.Warn, "in use", func(f *doctor.Facts) { f.Metrics.Error = "address already in use" }},
		"our own port":                   {"metrics-port", doctor.OK, "dockerwall's", func(f *doctor.Facts) { f.Metrics.Error, f.Metrics.Ours = "address already in use", true }},
		"an address that is none":        {"metrics-port", doctor.Fail, "nowhere", func(f *doctor.Facts) { f.Metrics = doctor.Listener{Addr: "nowhere"} }},
		"a group that another reads": {"nflog-group", doctor.Warn, "ulogd (pid 7)", func(f *doctor.Facts) {
			f.Nflog.Reader.Value = doctor.Reader{Taken: true, PID: 7, Name: "ulogd"}
		}},
		"a group that we read": {"nflog-group", doctor.OK, "dockerwall's", func(f *doctor.Facts) {
			f.Nflog.Reader.Value = doctor.Reader{Taken: true, PID: 7, Name: "dockerwall"}
		}},
		"a group that nobody knows who reads, without a daemon": {"nflog-group", doctor.Warn, "cannot be seen", func(f *doctor.Facts) {
			f.Nflog.Reader.Value, f.Silent = doctor.Reader{Taken: true}, true
		}},
		"a number that is none":           {"nflog-group", doctor.Fail, "1 to 65535", func(f *doctor.Facts) { f.Nflog.Number = 0 }},
		"a queue that another reads":      {"dns-queue", doctor.Warn, "suricata (pid 7)", func(f *doctor.Facts) { f.Queue.Reader.Value = doctor.Reader{Taken: true, PID: 7, Name: "suricata"} }},
		"a queue's number that is none":   {"dns-queue", doctor.Fail, "1 to 65535", func(f *doctor.Facts) { f.Queue.Number = 0 }},
		"a socket that cannot be made":    {"socket", doctor.Fail, "is not a socket", func(f *doctor.Facts) { f.Socket.Error = "is not a socket" }},
		"a state directory without write": {"state-dir", doctor.Warn, "read-only", func(f *doctor.Facts) { f.StateDir = doctor.Path{Path: "/s", Error: "read-only file system"} }},
		"no daemon":                       {"daemon", doctor.Warn, "no daemon", func(f *doctor.Facts) { f.Silent = true }},
		"a daemon that is not healthy": {"daemon", doctor.Fail, "commit table", func(f *doctor.Facts) {
			f.Daemon.Value = api.Health{Reasons: []string{"commit table: no space"}}
		}},
		"a daemon that is degraded": {"daemon", doctor.Warn, "only copied", func(f *doctor.Facts) { f.Daemon.Value.Reasons = []string{"only copied"} }},
		"a dry run":                 {"daemon", doctor.Warn, "nothing is denied", func(f *doctor.Facts) { f.Daemon.Value.DryRun = true }},
		"containers that are free":  {"unfenced", doctor.Warn, "nothing is fenced (2): a (y), b (z)", func(f *doctor.Facts) { f.Unfenced.Value = []doctor.Unfenced{{"a", "y"}, {"b", "z"}} }},
		"an Engine that is slow":    {"time", doctor.Warn, "12s", func(f *doctor.Facts) { f.Took = 12 * time.Second }},
	}
}

type fault struct {
	line   string
	result doctor.Result
	says   string
	seed   func(*doctor.Facts)
}

func lineOf(t *testing.T, r doctor.Report, name string) doctor.Line {
	t.Helper()
	for _, l := range r.Lines {
		if l.Name == name {
			return l
		}
	}
	t.Fatalf("no line %q", name)
	return doctor.Line{}
}

func TestAHealthyHostHasOnlyOK(t *testing.T) {
	r := doctor.Examine(well())
	for _, l := range r.Lines {
		if l.Result != doctor.OK || l.What == "" || l.Remedy != "" {
			t.Errorf("%+v", l)
		}
	}
	if len(r.Lines) != len(doctor.Entries()) || r.Fails+r.Warns+r.Skips != 0 {
		t.Errorf("%d lines of %d, %+v", len(r.Lines), len(doctor.Entries()), r)
	}
}

func TestEachFaultGivesItsLine(t *testing.T) {
	seen := map[string]map[doctor.Result]bool{}
	for name, c := range faults() {
		t.Run(name, func(t *testing.T) {
			f := well()
			c.seed(&f)
			l := lineOf(t, doctor.Examine(f), c.line)
			if l.Result != c.result || !strings.Contains(l.What, c.says) {
				t.Errorf("%+v, want %s and %q", l, c.result, c.says)
			}
			if (l.Result == doctor.Warn || l.Result == doctor.Fail) && l.Remedy == "" {
				t.Errorf("no remedy: %+v", l)
			}
		})
		if seen[c.line] == nil {
			seen[c.line] = map[doctor.Result]bool{}
		}
		seen[c.line][c.result] = true
	}
	for _, e := range doctor.Entries() {
		for _, r := range []doctor.Result{doctor.Warn, doctor.Fail} {
			if says := strings.Contains(e.Bad, string(r)+":"); says != seen[e.Name][r] {
				t.Errorf("%s: documented to %s: %v, a fault of this table does so: %v", e.Name, r, says, seen[e.Name][r])
			}
		}
	}
}

func TestNothingKnownIsAllSkippedOrSaid(t *testing.T) {
	r := doctor.Examine(doctor.Facts{})
	for _, l := range r.Lines {
		if l.What == "" {
			t.Errorf("%+v", l)
		}
	}
}

// FuzzExamine: whatever texts facts have, each line is there, in one printable line.
func FuzzExamine(f *testing.F) {
	f.Add("\x1b[31mred\x1b[0m", true)
	f.Add("a\nb\u202ec\x00\xff; d: e", false)
	f.Add("99999999999999999999", true)
	f.Add("28.", false)
	f.Fuzz(func(t *testing.T, text string, flag bool) {
		facts := well()
		fill(reflect.ValueOf(&facts).Elem(), text, flag)
		for _, unknown := range []bool{false, true} {
			if !unknown {
				forget(reflect.ValueOf(&facts).Elem())
			} else {
				fill(reflect.ValueOf(&facts).Elem(), text, flag)
			}
			r := doctor.Examine(facts)
			if len(r.Lines) != len(doctor.Entries()) {
				t.Fatalf("%d lines", len(r.Lines))
			}
			for _, l := range r.Lines {
				if strings.ContainsFunc(l.What+l.Remedy, func(c rune) bool { return !unicode.IsPrint(c) }) {
					t.Errorf("%q", l)
				}
			}
		}
	})
}

// fill puts a text into every string of a value, and a flag into every bool.
func fill(v reflect.Value, text string, flag bool) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		v.SetBool(flag)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), text, flag)
	case reflect.Slice:
		if v.Len() == 0 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		}
		for i := range v.Len() {
			fill(v.Index(i), text, flag)
		}
	case reflect.Map:
		if v.Type().Elem().Kind() == reflect.String {
			for _, k := range v.MapKeys() {
				v.SetMapIndex(k, reflect.ValueOf(text))
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i), text, flag)
			}
		}
	default:
	}
}

// forget makes every Known of facts known.
func forget(facts reflect.Value) {
	for i := range facts.NumField() {
		if f := facts.Field(i); f.Kind() == reflect.Struct && f.FieldByName("Why").IsValid() {
			f.FieldByName("Why").SetString("")
		}
	}
}
