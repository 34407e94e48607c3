package nft

import (
	"encoding/hex"
	"slices"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Names of table bridge dockerwall. None is a name of the inet table too.
const (
	portsTableName = "bridge " + TableName

	chainPorts   = "ports"
	chainKept    = "kept"
	chainClaimed = "claimed"
	chainSpoof   = "spoof"

	setOwn     = "own"     // port . its MAC
	setMACs    = "macs"    // of ports, and the host's own on bridges
	setKnown   = "known"   // ports
	setAwake   = "awake"   // EtherTypes, while the daemon lives
	setStacked = "stacked" // EtherTypes of VLAN tags
	setRouters = "routers" // ICMPv6 types that only routers send
	mapAdverts = "adverts" // port -> the chain of the addresses it may speak for
)

func boundSet(f family) string { return "bound" + f.String() } // port . MAC . address
func takenSet(f family) string { return "taken" + f.String() } // addresses of ports, and the host's own on bridges

// Priorities of family bridge. Ours is before DNAT (-300), and before br_netfilter (0) hands the packet to the chains of
// inet. The bridge learns a frame's source only after this hook (br_input.c, br_handle_frame_finish). Frames to groups
// that it keeps to itself do not come by it, and are learned from after the hook input (br_handle_local_finish).
const (
	portPriority int32 = -300 - 10
	keptPriority int32 = -200 - 10
)

func portsTable() *nftables.Table {
	return &nftables.Table{Name: TableName, Family: nftables.TableFamilyBridge}
}

// portChain is the name of the chain of the addresses that a port may speak for, p_0242ac110002.
func portChain(m MAC) string { return "p_" + hex.EncodeToString(m[:]) }

// portOwner tells which fragment of the bridge table an object belongs to.
func portOwner(name string) string {
	if digits, ok := strings.CutPrefix(name, "p_"); ok && isID(digits) {
		return name
	}
	return ""
}

// portFragments compile table bridge dockerwall; the last one is taken over as it is when nothing of it changed.
func (r Ruleset) portFragments(last compiled, same comparison) []*Fragment {
	if !r.BindPorts {
		return nil
	}
	before, ports, change := last.ruleset, last.table.Ports, same.ports
	if ports != nil && change.none() && same.hosts && r.DryRun == before.DryRun && r.LogGroup == before.LogGroup {
		return ports
	}
	base := &Fragment{Counters: []string{dropCounter(Spoof)}, Chains: []Chain{
		{Name: chainPorts, Hook: Prerouting, Priority: portPriority, Rules: portRules()},
		{Name: chainKept, Hook: Input, Priority: keptPriority, Rules: []Rule{
			rule(notToHost(), fromVeth(), in(setMACs, etherSaddr()), notIn(setOwn, iifname(), etherSaddr()), goTo(chainClaimed)),
		}},
		{Name: chainClaimed, Rules: claimedRules()},
		{Name: chainSpoof, Rules: r.spoofRules()},
	}}
	if ports == nil || !same.hosts { // the host's own are in the sets too
		change, ports = portChange{added: r.Ports}, nil
	}
	base.Sets = r.portSets(ports, change)
	return append([]*Fragment{base}, change.fragments(ports)...)
}

// sameHost says whether the host's own MAC and addresses on two bridges are the same.
func sameHost(a, b Bridge) bool { return a.MAC == b.MAC && slices.Equal(a.Addrs, b.Addrs) }

func (p Port) equal(q Port) bool {
	return p.Name == q.Name && p.MAC == q.MAC && slices.Equal(p.Addrs, q.Addrs) && slices.Equal(p.Also, q.Also)
}

// portChange is which ports came and went; one that changed did both.
type portChange struct{ gone, added []Port }

func (c portChange) none() bool { return len(c.gone)+len(c.added) == 0 }

func (r Ruleset) changedPorts(before Ruleset) portChange {
	var c portChange
	if sameSlice(before.Ports, r.Ports) {
		return c
	}
	byName := func(a, b Port) int { return strings.Compare(a.Name, b.Name) }
	mergeFunc(before.Ports, r.Ports, byName, func(old, wanted *Port) {
		if old != nil && wanted != nil && old.equal(*wanted) {
			return
		}
		if old != nil {
			c.gone = append(c.gone, *old)
		}
		if wanted != nil {
			c.added = append(c.added, *wanted)
		}
	})
	return c
}

// fragments are those of the ports, made from the last ones.
func (c portChange) fragments(last []*Fragment) []*Fragment {
	gone := make(map[string]bool, len(c.gone))
	for _, p := range c.gone {
		gone[portChain(p.MAC)] = true
	}
	var out []*Fragment
	for _, f := range last {
		if f.Owner != "" && !gone[f.Owner] {
			out = append(out, f)
		}
	}
	for _, p := range c.added {
		out = append(out, p.fragment())
	}
	slices.SortFunc(out, func(a, b *Fragment) int { return strings.Compare(a.Owner, b.Owner) })
	return out
}

// fragment is the chain that neighbour discovery about an address goes through: back for the port's own.
func (p Port) fragment() *Fragment {
	name := portChain(p.MAC)
	chain := Chain{Name: name}
	for _, a := range p.Addrs {
		if isFamily(a, v6) {
			chain.Rules = append(chain.Rules, rule(ndTarget(a), goBack()))
		}
	}
	chain.Rules = append(chain.Rules, rule(goTo(chainSpoof)))
	return &Fragment{Owner: name, Title: "port " + comment(p.Name), Chains: []Chain{chain}}
}

// portSets are the sets of the bridge table, sorted by name. With last ones only the ports that changed cost.
func (r Ruleset) portSets(last []*Fragment, change portChange) []Set {
	gone, added := newPortMembers(), newPortMembers()
	for _, p := range change.gone {
		gone.add(p)
	}
	for _, p := range change.added {
		added.add(p)
	}
	if last == nil {
		for _, b := range r.Bridges {
			added.addHost(b)
		}
	}
	sets := []Set{
		awakeSet(),
		{Name: setRouters, Types: []keyType{typeICMPv6}, Elements: []Element{{Key: protoBytes(routerAdvert)}, {Key: protoBytes(routerRedirect)}}},
		{Name: setStacked, Types: []keyType{typeFrame}, Elements: []Element{{Key: frameBytes(unix.ETH_P_8021Q)}, {Key: frameBytes(unix.ETH_P_8021AD)}}},
	}
	for i, set := range added.sets {
		var before []Element
		if last != nil {
			before = setNamed(last[0].Sets, set.Name).Elements
		}
		set.Elements = exchange(before, gone.sets[i].Elements, set.Elements)
		sets = append(sets, set)
	}
	slices.SortFunc(sets, func(a, b Set) int { return strings.Compare(a.Name, b.Name) })
	return sets
}

func setNamed(sets []Set, name string) Set {
	i := slices.IndexFunc(sets, func(s Set) bool { return s.Name == name })
	if i < 0 {
		return Set{}
	}
	return sets[i]
}

// diffPorts is the plan for table bridge dockerwall. Its name goes first in a batch that makes it; see [Kernel.name].
func diffPorts(old, wanted []*Fragment) Plan {
	switch {
	case old == nil && wanted == nil:
		return Plan{}
	case wanted == nil:
		return Plan{Commit: []Op{delPorts{}}}
	}
	plan := diffFragments(old, wanted)
	for _, batch := range [][]Op{plan.Commit, plan.Cleanup} {
		for i := range batch {
			batch[i] = onPorts{batch[i]}
		}
	}
	if old == nil {
		plan.Commit = append([]Op{addPorts{}}, plan.Commit...)
	}
	return plan
}

// onPorts is an operation on table bridge dockerwall, whatever table the batch is for.
type onPorts struct{ Op }

func (o onPorts) text(string) string { return o.Op.text(portsTableName) }
func (o onPorts) write(c *nftables.Conn, _ *nftables.Table) error {
	return o.Op.write(c, portsTable())
}

// addPorts and delPorts make and delete table bridge dockerwall itself.
type (
	addPorts struct{}
	delPorts struct{}
)

func (addPorts) text(string) string { return "add table " + portsTableName }
func (delPorts) text(string) string { return "delete table " + portsTableName }
func (addPorts) rank() int          { return -1 }
func (delPorts) rank() int          { return -1 }

// write leaves it to the Kernel, which knows the flags.
func (addPorts) write(*nftables.Conn, *nftables.Table) error { return nil }

func (delPorts) write(c *nftables.Conn, _ *nftables.Table) error {
	c.DelTable(portsTable())
	return nil
}
