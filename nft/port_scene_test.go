package nft

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
	"golang.org/x/sys/unix"
)

// neighbours is a host with docker0 and three containers on it, which are namespaces with real stacks: a victim, a
// sibling that the policy allows everything, and one that is allowed nothing and sends what it likes.
type neighbours struct {
	host, victim, sibling, evil *lab.Namespace
	wire                        int // raw, in evil
	socket                      int // of the host, UDP
}

const hostPort = 5555

var (
	everybody  = MAC{255, 255, 255, 255, 255, 255}
	gatewayMAC = mac("02:42:ac:11:00:01")
	victimMAC  = mac("02:42:ac:11:00:02")
	siblingMAC = mac("02:42:ac:11:00:03")
	evilMAC    = mac("02:42:ac:11:00:04")
	gateway4   = netip.MustParseAddr("172.17.0.1")
	victim4    = netip.MustParseAddr("172.17.0.2")
	sibling4   = netip.MustParseAddr("172.17.0.3")
	evil4      = netip.MustParseAddr("172.17.0.4")
	gateway6   = netip.MustParseAddr("fd00:1::1")
	victim6    = netip.MustParseAddr("fd00:1::2")
	sibling6   = netip.MustParseAddr("fd00:1::3")
	evil6      = netip.MustParseAddr("fd00:1::4")
)

func newNeighbours(t testing.TB) *neighbours {
	t.Helper()
	n := &neighbours{host: namespace(t), victim: namespace(t), sibling: namespace(t), evil: namespace(t)}
	all := []*lab.Namespace{n.victim, n.sibling, n.evil}
	for _, ns := range append(slices.Clone(all), n.host) {
		sysctl(t, ns, "net/ipv6/conf/default/accept_dad", "0")
		sysctl(t, ns, "net/ipv4/conf/all/rp_filter", "0")
		sysctl(t, ns, "net/ipv4/conf/default/rp_filter", "0")
	}
	ipBatch(t, n.host, fmt.Sprintf("link add docker0 address %s type bridge\nlink set docker0 up\naddr add %s/16 dev docker0\naddr add %s/64 dev docker0 nodad\n", gatewayMAC, gateway4, gateway6))
	sysctl(t, n.host, "net/ipv6/conf/all/forwarding", "1")
	for i, m := range []MAC{victimMAC, siblingMAC, evilMAC} {
		ipBatch(t, n.host, fmt.Sprintf("link add v%d type veth peer name eth0 address %s netns %s\nlink set v%d master docker0 up\n", i, m, all[i].Path(), i))
		ipBatch(t, all[i], fmt.Sprintf("link set eth0 up\naddr add 172.17.0.%d/16 dev eth0\naddr add fd00:1::%d/64 dev eth0 nodad\n", i+2, i+2))
	}
	n.awaitPorts(t)
	// Or entries that are a moment old could not be poisoned.
	sysctl(t, n.host, "net/ipv4/neigh/docker0/locktime", "0")
	sysctl(t, n.victim, "net/ipv4/neigh/eth0/locktime", "0")
	n.wire, n.socket = rawSocket(t, n.evil, "eth0"), udpSocket(t, n.host)
	return n
}

// awaitPorts waits until all three ports forward: the bridge hears of carriers a moment later.
func (n *neighbours) awaitPorts(t testing.TB) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		if strings.Count(n.run(t, n.host, "bridge", "link", "show"), "state forwarding") == 3 {
			return
		}
	}
	t.Fatal("the ports do not forward")
}

