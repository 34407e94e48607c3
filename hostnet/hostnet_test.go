package hostnet_test

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/internal/lab"
)

// inNamespace runs f in a namespace of the test's own.
func inNamespace(t testing.TB, f func() error) {
	t.Helper()
	lab.Require(t)
	ns, err := lab.NewNamespace()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := ns.Do(f); err != nil {
		t.Fatal(err)
	}
}

func addLink(l netlink.Link, addrs ...string) error {
	if err := netlink.LinkAdd(l); err != nil {
		return fmt.Errorf("add %s: %w", l.Attrs().Name, err)
	}
	for _, text := range addrs {
		a, err := netlink.ParseAddr(text)
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(l, a); err != nil {
			return fmt.Errorf("add %s: %w", text, err)
		}
	}
	return netlink.LinkSetUp(l)
}

func bridge(name string) *netlink.Bridge {
	return &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}
}

func docker0() *netlink.Bridge {
	b := bridge("docker0")
	b.HardwareAddr = net.HardwareAddr{2, 0x42, 0x17, 0, 0, 1}
	return b
}

func texts(addrs []netip.Addr) (out []string) {
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return out
}

func veth(name string) *netlink.Veth {
	return &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name + "p"}
}

// addVeths adds pairs with both ends up, so that each end has a link-local address.
func addVeths(n int) error {
	for i := range n {
		v := veth(fmt.Sprint("v", i))
		if err := addLink(v); err != nil {
			return err
		}
		peer, err := netlink.LinkByName(v.PeerName)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(peer); err != nil {
			return err
		}
	}
	return nil
}

func bridgeNames(i hostnet.Interfaces) (names []string) {
	for _, b := range i.Bridges {
		names = append(names, b.Name)
	}
	return names
}

func TestReadTellsBridgesAndEveryAddress(t *testing.T) {
	var got hostnet.Interfaces
	var linkLocal []netip.Addr
	inNamespace(t, func() error {
		for _, err := range []error{
			addLink(docker0(), "172.17.0.1/16", "fd00:17::1/64", "fe80::17/64"),
			addLink(bridge("br-lan"), "192.168.1.1/24"), addLink(bridge("virbr0")),
			addLink(veth("eth0"), "198.51.100.1/24", "2001:db8:ffff::1/64", "172.17.0.1/32"),
		} {
			if err != nil {
				return err
			}
		}
		if out, err := exec.Command("ip", "link", "set", "dev", "virbr0", "type", "bridge", "no_linklocal_learn", "1").CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		tunnel := veth("wg0")
		if err := addLink(tunnel); err != nil {
			return err
		}
		_, peer, err := net.ParseCIDR("10.99.0.2/32")
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(tunnel, &netlink.Addr{IPNet: netlink.NewIPNet(net.IPv4(10, 99, 0, 1)), Peer: peer}); err != nil {
			return err
		}
		if got, err = hostnet.Read(); err != nil {
			return err
		}
		for _, a := range got.Addrs {
			if a.IsLinkLocalUnicast() { // the kernel's own, made of MACs
				linkLocal = append(linkLocal, a)
			}
		}
		return nil
	})
	if diff := cmp.Diff([]string{"br-lan", "docker0", "virbr0"}, bridgeNames(got)); diff != "" {
		t.Errorf("bridges (-want +got):\n%s", diff)
	}
	if docker0, mac := got.Bridges[1], [6]byte{2, 0x42, 0x17, 0, 0, 1}; docker0.MAC != mac {
		t.Errorf("the MAC of docker0 is %x, want %x", docker0.MAC, mac)
	}
	if !got.Bridges[2].NoLinkLocalLearn || got.Bridges[0].NoLinkLocalLearn || got.Bridges[1].NoLinkLocalLearn {
		t.Errorf("who learns from link-local groups: %+v", got.Bridges)
	}
	if diff := cmp.Diff([]string{"172.17.0.1", "fd00:17::1", "fe80::17"}, texts(got.Bridges[1].Addrs)); diff != "" {
		t.Errorf("addresses of docker0 (-want +got):\n%s", diff)
	}
	var global []string
	for _, a := range got.Addrs {
		if a.Is4In6() || a.Zone() != "" {
			t.Errorf("%s is no plain address", a)
		}
		if !a.IsLinkLocalUnicast() {
			global = append(global, a.String())
		}
	}
	want := []string{"10.99.0.1", "127.0.0.1", "172.17.0.1", "192.168.1.1", "198.51.100.1", "::1", "2001:db8:ffff::1", "fd00:17::1"}
	if diff := cmp.Diff(want, global); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	if !slices.Contains(linkLocal, netip.MustParseAddr("fe80::17")) {
		t.Errorf("link-local addresses: %v", linkLocal)
	}
	if !slices.IsSortedFunc(got.Addrs, netip.Addr.Compare) {
		t.Errorf("not sorted: %v", got.Addrs)
	}
}

// TestReadWhileInterfacesComeAndGo stands for a host that starts containers: the kernel then interrupts
// dumps (NLM_F_DUMP_INTR).
func TestReadWhileInterfacesComeAndGo(t *testing.T) {
	inNamespace(t, func() error {
		if err := addVeths(300); err != nil { // so that a dump has several parts
			return err
		}
		if err := addLink(bridge("docker0"), "172.17.0.1/16"); err != nil {
			return err
		}
		handle, err := netlink.NewHandle() // its socket stays in this namespace
		if err != nil {
			return err
		}
		defer handle.Close()
		stop, stopped := make(chan struct{}), make(chan error, 1)
		go func() { stopped <- churn(handle, stop) }()
		for range 50 {
			got, readErr := hostnet.Read()
			if readErr != nil {
				err = readErr
				break
			}
			if !slices.Contains(bridgeNames(got), "docker0") || !slices.Contains(got.Addrs, netip.MustParseAddr("172.17.0.1")) {
				err = fmt.Errorf("docker0 or its address is missing: %v", got)
				break
			}
		}
		close(stop)
		if churnErr := <-stopped; err == nil {
			err = churnErr
		}
		return err
	})
}

func churn(h *netlink.Handle, stop chan struct{}) error {
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		l, a := bridge("come"), &netlink.Addr{IPNet: netlink.NewIPNet(net.ParseIP("2001:db8::1"))}
		for _, step := range []func() error{
			func() error { return h.LinkAdd(l) }, func() error { return h.AddrAdd(l, a) },
			func() error { return h.AddrDel(l, a) }, func() error { return h.LinkDel(l) },
		} {
			if err := step(); err != nil {
				return err
			}
		}
	}
}

func BenchmarkRead(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			inNamespace(b, func() error {
				if err := addVeths(n); err != nil {
					return err
				}
				b.ResetTimer()
				for range b.N {
					if _, err := hostnet.Read(); err != nil {
						return err
					}
				}
				b.StopTimer()
				return nil
			})
		})
	}
}
