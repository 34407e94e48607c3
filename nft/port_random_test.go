package nft

import (
	"fmt"
	"net/netip"
	"slices"
)

// ports makes random ports; no two have a MAC or an address in common, and none has the host's.
func (g generator) ports() []Port {
	free := parseAddrs("172.17.0.2", "172.17.0.3", "172.18.0.2", "172.18.0.3", "172.18.0.4", "fd00:1::2", "fd00:2::2", "fd00:2::3", "fe80::2", "fe80::3")
	macs := g.Perm(6)
	var out []Port
	for i, name := range some(g, []string{"veth01", "veth02", "veth03", "veth04", "ünï-5%{", "vethbond"}, 6) {
		p := Port{Name: name, MAC: mac(fmt.Sprintf("02:42:ac:12:00:%02x", macs[i]))}
		p.Addrs = some(g, free, 4)
		slices.SortFunc(p.Addrs, netip.Addr.Compare)
		free = slices.DeleteFunc(free, func(a netip.Addr) bool { return slices.Contains(p.Addrs, a) })
		p.Also = some(g, parseAddrs("172.17.0.2", "172.18.0.4", "172.19.0.2", "fd00:2::3"), 2)
		p.Also = slices.DeleteFunc(p.Also, func(a netip.Addr) bool { return slices.Contains(p.Addrs, a) })
		slices.SortFunc(p.Also, netip.Addr.Compare)
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b Port) int { return compareStrings(a.Name, b.Name) })
	return out
}

// portVandalism is what a stranger does to table bridge dockerwall.
func portVandalism() []string {
	return []string{
		"flush chain bridge dockerwall ports",
		"insert rule bridge dockerwall ports accept",
		"insert rule bridge dockerwall spoof accept",
		"flush set bridge dockerwall macs",
		"add element bridge dockerwall macs { 02:00:00:00:00:99 }",
		"add element bridge dockerwall taken4 { 203.0.113.99 }",
		"flush map bridge dockerwall adverts",
		"flush map bridge dockerwall adverts\nadd element bridge dockerwall adverts { \"veth02\" : accept, \"veth99\" : goto spoof }",
		"add chain bridge dockerwall p_00000000dead\nadd rule bridge dockerwall p_00000000dead accept",
		"add chain bridge dockerwall evil { type filter hook input priority 0; policy drop; }",
		"add set bridge dockerwall theirs { typeof vlan id . ether saddr; }",
		"flush table bridge dockerwall\ndelete set bridge dockerwall own\nadd set bridge dockerwall own { type ifname; }",
		"flush table bridge dockerwall\ndelete counter bridge dockerwall drop_spoof",
		"delete table bridge dockerwall",
		"add table bridge dockerwall { flags dormant; }",
	}
}
