package main

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

// addrOf is a container's address of a family.
func (c *course) addrOf(t *testing.T, b *box, network string, f family) netip.Addr {
	t.Helper()
	if f == v4 {
		return b.addr(t, network)
	}
	a, err := b.Addr6(t.Context(), network)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func hostAddrs(f family) []string {
	return map[family][]string{v4: {webGate, otherGate, lab.HostAddr}, v6: {"2001:db8:c:1::1", "2001:db8:c:2::1", lab.HostAddr6}}[f]
}

// publisher is a container on a network that publishes a port, and who listens there.
func (c *course) publisher(t *testing.T, network string) *ear {
	t.Helper()
	port := c.port()
	b := c.run(t, lab.RunSpec{Network: network, Args: []string{fmt.Sprintf("--publish=%d:%d", port, port)}, Labels: map[string]string{"dockerwall.outbound": closed}})
	t.Cleanup(func() { _ = b.Remove(context.WithoutCancel(t.Context())) })
	return listen(t, b.ns, port)
}

func published(network string) func(*course, *testing.T, family) {
	return func(c *course, t *testing.T, f family) {
		e := c.publisher(t, network)
		var acts []act
		for _, a := range hostAddrs(f) {
			acts = append(acts, e.at(a)[0])
		}
		c.fenced(t, trial{label: "_host_:" + e.port, acts: acts, ears: []*ear{e}})
	}
}

func publishedBesideDNAT(c *course, t *testing.T, f family) {
	e := c.publisher(t, web)
	for _, a := range hostAddrs(f) {
		c.on(web, closed).reaches(t, e.at(a)[0])
	}
	if settled(e) == 0 {
		t.Error("nothing came to the container")
	}
}

func otherNetwork(c *course, t *testing.T, f family) {
	b := c.on(other, closed)
	c.on(web, closed)
	c.on(web, "*")
	c.permit(t) // again: Docker adds to the raw table whenever a container starts
	to := c.addrOf(t, b, other, f).String()
	e := listen(t, b.ns, c.port())
	c.fenced(t, trial{label: "*", acts: append(e.at(to), act("ping "+to)), ears: []*ear{e}})
}

func sameNetwork(c *course, t *testing.T, f family) {
	b := c.run(t, lab.RunSpec{Network: web})
	to := c.addrOf(t, b, web, f).String()
	e := listen(t, b.ns, c.port())
	for _, value := range []string{"0", "1"} {
		c.host(t, "sysctl", "-q", "-w", "net.bridge.bridge-nf-call-iptables="+value, "net.bridge.bridge-nf-call-ip6tables="+value)
		c.on(web, closed).reaches(t, append(e.at(to), act("ping "+to))...)
	}
}

func inbound(c *course, t *testing.T, f family) {
	e := c.publisher(t, web)
	to := map[family]string{v4: lab.HostAddr + ":", v6: "[" + lab.HostAddr6 + "]:"}[f] + e.port
	conn, err := c.Internet.Dial(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	said := make([]byte, 5)
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(said); err != nil || string(said) != "hello" {
		t.Errorf("%q, %v", said, err)
	}
}

// connectAtRunTime begins on a network without a way out, so that each packet leaves by the new one.
func connectAtRunTime(c *course, t *testing.T, f family) {
	try := func(network string) (sent int, arrived uint64) {
		to := c.far(f)
		b := c.run(t, lab.RunSpec{Network: internal, Labels: map[string]string{"dockerwall.outbound": closed}})
		defer func() { _ = b.Remove(t.Context()) }()
		for _, flag := range []string{"-4", "-6"} { // 20.10 gives it one
			_ = b.ns.Command(t.Context(), "ip", flag, "route", "del", "default").Run()
		}
		done := b.ns.Command(t.Context(), c.probe, "udp", at(to, 9), "-count", "3000", "-rate", "2000")
		result := make(chan lab.Result, 1)
		go func() {
			out, _ := done.Output()
			all, _ := lab.Results(string(out))
			result <- append(all, lab.Result{})[0]
		}()
		c.docker(t, "network", "connect", network, b.ID)
		return (<-result).Sent, c.settles(trial{far: []netip.Addr{to}})
	}
	if sent, arrived := try(other); sent == 0 || sent == 3000 || arrived != 0 {
		t.Errorf("%d of 3000 sent, %d came through", sent, arrived)
	}
	if sent, arrived := try(free); sent == 0 || arrived == 0 {
		t.Errorf("on a network without a fence %d sent, %d arrived: this tests nothing", sent, arrived)
	}
}

func sharedNamespace(c *course, t *testing.T, f family) {
	x, to, denied := c.on(web, closed), "203.0.113.1:80", at(c.far(f), 80)
	if f == v6 {
		to = "[2001:db8:1::1]:80"
	}
	b := c.run(t, lab.RunSpec{Args: []string{"--network=container:" + x.ID}, Labels: map[string]string{"dockerwall.outbound": "*"}})
	for address, want := range map[string]result.Outcome{to: result.OK, denied: result.Timeout} {
		eventually(t, func() error {
			r, err := b.Probe(t.Context(), "tcp", address, "-timeout", moment.String())
			if err == nil && r.Outcome != want {
				err = fmt.Errorf("%s: %+v", address, r)
			}
			return err
		})
	}
	c.on(web, "*").reaches(t, act("tcp "+denied))
}

// unseenNetwork is made while nobody is there who would learn of it.
func unseenNetwork(c *course, t *testing.T, f family) {
	c.wall.kill9()
	c.last++
	name, n := "unseen"+strconv.Itoa(c.last), strconv.Itoa(20+c.last%200)
	c.network(t, name, "172.30."+n+".0/24", "2001:db8:c:"+n+"::/64")
	to := c.far(f)
	b := c.run(t, lab.RunSpec{Network: name, Labels: map[string]string{"dockerwall.outbound": to.String() + ", _host_"}})
	e := listen(t, c.Host, c.port())
	acts := append(e.at(hostAddrs(f)[0]), spell("tcp %s:80", to), spell("ping %s", to))
	b.isKeptFrom(t, acts...)
	if n := settled(e); n != 0 {
		t.Errorf("the host heard %d", n)
	}
	c.wall = c.start(c.t, "GATEWAY_NETWORKS=!"+free)
	b.reaches(t, acts...)
}

// siblingsAddress forges one who may do everything.
func siblingsAddress(c *course, t *testing.T, f family) {
	sibling, to := c.on(web, "*"), c.far(f)
	mac, err := sibling.Inspect(t.Context(), "{{range .NetworkSettings.Networks}}{{.MacAddress}}{{end}}")
	if err != nil {
		t.Fatal(err)
	}
	frame := fmt.Sprintf("%s -gateway %s -links plain -ways plain -payloads udp -sibling %s,%s,%s", at(to, 9), gates(web),
		c.addrOf(t, sibling, web, v4), c.addrOf(t, sibling, web, v6), mac)
	c.sends(t, c.on(web, closed), []string{frame + " -sources sibling-address,sibling"})
	if n := c.settles(trial{far: []netip.Addr{to}}); n != 0 {
		t.Errorf("%d came through", n)
	}
	c.sends(t, sibling, []string{frame + " -sources own"})
	if c.settles(trial{far: []netip.Addr{to}}) == 0 {
		t.Error("the sibling's own do not arrive, so this tests nothing")
	}
}

// isUnfenced fails unless the container reaches everything, and the daemon counts it as unfenced.
func (c *course) isUnfenced(t *testing.T, b *box, acts ...act) {
	t.Helper()
	b.reaches(t, acts...)
	eventually(t, func() error {
		if n := c.scrape(t).sum("dockerwall_containers", "state=unfenced"); n == 0 {
			return fmt.Errorf("no container counts as unfenced")
		}
		return nil
	})
}

func hostMode(c *course, t *testing.T, f family) {
	b := c.run(t, lab.RunSpec{Network: "host", Labels: map[string]string{"dockerwall.outbound": closed}})
	defer func() { _ = b.Remove(t.Context()) }()
	c.isUnfenced(t, b, spell("tcp %s:80", c.far(f)))
}

func macvlan(c *course, t *testing.T, f family) {
	c.docker(t, "network", "create", "--driver=macvlan", "--opt=parent=eth0", "--subnet=198.51.100.0/24", "--ip-range=198.51.100.192/28", "--gateway=198.51.100.254",
		"--ipv6", "--subnet=2001:db8:ffff::/64", "--ip-range=2001:db8:ffff::c0/122", "--gateway=2001:db8:ffff::fe", "macvlan")
	defer c.docker(t, "network", "rm", "macvlan")
	b := c.run(t, lab.RunSpec{Network: "macvlan", Labels: map[string]string{"dockerwall.outbound": closed}})
	defer func() { _ = b.Remove(t.Context()) }()
	c.isUnfenced(t, b, spell("tcp %s:80", c.far(f)))
}

// privileged has what of --privileged it takes to enter the network of the host; the lab may lack other capabilities.
func privileged(c *course, t *testing.T, f family) {
	if err := c.engine.Import(t.Context(), "enter", map[string]string{"/nsenter": "/usr/bin/nsenter", lab.ProbePath: c.probe}); err != nil {
		t.Fatal(err)
	}
	b := c.run(t, lab.RunSpec{Image: "enter", Network: web, Args: []string{"--pid=host", "--cap-add=SYS_ADMIN", "--cap-add=SYS_PTRACE"}, Labels: map[string]string{"dockerwall.outbound": closed}, Cmd: []string{lab.ProbePath, "sleep"}})
	to := spell("tcp %s:80", c.far(f))
	b.isKeptFrom(t, to)
	out, err := b.Exec(t.Context(), "/nsenter", "--net=/proc/1/ns/net", lab.ProbePath, "tcp", string(to[4:]))
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
