package nft

import (
	"context"
	"fmt"
	"hash/crc32"
	"net"
	"net/netip"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
	"golang.org/x/sys/unix"
)

func crc32c(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// router is a host with bridges and a way out, and a namespace that holds the far end of every wire:
//
//	s-blue ── p-blue ┐            s-blue2 ── p-blue2 ┘ both ports of br-blue
//	…                ├ host ── wan ── s-wan
//
// Frames are put on the wires by hand, so any source can be sent from anywhere.
type router struct {
	host, wires *lab.Namespace
	sockets     map[string]int // by wire: "blue", "blue2", …, "wan"
	macs        map[string][6]byte
}

var routerBridges = []struct{ wire, bridge, v4, v6 string }{
	{"blue", "br-blue", "172.18.0.1/16", "fd00:2::1/64"},
	{"dock", "docker0", "172.17.0.1/16", "fd00:1::1/64"},
	{"unkn", "br-unknown", "172.20.0.1/16", "fd00:4::1/64"},
	{"free", "br-free", "172.21.0.1/16", "fd00:5::1/64"},
}

func bridgeOf(wire string) string {
	for _, b := range routerBridges {
		if b.wire == strings.TrimRight(wire, "2") {
			return b.bridge
		}
	}
	return wire
}

func newRouter(t testing.TB) *router {
	t.Helper()
	r := &router{host: namespace(t), wires: namespace(t), sockets: map[string]int{}, macs: map[string][6]byte{}}
	sysctl(t, r.host, "net/ipv4/ip_forward", "1")
	sysctl(t, r.host, "net/ipv4/conf/all/rp_filter", "0")
	sysctl(t, r.host, "net/ipv4/conf/default/rp_filter", "0")
	sysctl(t, r.host, "net/ipv6/conf/default/accept_dad", "0")
	sysctl(t, r.host, "net/ipv6/conf/default/accept_ra", "0")
	sysctl(t, r.wires, "net/ipv6/conf/default/disable_ipv6", "1")
	var b strings.Builder
	wire := func(name, master string) {
		fmt.Fprintf(&b, "link add p-%[1]s type veth peer name s-%[1]s\nlink set s-%[1]s netns %[2]s\n", name, r.wires.Path())
		if master != "" {
			fmt.Fprintf(&b, "link set p-%s master %s\n", name, master)
		}
		fmt.Fprintf(&b, "link set p-%s up\n", name)
	}
	for _, br := range routerBridges {
		fmt.Fprintf(&b, "link add %s type bridge mcast_snooping 0\nlink set %s up\naddr add %s dev %s\naddr add %s dev %s nodad\n", br.bridge, br.bridge, br.v4, br.bridge, br.v6, br.bridge)
		wire(br.wire, br.bridge)
		wire(br.wire+"2", br.bridge)
	}
	wire("wan", "")
	fmt.Fprint(&b, "link set p-wan down\nlink set p-wan name wan\nlink set wan up\naddr add 192.0.2.1/24 dev wan\naddr add 2001:db8:1::1/64 dev wan nodad\n",
		"neigh add 192.0.2.254 lladdr 02:00:00:00:00:fe dev wan\nneigh add 2001:db8:1::fe lladdr 02:00:00:00:00:fe dev wan\n",
		"route add default via 192.0.2.254\nroute add ::/0 via 2001:db8:1::fe dev wan\n")
	ipBatch(t, r.host, b.String())
	sysctl(t, r.host, "net/ipv6/conf/all/forwarding", "1")
	b.Reset()
	for _, br := range routerBridges {
		fmt.Fprintf(&b, "link set s-%[1]s up\nlink set s-%[1]s2 up\n", br.wire)
	}
	ipBatch(t, r.wires, b.String()+"link set s-wan up\n")
	r.open(t)
	return r
}

func ipBatch(t testing.TB, n *lab.Namespace, text string) {
	t.Helper()
	cmd := n.Command(context.Background(), "ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ip -batch: %v\n%s\n%s", err, out, text)
	}
}

func sysctl(t testing.TB, n *lab.Namespace, key, value string) {
	t.Helper()
	if err := n.Do(func() error { return os.WriteFile("/proc/sys/"+key, []byte(value), 0) }); err != nil {
		t.Fatal(err)
	}
}

