package main

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// Addresses beside the lab's documentation ranges, which no registry calls public.
const (
	publicNet  = "9.9.9.0/24"
	publicNet6 = "2620:fe::/48"
	privateNet = "192.168.77.0/24"
)

// wider lets the internet answer for more networks.
func (w *world) wider(t *testing.T, networks ...string) {
	t.Helper()
	for _, n := range networks {
		if out, err := w.Internet.Command(t.Context(), "ip", "route", "add", "local", n, "dev", "lo").CombinedOutput(); err != nil {
			t.Fatalf("route %s: %v\n%s", n, err, out)
		}
	}
}

func (w *world) names() {
	for name, addrs := range map[string]string{
		"www.example.com":   "203.0.113.10 2001:db8:1::10",
		"db.example.com":    "203.0.113.12 2001:db8:1::12",
		"many.example.com":  "203.0.113.14 203.0.113.15",
		"bad.example.com":   "203.0.113.19",
		"www.deny.example":  "203.0.113.210",
		"host.example.com":  lab.HostAddr,
		"ports.example.com": "203.0.113.16",
	} {
		var list []netip.Addr
		for a := range strings.FieldsSeq(addrs) {
			list = append(list, netip.MustParseAddr(a))
		}
		w.DNS.Set(name, list...)
	}
}

// everything is an act of every protocol to an address; tcp and udp to ports where the internet answers.
func everything(addr string) []act {
	to := addr
	if strings.Contains(addr, ":") {
		to = "[" + addr + "]"
	}
	return []act{act("tcp " + to + ":80"), act("tcp " + to + ":5432"), act("udp " + to + ":5000"), act("ping " + addr), act("raw 47 " + addr), act("raw 132 " + addr)}
}

func all(lists ...[]act) (acts []act) {
	for _, l := range lists {
		acts = append(acts, l...)
	}
	return acts
}

// wallCase is what a label opens and what it leaves closed.
type wallCase struct {
	label        string
	open, closed []act
}

func wallCases() map[string]wallCase {
	return map[string]wallCase{
		"an exact name opens its addresses of both families, not its neighbours'": {"www.example.com",
			all(everything("203.0.113.10"), everything("2001:db8:1::10")), all(everything("203.0.113.11"), everything("2001:db8:1::11"))},
		"a name has all of its addresses": {"many.example.com", []act{"tcp 203.0.113.14:80", "tcp 203.0.113.15:80"}, []act{"tcp 203.0.113.13:80"}},
		"a name with a port opens that port": {"db.example.com:5432/tcp",
			[]act{"tcp 203.0.113.12:5432", "tcp [2001:db8:1::12]:5432"},
			[]act{"tcp 203.0.113.12:80", "udp 203.0.113.12:5000", "ping 203.0.113.12", "raw 47 203.0.113.12", "tcp [2001:db8:1::12]:80", "ping 2001:db8:1::12"}},
		"an address opens itself for every protocol": {"203.0.113.20", everything("203.0.113.20"), all(everything("203.0.113.21"), everything("2001:db8:1::20"))},
		"an address of IPv6 likewise":                {"2001:db8:1::20", everything("2001:db8:1::20"), all(everything("2001:db8:1::21"), everything("203.0.113.22"))},
		"a prefix opens its addresses, first to last": {"203.0.113.32/28, 2001:db8:1:32::/64",
			[]act{"tcp 203.0.113.32:80", "udp 203.0.113.40:5000", "ping 203.0.113.47", "tcp [2001:db8:1:32::]:80", "ping 2001:db8:1:32:ffff:ffff:ffff:ffff"},
			[]act{"tcp 203.0.113.31:80", "tcp 203.0.113.48:80", "tcp [2001:db8:1:31:ffff:ffff:ffff:ffff]:80", "ping 2001:db8:1:33::"}},
		"a range opens its addresses, first to last": {"203.0.113.51-203.0.113.54, 2001:db8:1::51-2001:db8:1::54",
			[]act{"tcp 203.0.113.51:80", "ping 203.0.113.54", "udp [2001:db8:1::51]:5000", "tcp [2001:db8:1::54]:80"},
			[]act{"tcp 203.0.113.50:80", "ping 203.0.113.55", "tcp [2001:db8:1::50]:80", "ping 2001:db8:1::55"}},
		"a port opens itself in tcp and udp": {"203.0.113.60:443, [2001:db8:1::60]:443",
			[]act{"tcp 203.0.113.60:443", "udp 203.0.113.60:443", "tcp [2001:db8:1::60]:443", "udp [2001:db8:1::60]:443"},
			[]act{"tcp 203.0.113.60:80", "udp 203.0.113.60:5000", "ping 203.0.113.60", "raw 47 203.0.113.60", "tcp [2001:db8:1::60]:80", "ping 2001:db8:1::60"}},
		"a range of ports opens its ports, first to last": {"203.0.113.64/30:80-443/tcp",
			[]act{"tcp 203.0.113.64:80", "tcp 203.0.113.67:443"}, []act{"tcp 203.0.113.64:7", "tcp 203.0.113.64:5432", "udp 203.0.113.64:443", "tcp 203.0.113.68:80"}},
		"a range of ports of a name likewise": {"ports.example.com:7-443",
			[]act{"tcp 203.0.113.16:7", "udp 203.0.113.16:443", "tcp 203.0.113.16:443"}, []act{"tcp 203.0.113.16:5432", "udp 203.0.113.16:5000", "ping 203.0.113.16"}},
		"/tcp opens tcp": {"203.0.113.70/tcp", []act{"tcp 203.0.113.70:80", "tcp 203.0.113.70:7"}, []act{"udp 203.0.113.70:5000", "ping 203.0.113.70", "raw 132 203.0.113.70"}},
		"/udp opens udp": {"203.0.113.72/udp", []act{"udp 203.0.113.72:5000", "udp 203.0.113.72:7"}, []act{"tcp 203.0.113.72:80", "ping 203.0.113.72", "raw 47 203.0.113.72"}},
		"/icmp opens ping of both families": {"203.0.113.74/icmp, 2001:db8:1::74/icmp",
			[]act{"ping 203.0.113.74", "ping 2001:db8:1::74"}, []act{"tcp 203.0.113.74:80", "udp 203.0.113.74:5000", "tcp [2001:db8:1::74]:80", "raw 47 203.0.113.74"}},
		"_internet_ opens what is public and nothing else": {"_internet_",
			all(everything("9.9.9.9"), everything("2620:fe::9")),
			everything("192.168.77.7")},
		"_internet_ with a port opens that port": {"_internet_:443/tcp", []act{"tcp 9.9.9.10:443", "tcp [2620:fe::10]:443"},
			[]act{"tcp 9.9.9.10:80", "udp 9.9.9.10:443", "ping 9.9.9.10", "tcp [2620:fe::10]:80"}},
		"* opens everything":      {"*", all(everything("203.0.113.90"), everything("2001:db8:1::90"), everything("192.168.77.8")), nil},
		"a denial beats an allow": {"203.0.113.96/28, 2001:db8:1:96::/64, !203.0.113.99, !2001:db8:1:96::99", []act{"tcp 203.0.113.98:80", "ping 203.0.113.100", "tcp [2001:db8:1:96::98]:80"}, all(everything("203.0.113.99"), everything("2001:db8:1:96::99"))},
		"a denial beats *":        {"*, !203.0.113.112/30:80/tcp", []act{"tcp 203.0.113.112:443", "ping 203.0.113.113", "tcp 203.0.113.116:80"}, []act{"tcp 203.0.113.112:80", "tcp 203.0.113.115:80"}},
		"a denied name is denied under an allowed prefix, and so is its port": {"203.0.113.208/28, !www.deny.example:80", []act{"tcp 203.0.113.210:443", "tcp 203.0.113.211:80"}, []act{"tcp 203.0.113.210:80"}},
		"an empty label opens nothing":                                        {"", nil, all(everything("203.0.113.120"), everything("2001:db8:1::120"))},
	}
}

