package flows

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// tracked is a namespace with addresses of its own, whose connections conntrack knows. What goes to 192.0.2.1 and
// 2001:db8::1 arrives at 198.51.100.1 and 2001:db8:1::1.
func tracked(t *testing.T) *lab.Namespace {
	t.Helper()
	ns := lab.NamespaceForTest(t)
	for _, addr := range strings.Fields("192.0.2.1/32 192.0.2.2/32 192.0.2.3/32 198.51.100.1/32 2001:db8::1/128 2001:db8::2/128 2001:db8::3/128 2001:db8:1::1/128") {
		if out, err := ns.Command(t.Context(), "ip", "address", "add", addr, "dev", "lo", "nodad").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		reachable(t, ns, netip.MustParsePrefix(addr).Addr())
	}
	lab.Nft(t, ns, `table inet test {
		chain track { type filter hook output priority 0; ct state new accept; }
		chain nat {
			type nat hook output priority -100;
			ip daddr 192.0.2.1 dnat ip to 198.51.100.1
			ip6 daddr 2001:db8::1 dnat ip6 to 2001:db8:1::1
		}
	}`, "-f", "-")
	return ns
}

// reachable waits for the route to an address, which the kernel makes a moment later.
func reachable(t *testing.T, ns *lab.Namespace, addr netip.Addr) {
	t.Helper()
	local := false
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !local; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("no route to %v", addr)
		}
		err := ns.Do(func() error {
			routes, err := netlink.RouteGet(addr.AsSlice())
			local = err == nil && len(routes) == 1 && routes[0].Type == unix.RTN_LOCAL
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// say sends a datagram to an address and port.
func say(t *testing.T, ns *lab.Namespace, to string) {
	t.Helper()
	con, err := ns.Dial(t.Context(), "udp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = con.Close() })
	if _, err := con.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
}

// connect opens a tcp connection to a port where somebody listens at another address, perhaps.
func connect(t *testing.T, ns *lab.Namespace, to, listening string) {
	t.Helper()
	l, err := ns.Listen(listening)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	con, err := ns.Dial(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = con.Close() })
}

// found asks for addresses and returns which have flows.
func found(t *testing.T, ns *lab.Namespace, addrs string) string {
	t.Helper()
	var asked []netip.Addr
	for _, a := range strings.Fields(addrs) {
		asked = append(asked, netip.MustParseAddr(a))
	}
	used, err := To(asked, Options{NetNS: ns.FD()})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for a := range maps.Keys(used) {
		if !used[a] {
			t.Errorf("%v is false", a)
		}
		out = append(out, a.String())
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestAddressesOfFlowsAreFound(t *testing.T) {
	for name, test := range map[string]struct {
		open        func(*testing.T, *lab.Namespace)
		asked, want string
	}{
		"none": {
			func(*testing.T, *lab.Namespace) {},
			"192.0.2.1 192.0.2.2 2001:db8::1 127.0.0.1", "",
		},
		"udp":         {func(t *testing.T, ns *lab.Namespace) { say(t, ns, "192.0.2.2:5000") }, "192.0.2.1 192.0.2.2 192.0.2.3 2001:db8::2", "192.0.2.2"},
		"udp over v6": {func(t *testing.T, ns *lab.Namespace) { say(t, ns, "[2001:db8::2]:5000") }, "192.0.2.2 2001:db8::2 2001:db8::3", "2001:db8::2"},
		"tcp":         {func(t *testing.T, ns *lab.Namespace) { connect(t, ns, "192.0.2.3:443", "192.0.2.3:443") }, "192.0.2.1 192.0.2.2 192.0.2.3", "192.0.2.3"},
		"tcp over v6": {func(t *testing.T, ns *lab.Namespace) { connect(t, ns, "[2001:db8::3]:443", "[2001:db8::3]:443") }, "2001:db8::2 2001:db8::3", "2001:db8::3"},
		"before DNAT": {func(t *testing.T, ns *lab.Namespace) { connect(t, ns, "192.0.2.1:443", "198.51.100.1:443") }, "192.0.2.1 192.0.2.2", "192.0.2.1"},
		"after DNAT":  {func(t *testing.T, ns *lab.Namespace) { say(t, ns, "192.0.2.1:443") }, "192.0.2.2 198.51.100.1", "198.51.100.1"},
		"DNAT of v6":  {func(t *testing.T, ns *lab.Namespace) { say(t, ns, "[2001:db8::1]:443") }, "2001:db8::1 2001:db8:1::1 2001:db8::2", "2001:db8:1::1 2001:db8::1"},
		"several": {func(t *testing.T, ns *lab.Namespace) {
			say(t, ns, "192.0.2.2:1")
			say(t, ns, "192.0.2.3:1")
			say(t, ns, "192.0.2.3:2")
		}, "192.0.2.1 192.0.2.2 192.0.2.3", "192.0.2.2 192.0.2.3"},
		"nothing is asked": {func(t *testing.T, ns *lab.Namespace) { say(t, ns, "192.0.2.2:5000") }, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			ns := tracked(t)
			test.open(t, ns)
			if got := found(t, ns, test.asked); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestWhereAFlowComesFromIsNotFound(t *testing.T) {
	ns := tracked(t)
	say(t, ns, "127.0.0.2:5000") // from 127.0.0.1
	if got := found(t, ns, "127.0.0.1 127.0.0.2"); got != "127.0.0.2" {
		t.Errorf("%q", got)
	}
}

func TestFlowsOfAnyProtocolCanBeListed(t *testing.T) {
	ns := tracked(t)
	for _, proto := range []int{unix.IPPROTO_ICMP, unix.IPPROTO_GRE, unix.IPPROTO_DCCP, unix.IPPROTO_SCTP, 253} {
		if err := ns.Do(func() error { return raw(proto) }); err != nil {
			t.Errorf("protocol %d: %v", proto, err)
		}
	}
	say(t, ns, "192.0.2.3:1")
	if got := found(t, ns, "192.0.2.1 192.0.2.2 192.0.2.3"); got != "192.0.2.2 192.0.2.3" {
		t.Errorf("%q", got)
	}
}

// raw sends a packet of a protocol to 192.0.2.2; what it says makes some sense as any.
func raw(proto int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, proto)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	packet := make([]byte, 64)
	switch proto {
	case unix.IPPROTO_ICMP:
		packet[0] = 8 // echo request
	case unix.IPPROTO_SCTP: // INIT, of 20 bytes
		packet[12], packet[15], packet[19] = 1, 20, 1
		packet = packet[:32]
	}
	return unix.Sendto(fd, packet, 0, &unix.SockaddrInet4{Addr: [4]byte{192, 0, 2, 2}})
}
