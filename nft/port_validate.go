package nft

import (
	"fmt"
	"net/netip"
	"slices"
)

// validatePorts says why the ports cannot be told apart, or could not be bound.
func (r Ruleset) validatePorts() error {
	macs, taken := make(map[MAC]string, len(r.Ports)), make(map[netip.Addr]string, 2*len(r.Ports))
	hosts := map[netip.Addr]bool{}
	for _, b := range r.Bridges {
		macs[b.MAC] = b.Name
		for _, a := range b.Addrs {
			taken[a], hosts[a] = b.Name, true
		}
	}
	for i, p := range r.Ports {
		if i > 0 && r.Ports[i-1].Name >= p.Name {
			return fmt.Errorf("port %q: not sorted or twice", p.Name)
		}
		if err := p.validate(); err != nil {
			return fmt.Errorf("port %q: %w", p.Name, err)
		}
		if other, ok := macs[p.MAC]; ok {
			return fmt.Errorf("port %q: its MAC %s is also of %q", p.Name, p.MAC, other)
		}
		macs[p.MAC] = p.Name
		for _, a := range p.Addrs {
			if other, ok := taken[a]; ok {
				return fmt.Errorf("port %q: its address %s is also of %q", p.Name, a, other)
			}
			taken[a] = p.Name
		}
		if i := slices.IndexFunc(p.Also, func(a netip.Addr) bool { return hosts[a] || slices.Contains(p.Addrs, a) }); i >= 0 {
			return fmt.Errorf("port %q: address %s elsewhere is the host's, or its own here", p.Name, p.Also[i])
		}
	}
	return nil
}

func (p Port) validate() error {
	if err := validInterface(p.Name); err != nil {
		return err
	}
	if p.MAC == (MAC{}) || p.MAC[0]&1 != 0 {
		return fmt.Errorf("MAC %s is not one interface's", p.MAC)
	}
	if err := validOwn(p.Also); err != nil {
		return err
	}
	return validOwn(p.Addrs)
}

// validOwn refuses what is no interface's own address, above all what a station sends from that has none yet.
func validOwn(addrs []netip.Addr) error {
	for i, a := range addrs {
		if err := validAddr(a); err != nil {
			return err
		}
		if a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
			return fmt.Errorf("address %s is not one interface's", a)
		}
		if i > 0 && addrs[i-1].Compare(a) >= 0 {
			return fmt.Errorf("address %s: not sorted or twice", a)
		}
	}
	return nil
}
