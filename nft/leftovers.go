package nft

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Leftovers are what the old iptables program of the same name left behind. They are reported, never
// touched: its rules may still be what fences a host until the switch is complete.
type Leftovers struct {
	Chains []string // of iptables-nft's table ip filter
	IPSets []string
	Legacy bool // an ipset is in use, but not by iptables-nft: the rules are iptables-legacy's
}

var oldIPSet = regexp.MustCompile(`^(managed-subnets(-TEMP)?|[0-9a-f]{12,18}-dst)$`)

// FindLeftovers looks in the caller's network namespace. A kernel without ipset has none of them.
func FindLeftovers() (Leftovers, error) {
	conn, err := nftables.New()
	if err != nil {
		return Leftovers{}, fmt.Errorf("open netlink socket: %w", err)
	}
	chains, err := conn.ListChainsOfTableFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return Leftovers{}, explainErrno(fmt.Errorf("list chains: %w", err))
	}
	var out Leftovers
	for _, c := range chains {
		if c.Table.Name == "filter" && (c.Name == "DOCKERWALL-ALLOW" || c.Name == "DOCKERWALL-DENY") {
			out.Chains = append(out.Chains, c.Name)
		}
	}
	used, err := out.ipsets()
	out.Legacy = used && len(out.Chains) == 0
	slices.Sort(out.Chains)
	slices.Sort(out.IPSets)
	return out, err
}

// ipsets lists the old program's, and says whether rules use one. Only headers are asked for: a host
// may hold sets of a million elements.
func (l *Leftovers) ipsets() (used bool, err error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return false, fmt.Errorf("open netlink socket: %w", err)
	}
	defer func() { _ = conn.Close() }()
	messages, err := conn.Execute(ipsetHeaders())
	if err != nil {
		return false, nil //nolint:nilerr // no ipset in this kernel: nothing can be left of it
	}
	for _, m := range messages {
		name, references := ipsetHeader(m)
		if oldIPSet.MatchString(name) {
			l.IPSets = append(l.IPSets, name)
			used = used || references > 0
		}
	}
	return used, nil
}

// Of linux/netfilter/ipset/ip_set.h, which golang.org/x/sys/unix does not have.
const (
	ipsetCmdList        = 7
	ipsetAttrProtocol   = 1
	ipsetAttrSetname    = 2
	ipsetAttrFlags      = 6
	ipsetAttrData       = 7
	ipsetAttrReferences = 25
	ipsetListHeader     = 1 << 2
	ipsetProtocol       = 6
)

// ipsetHeaders is IPSET_CMD_LIST without elements.
func ipsetHeaders() netlink.Message {
	attributes, _ := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: ipsetAttrProtocol, Data: []byte{ipsetProtocol}},
		{Type: ipsetAttrFlags | unix.NLA_F_NET_BYTEORDER, Data: []byte{0, 0, 0, ipsetListHeader}},
	})
	return netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_IPSET<<8 | ipsetCmdList),
			Flags: netlink.Request | netlink.Dump,
		},
		Data: append([]byte{unix.NFPROTO_IPV4, unix.NFNETLINK_V0, 0, 0}, attributes...),
	}
}

// ipsetHeader is a set's name and how many rules and sets use it.
func ipsetHeader(m netlink.Message) (name string, references uint32) {
	if len(m.Data) < 4 {
		return "", 0
	}
	each(m.Data[4:], func(a *netlink.AttributeDecoder) {
		switch a.Type() {
		case ipsetAttrSetname:
			name = a.String()
		case ipsetAttrData:
			each(a.Bytes(), func(a *netlink.AttributeDecoder) {
				if a.Type() == ipsetAttrReferences {
					references = a.Uint32()
				}
			})
		}
	})
	return name, references
}

// Empty says whether nothing was left.
func (l Leftovers) Empty() bool { return len(l.Chains)+len(l.IPSets) == 0 }

// Commands remove the leftovers, in an order that works: references first.
func (l Leftovers) Commands() []string {
	if l.Empty() {
		return nil
	}
	iptables := "iptables"
	if l.Legacy {
		iptables = "iptables-legacy"
	}
	var out []string
	if len(l.Chains) > 0 || l.Legacy {
		const managed = " -D DOCKER-USER -m set --match-set managed-subnets src -j "
		for _, target := range []string{"DOCKERWALL-ALLOW", "DOCKERWALL-DENY", "DROP"} {
			out = append(out, iptables+managed+target)
		}
		out = append(out, iptables+` -D INPUT -p udp -m udp --sport 53 -j NFLOG --nflog-prefix "_host_" --nflog-group 32`)
		for _, chain := range []string{"DOCKERWALL-ALLOW", "DOCKERWALL-DENY"} {
			out = append(out, iptables+" -F "+chain, iptables+" -X "+chain)
		}
	}
	for _, set := range l.IPSets {
		out = append(out, "ipset destroy "+set)
	}
	return out
}
