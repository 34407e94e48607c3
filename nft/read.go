package nft

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
)

// readAttempts bounds how often a listing is repeated because somebody changed nf_tables meanwhile:
// dumps taken during a commit miss or repeat elements without any sign of it (measured), only the
// generation tells.
const readAttempts = 5

// read lists the table as the kernel holds it. Sets and counters come whole; chains come without
// their rules, which are refilled rather than compared.
func (k *Kernel) read() (Table, error) {
	var table Table
	for range readAttempts {
		before, err := k.conn.GetGen()
		if err != nil {
			return Table{}, fmt.Errorf("read generation: %w", err)
		}
		if table, err = k.readTable(); err != nil {
			return Table{}, fmt.Errorf("read table back: %w", err)
		}
		if after, err := k.conn.GetGen(); err == nil && after.ID == before.ID {
			break
		}
	}
	return table, nil
}

func (k *Kernel) readTable() (Table, error) {
	fence, err := k.readFragments(ours(), fragments{owner: ownerOf})
	if err != nil {
		return Table{}, err
	}
	ports, err := k.readFragments(portsTable(), fragments{owner: portOwner})
	return Table{Fragments: fence, Ports: ports}, err
}

// readFragments returns nil for a table that does not stand.
func (k *Kernel) readFragments(table *nftables.Table, into fragments) ([]*Fragment, error) {
	standing, err := k.standing(table.Family)
	if err != nil || standing == nil {
		return nil, err
	}
	into.all = map[string]*Fragment{"": {}}
	for _, read := range []func(*nftables.Table, fragments) error{k.readCounters, k.readChains, k.readSets} {
		if err := read(table, into); err != nil {
			return nil, err
		}
	}
	var out []*Fragment
	for _, f := range into.all {
		slices.Sort(f.Counters)
		slices.SortFunc(f.Sets, func(a, b Set) int { return strings.Compare(a.Name, b.Name) })
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b *Fragment) int { return strings.Compare(a.Owner, b.Owner) })
	return out, nil
}

// fragments are those of one table; owner tells from its name which one an object belongs to.
type fragments struct {
	owner func(name string) string
	all   map[string]*Fragment
}

func (f fragments) of(name string) *Fragment {
	owner := f.owner(name)
	if f.all[owner] == nil {
		f.all[owner] = &Fragment{Owner: owner}
	}
	return f.all[owner]
}

// ownerOf tells from its name which fragment an object belongs to.
func ownerOf(name string) string {
	if id := ContainerOf(name); id != "" {
		return chainOf(id)
	}
	for _, prefix := range []string{networkPrefix, homePrefix} {
		if id, ok := strings.CutPrefix(name, prefix); ok && isID(id) {
			return name
		}
	}
	return ""
}

func (k *Kernel) readCounters(table *nftables.Table, into fragments) error {
	objects, err := k.conn.GetNamedObjects(table)
	if err != nil {
		return fmt.Errorf("list counters: %w", err)
	}
	for _, o := range objects {
		if named, ok := o.(*nftables.NamedObj); ok && named.Type == nftables.ObjTypeCounter {
			f := into.of(named.Name)
			f.Counters = append(f.Counters, named.Name)
		}
	}
	return nil
}

func (k *Kernel) readChains(table *nftables.Table, into fragments) error {
	chains, err := k.conn.ListChainsOfTableFamily(table.Family)
	if err != nil {
		return fmt.Errorf("list chains: %w", err)
	}
	for _, c := range chains {
		if c.Table.Name == TableName {
			f := into.of(c.Name)
			f.Chains = append(f.Chains, Chain{Name: c.Name, Hook: hookOf(c), Priority: priorityOf(c), Unknown: true})
		}
	}
	return nil
}

func priorityOf(c *nftables.Chain) int32 {
	if c.Priority == nil {
		return 0
	}
	return int32(*c.Priority)
}

// foreignHook is a base chain that no layout of ours has.
const foreignHook Hook = 255

func hookOf(c *nftables.Chain) Hook {
	switch {
	case c.Hooknum == nil:
		return NoHook
	case c.Type != nftables.ChainTypeFilter, c.Policy != nil && *c.Policy != nftables.ChainPolicyAccept:
		return foreignHook
	}
	bridge := c.Table.Family == nftables.TableFamilyBridge
	for _, base := range baseChains() {
		forPorts := base.priority == portPriority || base.priority == keptPriority
		if forPorts == bridge && base.priority == priorityOf(c) && *base.hook.netlink() == *c.Hooknum {
			return base.hook
		}
	}
	return foreignHook
}

// set returns a set of t by name, nil if there is none.
func (t Table) set(name string) *Set {
	owner := ownerOf(name)
	i, ok := slices.BinarySearchFunc(t.Fragments, owner, func(f *Fragment, o string) int { return strings.Compare(f.Owner, o) })
	if !ok {
		return nil
	}
	sets := t.Fragments[i].Sets
	j, ok := slices.BinarySearchFunc(sets, name, func(s Set, n string) int { return strings.Compare(s.Name, n) })
	if !ok {
		return nil
	}
	return &sets[j]
}
