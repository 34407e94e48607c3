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
	// Or entries that are a moment old could not be poisoned.
	sysctl(t, n.host, "net/ipv4/neigh/docker0/locktime", "0")
	sysctl(t, n.victim, "net/ipv4/neigh/eth0/locktime", "0")
	n.wire, n.socket = rawSocket(t, n.evil, "eth0"), udpSocket(t, n.host)
	return n
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
	all := Matches{All: []Clause{{}}}
	return Ruleset{
		LogGroup: 32, BindPorts: true,
		Bridges: []Bridge{{Name: "docker0", Network: "b00000000002", Subnets: prefixes("172.17.0.0/16", "fd00:1::/64"), MAC: gatewayMAC, Addrs: own(gatewayMAC, gateway4, gateway6)}},
		Ports:   []Port{{"v0", victimMAC, own(victimMAC, victim4, victim6)}, {"v1", siblingMAC, own(siblingMAC, sibling4, sibling6)}, {"v2", evilMAC, own(evilMAC, evil4, evil6)}},
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

// attack is a frame of the evil one's, and what shows that it did its work.
type attack struct {
	frame portFrame
	works func(*testing.T, *neighbours) bool
}

func poisons(ns func(*neighbours) *lab.Namespace, a netip.Addr) func(*testing.T, *neighbours) bool {
	return func(t *testing.T, n *neighbours) bool { return n.knows(t, ns(n), a, evilMAC) }
}

func speaksAs(a netip.Addr) func(*testing.T, *neighbours) bool {
	return func(_ *testing.T, n *neighbours) bool { return n.heard() == a.String() }
}

func attacks() map[string]attack {
	victim := func(n *neighbours) *lab.Namespace { return n.victim }
	host := func(n *neighbours) *lab.Namespace { return n.host }
	arp := func(to MAC, op uint16, src, dst netip.Addr, tags ...tag) portFrame {
		return portFrame{To: to, From: evilMAC, ARP: op, ARPMAC: evilMAC, Src: src, Dst: dst, Tags: tags}
	}
	nd := func(to MAC, t uint8, src, dst, target netip.Addr, behind uint8) portFrame {
		return portFrame{To: to, From: evilMAC, Src: src, Dst: dst, Proto: ICMPv6, Type: t, Target: target, Behind: behind}
	}
	udp := func(to, from MAC, src, dst netip.Addr, tags ...tag) portFrame {
		return portFrame{To: to, From: from, Src: src, Dst: dst, Proto: UDP, Dport: hostPort, Tags: tags}
	}
	zero := tag{unix.ETH_P_8021Q, 0}
	out := map[string]attack{
		"an ARP request in the gateway's name":                {arp(everybody, 1, gateway4, victim4), poisons(victim, gateway4)},
		"the same with a VLAN tag that the stack takes off":   {arp(everybody, 1, gateway4, victim4, zero), poisons(victim, gateway4)},
		"the same with two":                                   {arp(everybody, 1, gateway4, victim4, zero, zero), poisons(victim, gateway4)},
		"an ARP reply in a sibling's name to the host":        {arp(gatewayMAC, 2, sibling4, gateway4), poisons(host, sibling4)},
		"an advertisement for the gateway":                    {nd(victimMAC, 136, evil6, victim6, gateway6, 0), poisons(victim, gateway6)},
		"the same behind an extension header":                 {nd(victimMAC, 136, evil6, victim6, gateway6, unix.IPPROTO_HOPOPTS), poisons(victim, gateway6)},
		"an advertisement for a sibling to the host":          {nd(gatewayMAC, 136, evil6, gateway6, sibling6, 0), poisons(host, sibling6)},
		"a solicitation in a sibling's name to the host":      {nd(gatewayMAC, 135, sibling6, gateway6, gateway6, 0), poisons(host, sibling6)},
		"a datagram in a sibling's name, its MAC too":         {udp(gatewayMAC, siblingMAC, sibling4, gateway4), speaksAs(sibling4)},
		"a datagram in a sibling's name":                      {udp(gatewayMAC, evilMAC, sibling4, gateway4), speaksAs(sibling4)},
		"a datagram of IPv6 in a sibling's name":              {udp(gatewayMAC, evilMAC, sibling6, gateway6), speaksAs(sibling6)},
		"a datagram with a VLAN tag that the stack takes off": {udp(gatewayMAC, evilMAC, sibling4, gateway4, zero), speaksAs(sibling4)},
		"a datagram with two":                                 {udp(gatewayMAC, evilMAC, sibling4, gateway4, zero, zero), speaksAs(sibling4)},
		"a datagram to a group that bridges do not forward":   {udp(MAC{1, 0x80, 0xc2, 5: 0x0e}, evilMAC, sibling4, gateway4), speaksAs(sibling4)},
		"a router advertisement": {
			nd(MAC{0x33, 0x33, 0, 0, 0, 1}, 134, evilMAC.LinkLocal(), netip.IPv6LinkLocalAllNodes(), netip.Addr{}, 0),
			func(t *testing.T, n *neighbours) bool {
				return strings.Contains(n.run(t, n.victim, "ip", "-6", "route", "show", "default"), evilMAC.LinkLocal().String())
			},
		},
		"a frame with a sibling's MAC": {
			portFrame{To: everybody, From: siblingMAC, Src: netip.MustParseAddr("0.0.0.0"), Dst: netip.MustParseAddr("255.255.255.255"), Proto: UDP},
			func(t *testing.T, n *neighbours) bool {
				return strings.Contains(n.run(t, n.host, "bridge", "fdb", "show", "br", "docker0"), siblingMAC.String()+" dev v2")
			},
		},
	}
	return out
}

// TestNobodySpeaksForAnother first sees each attack work without the tables: one that does not proves nothing.
func TestNobodySpeaksForAnother(t *testing.T) {
	pin(t)
	n := newNeighbours(t)
	for name, a := range attacks() {
		n.heal(t)
		n.strike(t, a.frame)
		if !a.works(t, n) {
			t.Errorf("without tables: %s does nothing", name)
		}
	}
	apply(t, open(t, n.host), n.fence())
	for name, a := range attacks() {
		n.heal(t)
		n.strike(t, a.frame)
		if a.works(t, n) {
			t.Errorf("%s does its work", name)
		}
	}
}

// TestWhatNeighboursDoGoesOn sends from one stack to another, which resolve each other's addresses for that.
func TestWhatNeighboursDoGoesOn(t *testing.T) {
	n := newNeighbours(t)
	k := open(t, n.host)
	apply(t, k, n.fence())
	sysctl(t, n.evil, "net/ipv6/conf/eth0/accept_dad", "1")
	ipBatch(t, n.evil, "addr add 172.17.0.50/16 dev eth0\nlink set eth0 down\nlink set eth0 up\naddr add fd00:1::4/64 dev eth0\n") // and so its own are solicited
	siblings := udpSocket(t, n.sibling)
	evils := udpSocket(t, n.evil)
	tests := map[string]struct {
		from *lab.Namespace
		to   netip.Addr
		at   int
	}{
		"a sibling":                                {n.victim, sibling4, siblings},
		"a sibling by IPv6":                        {n.victim, sibling6, siblings},
		"the host":                                 {n.victim, gateway4, n.socket},
		"the host by IPv6":                         {n.victim, gateway6, n.socket},
		"from the host":                            {n.host, sibling4, siblings},
		"from the host by IPv6":                    {n.host, sibling6, siblings},
		"one that was down and is up":              {n.victim, evil4, evils},
		"one that was down and is up, by IPv6":     {n.victim, evil6, evils},
		"an address that moves between neighbours": {n.victim, netip.MustParseAddr("172.17.0.50"), evils},
	}
	for name, test := range tests {
		if !reaches(t, test.from, test.to, test.at) {
			t.Errorf("%s is not reached", name)
		}
	}
	if spoofed := counters(t, k).Reasons[Spoof]; spoofed != (Count{}) {
		t.Errorf("%+v taken for spoofed", spoofed)
	}
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
