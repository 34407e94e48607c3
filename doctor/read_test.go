package doctor_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/florianl/go-nflog/v2"
	"github.com/florianl/go-nfqueue/v2"

	"github.com/dockerwall/dockerwall/boot"
	"github.com/dockerwall/dockerwall/doctor"
	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/nfgroup"
)

// TestSeededFaultsOfTheNetworkAreSeen changes a network namespace of its own, really.
func TestSeededFaultsOfTheNetworkAreSeen(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct {
		name, before, line string
		result             doctor.Result
		says               string
		set, back          string
	}{
		{"IPv6 off", "on, and forwarded", "ipv6", doctor.Warn, "off, but Docker has networks with IPv6: bridge", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.all.disable_ipv6=0"},
		{"IPv6 not forwarded", "on, and forwarded", "ipv6", doctor.Warn, "not forwarded", "net.ipv6.conf.all.forwarding=0", "net.ipv6.conf.all.forwarding=1"},
		{"IPv4 not forwarded", "on", "ip-forward", doctor.Warn, "sysctl -w net.ipv4.ip_forward=1", "net.ipv4.ip_forward=0", "net.ipv4.ip_forward=1"},
		{"source routes", "off", "source-route", doctor.Warn, "first hop", "net.ipv4.conf.all.accept_source_route=1", "net.ipv4.conf.all.accept_source_route=0"},
		{"127.0.0.0/8 routed on all", "off", "route-localnet", doctor.Warn, "127.0.0.1", "net.ipv4.conf.all.route_localnet=1", "net.ipv4.conf.all.route_localnet=0"},
		{"127.0.0.0/8 routed on a bridge", "off", "route-localnet", doctor.Warn, "(docker0)", "net.ipv4.conf.docker0.route_localnet=1", "net.ipv4.conf.docker0.route_localnet=0"},
		{"strict conntrack", "on", "tcp-loose", doctor.OK, "off", "net.netfilter.nf_conntrack_tcp_loose=0", "net.netfilter.nf_conntrack_tcp_loose=1"},
		{"bridged packets pass no rules", "bridged packets pass", "br-netfilter", doctor.OK, "off", "net.bridge.bridge-nf-call-iptables=0", "net.bridge.bridge-nf-call-iptables=1"},
		{"an ephemeral port for metrics", "50000 is free", "metrics-port", doctor.Warn, "ip_local_reserved_ports=1234,50000", "net.ipv4.ip_local_reserved_ports=1234", "net.ipv4.ip_local_reserved_ports=50000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.line == "br-netfilter" {
				h.sysctl(t, "net.bridge.bridge-nf-call-ip6tables=0")
			}
			h.sysctl(t, c.back)
			h.sees(t, c.line, doctor.OK, c.before)
			h.sysctl(t, c.set)
			h.sees(t, c.line, c.result, c.says)
			h.sysctl(t, c.back)
		})
	}
	t.Run("a bridge that learns from what no hook sees", func(t *testing.T) {
		h.sees(t, "bridge-learning", doctor.Warn, "docker0", "no_linklocal_learn 1")
		h.run(t, "ip", "link", "set", "dev", "docker0", "type", "bridge", "no_linklocal_learn", "1")
		h.sees(t, "bridge-learning", doctor.OK)
	})
	t.Run("rules of the old program", func(t *testing.T) {
		h.sees(t, "leftovers", doctor.OK)
		lab.Nft(t, h.ns, "table ip filter { chain DOCKERWALL-DENY { }\n }", "-f", "-")
		h.sees(t, "leftovers", doctor.Warn, "DOCKERWALL-DENY", "iptables -X DOCKERWALL-DENY")
	})
	t.Run("rules of somebody else in our table", func(t *testing.T) {
		lab.Nft(t, h.ns, "table inet dockerwall { chain theirs { }\n }", "-f", "-")
		h.sees(t, "table", doctor.Warn, "dockerwall's: 1", "dockerwall nft diff")
	})
	t.Run("many connections", func(t *testing.T) {
		h.sees(t, "conntrack", doctor.OK)
		h.file("proc/sys/net/netfilter/nf_conntrack_count", "90\n") // the bound is the machine's own, which no test changes
		h.file("proc/sys/net/netfilter/nf_conntrack_max", "100\n")
		h.sees(t, "conntrack", doctor.Warn, "90 of 100")
	})
	t.Run("another network namespace", func(t *testing.T) {
		h.sees(t, "namespace", doctor.OK, "docker0")
		h.run(t, "ip", "link", "del", "docker0")
		h.sees(t, "namespace", doctor.Fail, "docker0", "run it where the Engine runs")
	})
}

