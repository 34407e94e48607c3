package nft

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
	"golang.org/x/sys/unix"
)

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
	learned := func(t *testing.T, n *neighbours) bool {
		return strings.Contains(n.run(t, n.host, "bridge", "fdb", "show", "br", "docker0"), siblingMAC.String()+" dev v2")
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
			portFrame{To: everybody, From: siblingMAC, Src: netip.MustParseAddr("0.0.0.0"), Dst: netip.MustParseAddr("255.255.255.255"), Proto: UDP}, learned,
		},
		"the same to a group that the bridge keeps": {portFrame{To: MAC{1, 0x80, 0xc2, 5: 3}, From: siblingMAC, Src: evil4, Dst: gateway4, Proto: UDP}, learned},
	}
	return out
}

// TestNobodySpeaksForAnother first sees each attack work without the tables: one that does not proves nothing.
func TestNobodySpeaksForAnother(t *testing.T) {
	pin(t)
	n := newNeighbours(t)
	for name, a := range attacks() {
		if !n.succeeds(t, a) {
			t.Errorf("without tables: %s does nothing", name)
		}
	}
	apply(t, open(t, n.host), n.fence())
	for name, a := range attacks() {
		if n.succeeds(t, a) {
			t.Errorf("%s does its work", name)
		}
	}
}

// succeeds says whether an attack works. It is tried a few times: the one it wrongs may speak up meanwhile (a neighbour that
// the host probes answers, say), which mends what was done.
func (n *neighbours) succeeds(t *testing.T, a attack) bool {
	t.Helper()
	for range 10 {
		n.heal(t)
		n.strike(t, a.frame)
		if a.works(t, n) {
			return true
		}
	}
	return false
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

// TestNoGroupReachesTheHostOnAPort sends to each group that bridges do not forward (IEEE 802.1Q, table 8-1). Which of them
// go up on the port is for the kernel to say; none may when there is a fence, whether ports are bound or not.
func TestNoGroupReachesTheHostOnAPort(t *testing.T) {
	pin(t)
	n := newNeighbours(t)
	k := open(t, n.host)
	send := func() (heard int) {
		n.heal(t)
		for i := range 16 {
			group := MAC{1, 0x80, 0xc2, 5: byte(i)}
			for _, f := range []portFrame{{Src: evil4, Dst: gateway4}, {Src: evil6, Dst: gateway6}} {
				f.To, f.From, f.Proto, f.Dport = group, evilMAC, UDP, hostPort
				if _, err := unix.Write(n.wire, f.bytes()); err != nil {
					t.Fatal(err)
				}
			}
		}
		n.strike(t, portFrame{To: everybody, From: evilMAC, ARP: 1, ARPMAC: evilMAC, Src: evil4, Dst: victim4}) // and so all are worked off
		for n.heard() != "" {
			heard++
		}
		return heard
	}
	without := send()
	if without < 16 {
		t.Errorf("without a fence only %d of 32 reach the host", without)
	}
	for _, bind := range []bool{false, true} {
		r := n.fence()
		r.BindPorts = bind
		apply(t, k, r)
		start := counters(t, k)
		heard, moved := send(), counters(t, k).packetsSince(start)
		unknown, denied := moved.Reasons[Unknown].Packets, moved.Containers["000000000004"].Denied.Packets
		// What a bridge without spanning tree forwards all the same comes in by the bridge, and is the policy's to deny.
		if heard > 0 || unknown < 16 || unknown+denied != uint64(without) {
			t.Errorf("ports bound: %v; %d of 32 reach the host, %d and %d are counted, want %d", bind, heard, unknown, denied, without)
		}
	}
}
