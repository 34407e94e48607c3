package lab

import (
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	uplink        = "eth0" // the wire's name on both sides
	internetAddr  = "198.51.100.254"
	internetAddr6 = "2001:db8:ffff::fe"
)

// FarNetC answers on the internet's side like FarNet. It is the one range of the lab that is not for documentation, whose
// IPv4 ranges are too small for a test that wants thousands of fresh addresses: it is half of the range for benchmarks
// (RFC 2544), which nobody routes. Where a policy says _internet_, this is not part of it.
const FarNetC = "198.18.0.0/16"

// join lays the wire between host and internet, with addresses and routes of both families.
func join(host, internet *Namespace) error {
	// Before the wire: it takes its defaults from them.
	for _, side := range []*Namespace{host, internet} {
		if err := side.Do(setRouterSysctls); err != nil {
			return fmt.Errorf("set sysctls: %w", err)
		}
	}
	err := host.Do(func() error {
		return netlink.LinkAdd(&netlink.Veth{
			LinkAttrs:     netlink.LinkAttrs{Name: uplink},
			PeerName:      uplink,
			PeerNamespace: netlink.NsFd(internet.FD()),
		})
	})
	if err != nil {
		return fmt.Errorf("lay the wire: %w", err)
	}
	if err := host.Do(hostSide); err != nil {
		return fmt.Errorf("set up the host's side: %w", err)
	}
	if err := internet.Do(internetSide); err != nil {
		return fmt.Errorf("set up the internet's side: %w", err)
	}
	return nil
}

func hostSide() error {
	link, err := wireUp(HostAddr+"/24", HostAddr6+"/64")
	if err != nil {
		return err
	}
	return routes(link, map[string]string{"0.0.0.0/0": internetAddr, "::/0": internetAddr6})
}

func internetSide() error {
	// Sockets may answer from, and bind to, far addresses, which are on no interface.
	if err := set(map[string]string{"ipv4/ip_nonlocal_bind": "1", "ipv6/ip_nonlocal_bind": "1"}); err != nil {
		return err
	}
	link, err := wireUp(internetAddr+"/24", internetAddr6+"/64", DNSAddr+"/24", DNSAddr6+"/64")
	if err != nil {
		return err
	}
	if err := anyIP(FarNet, FarNetB, FarNetC, FarNet6, FarNetB6); err != nil {
		return err
	}
	return routes(link, map[string]string{"0.0.0.0/0": HostAddr, "::/0": HostAddr6, ContainerNet6: HostAddr6})
}

// setRouterSysctls makes a router without reverse path filter (a leak must arrive to be counted) and without duplicate
// address detection (which makes addresses unusable for their first second).
func setRouterSysctls() error {
	return set(map[string]string{
		"ipv4/ip_forward":              "1",
		"ipv4/conf/all/rp_filter":      "0",
		"ipv4/conf/default/rp_filter":  "0",
		"ipv6/conf/all/disable_ipv6":   "0",
		"ipv6/conf/all/forwarding":     "1",
		"ipv6/conf/all/accept_dad":     "0",
		"ipv6/conf/default/accept_dad": "0",
	})
}

func set(sysctls map[string]string) error {
	for key, value := range sysctls {
		if err := os.WriteFile("/proc/sys/net/"+key, []byte(value), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func wireUp(addrs ...string) (netlink.Link, error) {
	link, err := netlink.LinkByName(uplink)
	if err != nil {
		return nil, err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return nil, err
	}
	for _, text := range addrs {
		addr, err := netlink.ParseAddr(text)
		if err != nil {
			return nil, err
		}
		addr.Flags = unix.IFA_F_NODAD
		if err := netlink.AddrAdd(link, addr); err != nil {
			return nil, fmt.Errorf("add %s: %w", text, err)
		}
	}
	return link, nil
}

func routes(link netlink.Link, gateways map[string]string) error {
	for prefix, gateway := range gateways {
		_, dst, err := net.ParseCIDR(prefix)
		if err != nil {
			return err
		}
		route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: dst, Gw: net.ParseIP(gateway)}
		if err := netlink.RouteReplace(route); err != nil {
			return fmt.Errorf("route %s: %w", prefix, err)
		}
	}
	return nil
}

// anyIP makes every address of the prefixes local.
func anyIP(prefixes ...string) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	for _, prefix := range prefixes {
		_, dst, err := net.ParseCIDR(prefix)
		if err != nil {
			return err
		}
		route := &netlink.Route{LinkIndex: lo.Attrs().Index, Dst: dst, Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL}
		if dst.IP.To4() != nil {
			route.Scope = netlink.SCOPE_HOST
		}
		if err := netlink.RouteReplace(route); err != nil {
			return fmt.Errorf("make %s local: %w", prefix, err)
		}
	}
	return nil
}