// TestTakenNumbersAndPortsAreSeen takes what dockerwall would want, in a network namespace of its own.
func TestTakenNumbersAndPortsAreSeen(t *testing.T) {
	h := newHost(t)
	h.sysctl(t, "net.ipv4.ip_local_reserved_ports=50000")
	for _, line := range []string{"nflog-group", "dns-queue", "metrics-port"} {
		h.sees(t, line, doctor.OK, "is free")
	}
	group, err := nfgroup.Open(t.Context(), nfgroup.Options{Number: 32, NetNS: h.ns.FD(), Packet: func(nflog.Attribute) {}, Overrun: func() {}})
	if err != nil {
		t.Fatal(err)
	}
	defer group.Close()
	h.sees(t, "nflog-group", doctor.Warn, "group 32 is taken by doctor.test (pid ", "not logged")

	queue, err := nfqueue.Open(&nfqueue.Config{NetNS: h.ns.FD(), NfQueue: 5300, MaxQueueLen: 16, MaxPacketLen: 64, Copymode: nfqueue.NfQnlCopyPacket})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = queue.Close() }()
	if err := queue.RegisterWithErrorFunc(t.Context(), func(nfqueue.Attribute) int { return 0 }, func(error) int { return 1 }); err != nil {
		t.Fatal(err)
	}
	h.sees(t, "dns-queue", doctor.Warn, "queue 5300 is taken by doctor.test (pid ")

	listener, err := h.ns.Listen(":50000")
	if err != nil {
		t.Fatal(err)
	}
	h.sees(t, "metrics-port", doctor.Warn, "50000 cannot be had: address already in use", "ss -lntp")
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	h.sees(t, "metrics-port", doctor.OK)
}

// TestSeededFilesAreSeen has a host whose files are the test's.
func TestSeededFilesAreSeen(t *testing.T) {
	const flush = "#!/usr/sbin/nft -f\n# flush ruleset\n  flush ruleset;\ntable inet filter { }\n"
	for name, c := range map[string]struct {
		line   string
		result doctor.Result
		says   string
		files  map[string]string
		links  []string
	}{
		"ufw":                              {"ufw", doctor.Warn, "ufw is on", map[string]string{"etc/ufw/ufw.conf": "# x\nENABLED=yes\n"}, nil},
		"ufw, which is off":                {"ufw", doctor.OK, "off", map[string]string{"etc/ufw/ufw.conf": "#ENABLED=yes\nENABLED=no\n"}, nil},
		"firewalld, which runs":            {"firewalld", doctor.Warn, "firewalld is on", map[string]string{"run/firewalld/x": ""}, nil},
		"firewalld, which is enabled":      {"firewalld", doctor.Warn, "firewalld is on", nil, []string{"etc/systemd/system/multi-user.target.wants/firewalld.service"}},
		"nftables.conf flushes":            {"nftables-conf", doctor.Warn, "/etc/nftables.conf", map[string]string{"etc/nftables.conf": flush}, []string{"etc/systemd/system/sysinit.target.wants/nftables.service"}},
		"a file in nftables.d flushes":     {"nftables-conf", doctor.Warn, "/etc/nftables.d/a.nft", map[string]string{"etc/nftables.d/a.nft": "add table x; flush  ruleset"}, []string{"etc/systemd/system/multi-user.target.wants/nftables.service"}},
		"nftables.conf flushes by hand":    {"nftables-conf", doctor.OK, "not enabled", map[string]string{"etc/nftables.conf": flush}, nil},
		"nftables.conf that does not":      {"nftables-conf", doctor.OK, "no file", map[string]string{"etc/nftables.conf": "# flush ruleset\nflush ruleset_of_mine\n"}, nil},
		"a stub resolver without its list": {"resolvers", doctor.Warn, "mount /run/systemd/resolve", map[string]string{"etc/resolv.conf": "nameserver 127.0.0.53\n"}, nil},
		"a stub resolver with its list": {"resolvers", doctor.OK, "192.0.2.53", map[string]string{
			"etc/resolv.conf": "nameserver 127.0.0.53\n", "run/systemd/resolve/resolv.conf": "nameserver 192.0.2.53\n",
		}, nil},
		"a mistake in resolv.conf":   {"resolvers", doctor.Warn, "/etc/resolv.conf:1: not an address", map[string]string{"etc/resolv.conf": "nameserver \x1b[31m\n"}, nil},
		"iptables off":               {"docker-iptables", doctor.Warn, "no NAT", map[string]string{"etc/docker/daemon.json": `{"iptables": false}`}, nil},
		"ip6tables off":              {"docker-ip6tables", doctor.Warn, "no IPv6 rules", map[string]string{"etc/docker/daemon.json": `{"ip6tables": false, "ipv6": true}`}, nil},
		"userland-proxy off":         {"userland-proxy", doctor.OK, "off", map[string]string{"etc/docker/daemon.json": `{"userland-proxy": false}`}, nil},
		"no dns with Docker 28":      {"docker-dns", doctor.Warn, "Docker 28", map[string]string{"etc/docker/daemon.json": "\xef\xbb\xbf"}, nil},
		"dns with Docker 28":         {"docker-dns", doctor.OK, "192.0.2.53", map[string]string{"etc/docker/daemon.json": `{"dns": ["192.0.2.53"]}`}, nil},
		"a daemon.json that is none": {"docker-iptables", doctor.Skip, "daemon.json is not understood", map[string]string{"etc/docker/daemon.json": `{"iptables": "no"}`}, nil},
		"a unit without a directory": {"boot", doctor.Warn, "nothing is remembered", nil, []string{"etc/systemd/system/multi-user.target.wants/dockerwall.service"}},
		"no unit":                    {"boot", doctor.Warn, "no unit", nil, nil},
		"an old kernel":              {"kernel", doctor.Warn, "4.18.0", map[string]string{"proc/sys/kernel/osrelease": "4.18.0-553.el8_10\n"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			for path, text := range c.files {
				h.file(path, text)
			}
			for _, path := range c.links {
				h.link(path, "/lib/systemd/system/nowhere.service")
			}
			h.sees(t, c.line, c.result, c.says)
		})
	}
}

