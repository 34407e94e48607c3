package main

import (
	"net"
	"net/netip"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// linkLocal is the link-local address of a bridge, as a container's interface spells it.
func (w *world) linkLocal(t *testing.T, bridge string) (addr string) {
	t.Helper()
	err := w.Host.Do(func() error {
		link, err := net.InterfaceByName(bridge)
		if err != nil {
			return err
		}
		addrs, err := link.Addrs()
		for _, a := range addrs {
			if ip := a.(*net.IPNet).IP; ip.To4() == nil && ip.IsLinkLocalUnicast() {
				addr = ip.String() + "%eth0"
			}
		}
		return err
	})
	if err != nil || addr == "" {
		t.Fatalf("no link-local address on %s: %v", bridge, err)
	}
	return addr
}

func TestServicesOfTheHostAreClosedUnlessTheyAreNamed(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.wider(t, publicNet)
	w.names()
	w.start(t)
	ours, theirs := listen(t, w.Host, 7001), listen(t, w.Host, 7002)
	w.run(t, lab.RunSpec{Network: other, Args: []string{"--publish=7003:80"}, Cmd: []string{"serve", "80"}})
	bridge := "br-" + w.docker(t, "network", "inspect", "--format={{.Id}}", web)[:12]
	addrs := []string{webGate, otherGate, "172.17.0.1", lab.HostAddr, "2001:db8:c:1::1", "2001:db8:c:2::1", lab.HostAddr6, w.linkLocal(t, bridge)}
	published := []act{act("tcp " + webGate + ":7003"), act("tcp " + lab.HostAddr + ":7003"), act("tcp [" + lab.HostAddr6 + "]:7003")}
	everywhere := append(all(ours.at(addrs...), theirs.at(addrs...)), published...)
	everywhere = append(everywhere, act("ping "+webGate), act("ping "+lab.HostAddr), act("ping "+lab.HostAddr6))
	for name, c := range map[string]struct {
		label        string
		open, closed []act
	}{
		"nothing in the label":                               {"203.0.113.1", nil, everywhere},
		"_host_ opens all of it":                             {"_host_", everywhere, []act{"tcp 203.0.113.2:80"}},
		"_host_:PORT opens that port":                        {"_host_:7001", ours.at(addrs...), append(theirs.at(addrs...), published...)},
		"_host_:PORT/tcp opens that port in tcp":             {"_host_:7001/tcp", []act{act("tcp " + webGate + ":7001")}, []act{act("udp " + webGate + ":7001"), act("ping " + webGate)}},
		"_host_:PORT of a published port opens it":           {"_host_:7003", published, ours.at(addrs...)},
		"prefixes and ranges that hold the host":             {"0.0.0.0/0, ::/0, 172.16.0.0/12, 198.51.100.0-198.51.100.9, fe80::/10", []act{"tcp 203.0.113.3:80"}, everywhere},
		"_internet_":                                         {"_internet_", []act{"tcp 9.9.9.9:80"}, everywhere},
		"a name that means the host":                         {"host.example.com", nil, everywhere},
		"a single address opens the host there":              {webGate, append(ours.at(webGate), published[0]), append(ours.at(otherGate, lab.HostAddr, "2001:db8:c:1::1"), published[1:]...)},
		"a single address with a port opens that port there": {lab.HostAddr + ":7002", theirs.at(lab.HostAddr), append(ours.at(lab.HostAddr), theirs.at(webGate)...)},
		"a denial of the host's address beats _host_":        {"_host_, !" + lab.HostAddr + ":7001", append(ours.at(webGate), theirs.at(lab.HostAddr)...), ours.at(lab.HostAddr)},
		"!_host_ beats *":                                    {"*, !_host_:7001", append(theirs.at(addrs...), "tcp 203.0.113.3:80"), ours.at(addrs...)},
	} {
		t.Run(name, func(t *testing.T) {
			b := w.labelled(t, c.label)
			b.reaches(t, c.open...)
			heard := settled(ours, theirs)
			b.isKeptFrom(t, c.closed...)
			if n := settled(ours, theirs) - heard; n > 0 {
				t.Errorf("the host heard %d", n)
			}
		})
	}
}

func TestTheResolversOfAContainerAreOpenAndNoOthers(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.names()
	w.start(t)
	const query = "udp " + lab.DNSAddr + ":53"                                               // the server answers what it cannot read, too
	open, shut := w.run(t, lab.RunSpec{Network: web}), w.labelled(t, "203.0.113.10, !_dns_") // no names: what the server is asked, it is asked by containers
	own := w.run(t, lab.RunSpec{Network: web, Args: []string{"--dns=203.0.113.153"}})
	if _, err := w.NewDNS(netip.MustParseAddr("203.0.113.153")); err != nil {
		t.Fatal(err)
	}
	t.Run("the host's resolver answers names and direct questions", func(t *testing.T) {
		open.resolves(t, "www.example.com", true)
		open.reaches(t, "tcp "+lab.DNSAddr+":53")
	})
	t.Run("another server on port 53 does not", func(t *testing.T) {
		open.isKeptFrom(t, "tcp 203.0.113.53:53", "udp 203.0.113.53:53", "tcp [2001:db8:1::53]:53", "udp [2001:db8:1::53]:53", "tcp "+lab.DNSAddr+":80",
			"tcp 203.0.113.53:853", "udp 203.0.113.53:853")
	})
	t.Run("!_dns_ closes it", func(t *testing.T) {
		shut.isKeptFrom(t, "tcp "+lab.DNSAddr+":53", query)
		shut.resolves(t, "db.example.com", false)
		shut.reaches(t, "tcp 203.0.113.10:80")
	})
	t.Run("a container's own --dns is its resolver, and only its", func(t *testing.T) {
		own.reaches(t, "tcp 203.0.113.153:53")
		own.isKeptFrom(t, "tcp "+lab.DNSAddr+":53", query)
		open.isKeptFrom(t, "tcp 203.0.113.153:53", "udp 203.0.113.153:53")
	})
}

// resolves asks as programs in the container do. A name that is not to resolve must be in no label: the
// daemon asks for those itself, whenever it likes.
func (b *box) resolves(t *testing.T, name string, want bool) {
	t.Helper()
	asked := b.w.asked(name)
	r, err := b.Probe(t.Context(), "lookup", name, "-timeout", "1s")
	if err != nil || (len(r.Addrs) > 0) != want {
		t.Errorf("lookup %s: %+v, %v", name, r, err)
	}
	if n := b.w.asked(name) - asked; !want && n > 0 {
		t.Errorf("the server got %d questions", n)
	}
}

// asked is how often the DNS server was asked for a name.
func (w *world) asked(name string) int {
	n := 0
	for _, q := range w.DNS.Queries() {
		if q.Name == name {
			n++
		}
	}
	return n
}