// open makes a packet socket on every wire and notes the MAC address at its other end.
func (r *router) open(t testing.TB) {
	t.Helper()
	err := r.host.Do(func() error {
		for _, name := range []string{"br-blue", "docker0", "br-unknown", "br-free", "wan"} {
			link, err := net.InterfaceByName(name)
			if err != nil {
				return err
			}
			r.macs[name] = [6]byte(link.HardwareAddr)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = r.wires.Do(func() error {
		for _, wire := range []string{"blue", "blue2", "dock", "dock2", "unkn", "unkn2", "free", "free2", "wan"} {
			link, err := net.InterfaceByName("s-" + wire)
			if err != nil {
				return err
			}
			fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			t.Cleanup(func() { _ = unix.Close(fd) })
			if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: link.Index}); err != nil {
				return err
			}
			r.sockets[wire] = fd
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// pin keeps the test on one CPU: what it sends is then worked off in order.
func pin(t testing.TB) {
	t.Helper()
	runtime.LockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Fatal(err)
	}
	for cpu := range 1024 {
		if before.IsSet(cpu) {
			one.Set(cpu)
			break
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.SchedSetaffinity(0, &before)
		runtime.UnlockOSThread()
	})
}

// send puts a frame on a wire; without a MAC it goes to the host.
func (r *router) send(t testing.TB, wire string, f frame) {
	t.Helper()
	if err := r.put(wire, f); err != nil {
		t.Fatal(err)
	}
}

func (r *router) put(wire string, f frame) error {
	if f.MAC == ([6]byte{}) {
		f.MAC = r.macs[bridgeOf(wire)]
	}
	f.FromMAC = [6]byte{2, 0, 0, 0, 1, wire[0]}
	_, err := unix.Write(r.sockets[wire], f.bytes())
	return err
}

// observers see what arrives at a hook before table dockerwall and what goes on after it.
const observers = `table inet observers {
	set dnat4 { typeof ip id; flags dynamic; size 65535; }
	set dnat6 { typeof ip6 flowlabel; flags dynamic; size 65535; }
	set before_forward4 { typeof ip id . ct state . oifname; flags dynamic; size 65535; }
	set before_forward6 { typeof ip6 flowlabel . ct state . oifname; flags dynamic; size 65535; }
	set before_input4 { typeof ip id . ct state . oifname; flags dynamic; size 65535; }
	set before_input6 { typeof ip6 flowlabel . ct state . oifname; flags dynamic; size 65535; }
	set after_forward4 { typeof ip id; flags dynamic; size 65535; }
	set after_forward6 { typeof ip6 flowlabel; flags dynamic; size 65535; }
	set after_input4 { typeof ip id; flags dynamic; size 65535; }
	set after_input6 { typeof ip6 flowlabel; flags dynamic; size 65535; }
	chain before_forward { type filter hook forward priority filter - 11; policy accept;
		ct status dnat update @dnat4 { ip id }
		ct status dnat update @dnat6 { ip6 flowlabel }
		update @before_forward4 { ip id . ct state . oifname }
		update @before_forward6 { ip6 flowlabel . ct state . oifname }
	}
	chain before_input { type filter hook input priority filter - 11; policy accept;
		ct status dnat update @dnat4 { ip id }
		ct status dnat update @dnat6 { ip6 flowlabel }
		update @before_input4 { ip id . ct state . oifname }
		update @before_input6 { ip6 flowlabel . ct state . oifname }
	}
	chain after_forward { type filter hook forward priority filter + 1; policy accept;
		update @after_forward4 { ip id }
		update @after_forward6 { ip6 flowlabel }
	}
	chain after_input { type filter hook input priority filter + 1; policy accept;
		update @after_input4 { ip id }
		update @after_input6 { ip6 flowlabel }
	}
}
`

// sighting is one packet at one hook.
type sighting struct {
	id   uint16
	hook Hook
}

// seen is what the observers noted of a sighting.
type seen struct {
	state string
	out   string
	dnat  bool
	after bool
}

var (
	setText     = regexp.MustCompile(`(?s)set (\w+)([46]) \{(.*?)\n\t\}`)
	elementText = regexp.MustCompile(`(?:[{,]\s*)(\d+|0x[0-9a-f]+)(?: \. ([a-z0-9x,]+) \. "?([^",} ]*)"?)?`)
)

// look reads the observers' notes.
func (r *router) look(t testing.TB) map[sighting]seen {
	t.Helper()
	out := map[sighting]seen{}
	dnat := map[uint16]bool{}
	text := lab.Nft(t, r.host, "", "list", "table", "inet", "observers")
	after := map[sighting]bool{}
	for _, set := range setText.FindAllStringSubmatch(text, -1) {
		_, list, _ := strings.Cut(set[3], "elements = ")
		for _, e := range elementText.FindAllStringSubmatch(list, -1) {
			n, _ := strconv.ParseUint(e[1], 0, 32)
			when, hook := set[1], Forward
			if strings.HasSuffix(when, "input") {
				hook = Input
			}
			at := sighting{uint16(n), hook}
			switch {
			case when == "dnat":
				dnat[at.id] = true
			case strings.HasPrefix(when, "before"):
				out[at] = seen{state: e[2], out: e[3]}
			default:
				after[at] = true
			}
		}
	}
	for at, s := range out {
		s.dnat, s.after = dnat[at.id], after[at]
		out[at] = s
	}
	return out
}

// settled waits until a last packet has gone through every hook, and looks.
func (r *router) settled(t testing.TB, last uint16) map[sighting]seen {
	t.Helper()
	r.send(t, "wan", frame{ID: last, Src: netip.MustParseAddr("198.51.100.250"), Dst: netip.MustParseAddr("192.0.2.1"), Proto: UDP, Sport: 9, Dport: 9})
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		if all := r.look(t); all[sighting{last, Input}].after {
			return all
		}
	}
	t.Fatal("the last packet did not arrive")
	return nil
}