func TestAContainerIsKnownByItsMarkAndItsNamespaces(t *testing.T) {
	h := newHost(t)
	h.sees(t, "boot", doctor.Warn, "no unit")
	h.file(".dockerenv", "")
	h.link("proc/self/ns/pid", "pid:[4026531836]")
	h.link("proc/self/ns/ipc", "ipc:[4026531839]")
	h.link("proc/self/ns/uts", "uts:[4026531838]")
	h.sees(t, "boot", doctor.Warn, "no unit") // a mark alone: a machine that was made from an image
	h.link("proc/self/ns/pid", "pid:[4026532321]")
	h.sees(t, "boot", doctor.Warn, "as a container")
	h.sees(t, "ufw", doctor.Skip, "on the host")
	h.sees(t, "docker-iptables", doctor.Skip, "/etc/docker")
	h.engine.SetAbout(map[string]any{"Version": "28.5.2"}, map[string]any{"SecurityOptions": []string{"name=seccomp,profile=builtin", "name=userns"}})
	h.sees(t, "engine-kind", doctor.Warn, "userns_mode: host")
	h.run(t, "ip", "link", "del", "docker0")
	h.sees(t, "namespace", doctor.Fail, "network_mode: host")
}

func TestPathsThatCannotBeUsedAreSeen(t *testing.T) {
	h := newHost(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h.options.Socket = filepath.Join(dir, "file")
	h.options.StateDir = filepath.Join(dir, "file", "below")
	h.sees(t, "socket", doctor.Fail, "is not a socket")
	h.sees(t, "state-dir", doctor.Warn, "not a directory")
	h.options.Socket = filepath.Join(dir, "file", "d.sock")
	h.sees(t, "socket", doctor.Fail, "not a directory")
	h.options.Socket, h.options.StateDir = filepath.Join(dir, "new", "d.sock"), filepath.Join(dir, "new")
	h.sees(t, "socket", doctor.OK)
	h.sees(t, "state-dir", doctor.OK, "can be used")
	h.options.Metrics, h.options.NflogGroup, h.options.DNSQueue = "nowhere", 0, 0
	h.sees(t, "metrics-port", doctor.Fail, `"nowhere"`)
	h.sees(t, "nflog-group", doctor.Fail)
	h.sees(t, "dns-queue", doctor.Fail)
	h.options.Metrics, h.options.DNSHold = "off", "off"
	h.sees(t, "metrics-port", doctor.OK, "off")
	h.sees(t, "dns-hold", doctor.Warn, "--dns-hold is off")
	h.sees(t, "dns-queue", doctor.OK)
}

func TestTheFileForTheNextBootIsLookedFor(t *testing.T) {
	h := newHost(t)
	h.options.StateDir = t.TempDir()
	h.link("etc/systemd/system/multi-user.target.wants/dockerwall.service", "/lib/systemd/system/nowhere.service")
	h.sees(t, "boot", doctor.Warn, "no ruleset.json")
	h.file(strings.TrimPrefix(boot.Path(h.options.StateDir), "/"), "{}")
	h.sees(t, "boot", doctor.OK, "dockerwall.service is enabled")
	h.link("etc/systemd/system/docker.service.wants/dockerwall-restore.service", "/lib/systemd/system/nowhere.service")
	h.sees(t, "boot", doctor.OK, "dockerwall-restore.service")
}