func TestALabelOpensWhatItNamesAndNothingElse(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.wider(t, publicNet, publicNet6, privateNet)
	w.names()
	w.start(t)
	var closed []act
	for name, c := range wallCases() {
		closed = append(closed, c.closed...)
		t.Run(name, func(t *testing.T) {
			b := w.labelled(t, c.label)
			b.reaches(t, c.open...)
			b.isKeptFrom(t, c.closed...)
		})
	}
	t.Run("without a label nothing is open", func(t *testing.T) {
		w.run(t, lab.RunSpec{Network: web}).isKeptFrom(t, all(everything("203.0.113.1"), everything("2001:db8:1::1"), everything("9.9.9.1"))...)
	})
	t.Run("all of what was closed answers one who may", func(t *testing.T) { w.labelled(t, "*").reaches(t, closed...) })
	t.Run("containers", func(t *testing.T) { containersAmongThemselves(t, w) })
}

// containersAmongThemselves lets Docker's own isolation of networks pass, so that only our wall stands.
func containersAmongThemselves(t *testing.T, w *world) {
	w.host(t, "iptables", "-I", "DOCKER-USER", "-j", "ACCEPT")
	one, two := w.run(t, lab.RunSpec{Network: web}), w.run(t, lab.RunSpec{Network: web})
	far, wide := w.run(t, lab.RunSpec{Network: other}), w.labelled(t, "*")
	public := w.labelled(t, "_internet_, 0.0.0.0/0:80")
	near := listen(t, two.ns, 9001)
	there := listen(t, far.ns, 9002)
	addr6, err := two.Addr6(t.Context(), web)
	if err != nil {
		t.Fatal(err)
	}
	for _, sysctl := range []string{"0", "1"} {
		t.Run("of one network speak, br_netfilter "+sysctl, func(t *testing.T) {
			w.host(t, "sysctl", "-q", "-w", "net.bridge.bridge-nf-call-iptables="+sysctl, "net.bridge.bridge-nf-call-ip6tables="+sysctl)
			one.reaches(t, near.at(two.addr(t, web).String(), addr6.String())...)
			one.reaches(t, act("ping "+two.addr(t, web).String()), act("ping "+addr6.String()))
		})
	}
	t.Run("of two networks do not", func(t *testing.T) {
		there.hearsNothing(t, func() {
			one.isKeptFrom(t, append(there.at(far.addr(t, other).String()), act("ping "+far.addr(t, other).String()))...)
			public.isKeptFrom(t, there.at(far.addr(t, other).String())...)
		})
		wide.reaches(t, there.at(far.addr(t, other).String())...)
	})
}