func rawSocket(t testing.TB, n *lab.Namespace, name string) int {
	t.Helper()
	var fd int
	err := n.Do(func() error {
		link, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: link.Index})
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

// udpSocket takes datagrams of both families, and never waits.
func udpSocket(t testing.TB, n *lab.Namespace) int {
	t.Helper()
	var fd int
	err := n.Do(func() (err error) {
		if fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrInet6{Port: hostPort})
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

// fence is the ruleset of the scene.
func (n *neighbours) fence() Ruleset {
	own := func(m MAC, addrs ...netip.Addr) []netip.Addr {
		addrs = append(addrs, m.LinkLocal())
		slices.SortFunc(addrs, netip.Addr.Compare)
		return addrs
	}
	container := func(id string, m Matches, a4, a6 netip.Addr) Container {
		return Container{ID: id, Endpoints: []Endpoint{{"docker0", a4}, {"docker0", a6}}, Own: Source{Allow: m}}
	}
	port := func(name string, m MAC, a4, a6 netip.Addr) Port {
		return Port{Name: name, MAC: m, Addrs: own(m, a4, a6)}
	}
	all := Matches{All: []Clause{{}}}
	return Ruleset{
		LogGroup: 32, BindPorts: true,
		Bridges: []Bridge{{Name: "docker0", Network: "b00000000002", Subnets: prefixes("172.17.0.0/16", "fd00:1::/64"), MAC: gatewayMAC, Addrs: own(gatewayMAC, gateway4, gateway6)}},
		Ports:   []Port{port("v0", victimMAC, victim4, victim6), port("v1", siblingMAC, sibling4, sibling6), port("v2", evilMAC, evil4, evil6)},
		Containers: []Container{
			container("000000000002", all, victim4, victim6), container("000000000003", all, sibling4, sibling6), container("000000000004", Matches{}, evil4, evil6),
		},
	}
}

// heal makes everybody know the truth, and nobody the evil one.
func (n *neighbours) heal(t *testing.T) {
	t.Helper()
	know := func(ns *lab.Namespace, dev string, m MAC, addrs ...netip.Addr) {
		for _, a := range addrs {
			ipBatch(t, ns, fmt.Sprintf("neigh replace %s lladdr %s dev %s nud stale\n", a, m, dev))
		}
	}
	know(n.victim, "eth0", gatewayMAC, gateway4, gateway6)
	know(n.victim, "eth0", evilMAC, evil4)
	know(n.host, "docker0", siblingMAC, sibling4, sibling6)
	know(n.host, "docker0", evilMAC, evil4)
	ipBatch(t, n.victim, fmt.Sprintf("neigh del %s dev eth0\n", evil4))
	n.run(t, n.victim, "ip", "-6", "route", "flush", "proto", "ra")
	ipBatch(t, n.host, fmt.Sprintf("neigh del %s dev docker0\n", evil4))
	n.run(t, n.host, "bridge", "fdb", "replace", siblingMAC.String(), "dev", "v1", "master", "dynamic")
	for n.heard() != "" {
	}
}

func (n *neighbours) run(t testing.TB, ns *lab.Namespace, args ...string) string {
	t.Helper()
	out, err := ns.Command(t.Context(), args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// heard is who sent the next datagram that the host's socket holds, "" if it holds none.
func (n *neighbours) heard() string {
	_, from, err := unix.Recvfrom(n.socket, make([]byte, 64), unix.MSG_DONTWAIT)
	if in6, ok := from.(*unix.SockaddrInet6); ok && err == nil {
		return netip.AddrFrom16(in6.Addr).Unmap().String()
	}
	return ""
}

// strike sends a frame, and one that tells when it was worked off: the evil one asks for both, in its own name.
func (n *neighbours) strike(t *testing.T, f portFrame) {
	t.Helper()
	ask := func(a netip.Addr) portFrame {
		return portFrame{To: everybody, From: evilMAC, ARP: 1, ARPMAC: evilMAC, Src: evil4, Dst: a}
	}
	for _, f := range []portFrame{f, ask(victim4), ask(gateway4)} {
		if _, err := unix.Write(n.wire, f.bytes()); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		if n.knows(t, n.victim, evil4, evilMAC) && n.knows(t, n.host, evil4, evilMAC) {
			return
		}
	}
	t.Fatal("what the evil one asks in its own name does not arrive")
}

func (n *neighbours) knows(t *testing.T, ns *lab.Namespace, a netip.Addr, m MAC) bool {
	return strings.Contains(n.run(t, ns, "ip", "neigh", "show", "to", a.String()), m.String())
}

// reaches sends datagrams until one arrives.
func reaches(t *testing.T, from *lab.Namespace, to netip.Addr, socket int) bool {
	t.Helper()
	var conn net.Conn
	err := from.Do(func() (err error) {
		conn, err = net.Dial("udp", netip.AddrPortFrom(to, hostPort).String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		_, _ = conn.Write([]byte(conn.LocalAddr().String()))
		wait := []unix.PollFd{{Fd: int32(socket), Events: unix.POLLIN}}
		if ready, err := unix.Poll(wait, 50); err == nil && ready > 0 {
			text := make([]byte, 64)
			size, _, err := unix.Recvfrom(socket, text, unix.MSG_DONTWAIT)
			if err == nil && string(text[:size]) == conn.LocalAddr().String() { // not of the test before
				return true
			}
		}
	}
	return false
}
