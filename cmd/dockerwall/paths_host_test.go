package main

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"testing"
)

// hostAt tries a service of the host at an address of either family.
func hostAt(addr4, addr6 string) func(*course, *testing.T, family) {
	return func(c *course, t *testing.T, f family) {
		e := listen(t, c.Host, c.port())
		addr := map[family]string{v4: addr4, v6: addr6}[f]
		c.fenced(t, trial{label: "_host_", acts: append(e.at(addr), act("ping "+addr)), ears: []*ear{e}})
	}
}

// hostLinkLocal is asked from a link-local address, which is the container's because its port is bound.
func hostLinkLocal(c *course, t *testing.T, _ family) {
	e := listen(t, c.Host, c.port())
	c.on(web, closed) // a bridge without a port that is up may have no such address yet
	c.fenced(t, trial{label: "_host_", acts: e.at(c.linkLocal(t, c.bridgeOf(t, web))), ears: []*ear{e}})
}

func (c *course) bridgeOf(t *testing.T, network string) string {
	t.Helper()
	return "br-" + c.docker(t, "network", "inspect", "--format={{.Id}}", network)[:12]
}

// eavesdrop listens on the host for a group's packets, on every bridge. It answers.
func (c *course) eavesdrop(t *testing.T, group string, port int) *ear {
	t.Helper()
	e := &ear{port: strconv.Itoa(port)}
	to := netip.MustParseAddr(group)
	for _, network := range []string{web, free} {
		bridge := c.bridgeOf(t, network)
		var conn *net.UDPConn
		err := c.Host.Do(func() error {
			nic, err := net.InterfaceByName(bridge)
			if err != nil {
				return err
			}
			kind := "udp4"
			if to.Is6() {
				kind = "udp6"
			}
			conn, err = net.ListenMulticastUDP(kind, nic, &net.UDPAddr{IP: to.AsSlice(), Port: port})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		go e.answer(conn)
	}
	return e
}

func hostMulticast(c *course, t *testing.T, f family) {
	groups := map[family][]string{v4: {"224.0.0.251", "239.255.255.250"}, v6: {"ff02::fb", "ff02::1"}}[f]
	for _, group := range groups {
		e := c.eavesdrop(t, group, c.port())
		to := group + ":" + e.port
		if f == v6 { // sent from a link-local address
			to = "[" + group + "%eth0]:" + e.port
		}
		c.fenced(t, trial{label: "*", acts: []act{act("udp " + to)}, ears: []*ear{e}})
	}
}

func hostBroadcast(c *course, t *testing.T, _ family) {
	e := listen(t, c.Host, c.port())
	for _, to := range []string{"255.255.255.255", "172.30.1.255"} {
		c.fenced(t, trial{label: "*", acts: []act{act("udp " + to + ":" + e.port)}, ears: []*ear{e}})
	}
}

// hostDHCP asks as a client does that has no address yet, or a link-local one. From no address not even `*` opens it; a
// network without a fence shows that the host would hear it.
func hostDHCP(c *course, t *testing.T, f family) {
	e, to, source := (*ear)(nil), "255.255.255.255:67", "unspecified"
	if f == v4 {
		e = listen(t, c.Host, 67)
	} else {
		e, to, source = c.eavesdrop(t, "ff02::1:2", 547), "[ff02::1:2]:547", "link-local"
	}
	frame := func(network string) []string {
		return []string{fmt.Sprintf("%s -gateway %s -links broadcast-frame -sources %s -ways plain -payloads udp", to, gates(network), source)}
	}
	try := trial{ears: []*ear{e}}
	labels := map[family][]string{v4: {closed, "_host_", "*"}, v6: {closed}}[f]
	for _, label := range labels {
		c.sends(t, c.on(web, label), frame(web))
		if n := c.settles(try); n != 0 {
			t.Errorf("label %s: the host heard %d", label, n)
		}
	}
	c.sends(t, c.on(free, closed), frame(free))
	if c.settles(try) == 0 {
		t.Error("the host hears nothing from a network without a fence, so this tests nothing")
	}
}

func internalHost(c *course, t *testing.T, f family) {
	e := listen(t, c.Host, c.port())
	addrs := map[family][]string{v4: {"172.30.4.1"}, v6: {"2001:db8:c:4::1"}}[f]
	c.fenced(t, trial{network: internal, label: "_host_", acts: e.at(addrs...), ears: []*ear{e}})
	lan := map[family]string{v4: "198.51.100.1", v6: "2001:db8:ffff::1"}[f] // no route leads there, a frame does
	c.fenced(t, trial{network: internal, label: "_host_", ears: []*ear{e}, frames: []string{
		fmt.Sprintf("%s -gateway %s -links plain -sources own -ways plain -payloads udp", net.JoinHostPort(lan, e.port), gates(internal))}})
}
