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
	tables, err := k.conn.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return Table{}, err
	}
	if !slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == TableName }) {
		return Table{}, nil
	}
	fragments := map[string]*Fragment{}
	for _, read := range []func(map[string]*Fragment) error{k.readCounters, k.readChains, k.readSets} {
		if err := read(fragments); err != nil {
			return Table{}, err
		}
	}
	out := Table{}
	for _, f := range fragments {
		slices.Sort(f.Counters)
		slices.SortFunc(f.Sets, func(a, b Set) int { return strings.Compare(a.Name, b.Name) })
		out.Fragments = append(out.Fragments, f)
	}
	slices.SortFunc(out.Fragments, func(a, b *Fragment) int { return strings.Compare(a.Owner, b.Owner) })
	return out, nil
}

// ownerOf tells from its name which fragment an object belongs to.
func ownerOf(name string) string {
	if id := ContainerOf(name); id != "" {
		return chainOf(id)
	}
	if id, ok := strings.CutPrefix(name, "n_"); ok && isID(id) {
		return name
	}
	return ""
}

func fragmentOf(fragments map[string]*Fragment, name string) *Fragment {
	owner := ownerOf(name)
	if fragments[owner] == nil {
		fragments[owner] = &Fragment{Owner: owner}
	}
	return fragments[owner]
}

func (k *Kernel) readCounters(fragments map[string]*Fragment) error {
	objects, err := k.conn.GetNamedObjects(ours())
	if err != nil {
		return fmt.Errorf("list counters: %w", err)
	}
	for _, o := range objects {
		if named, ok := o.(*nftables.NamedObj); ok && named.Type == nftables.ObjTypeCounter {
			f := fragmentOf(fragments, named.Name)
			f.Counters = append(f.Counters, named.Name)
		}
	}
	return nil
}

func (k *Kernel) readChains(fragments map[string]*Fragment) error {
	chains, err := k.conn.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return fmt.Errorf("list chains: %w", err)
	}
	for _, c := range chains {
		if c.Table.Name == TableName {
			f := fragmentOf(fragments, c.Name)
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
	case c.Type != nftables.ChainTypeFilter || priorityOf(c) != hookPriority,
		c.Policy != nil && *c.Policy != nftables.ChainPolicyAccept:
		return foreignHook
	case *c.Hooknum == *nftables.ChainHookForward:
		return Forward
	case *c.Hooknum == *nftables.ChainHookInput:
		return Input
	case *c.Hooknum == *nftables.ChainHookOutput:
		return Output
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
