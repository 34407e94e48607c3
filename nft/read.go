package nft

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// readAttempts bounds how often a listing is repeated because somebody changed nf_tables meanwhile:
// dumps taken during a commit miss or repeat elements without any sign of it (measured), only the
// generation tells.
const readAttempts = 5

// read lists both tables as the kernel holds them, with what strangers put there, for [Diff] to compare.
func (k *Kernel) read() (Table, error) {
	r := liveReader{conn: k.raw}
	var table Table
	for range readAttempts {
		before, err := r.generation()
		if err != nil {
			return Table{}, fmt.Errorf("read generation: %w", err)
		}
		if table, ok := k.surveyed(before); ok {
			return table, nil
		}
		if table, err = r.table(); err != nil {
			return Table{}, fmt.Errorf("read table back: %w", err)
		}
		if after, err := r.generation(); err == nil && after == before {
			break
		}
	}
	return table, nil
}

// table reads what stands; the fragments of a table that does not are nil.
func (r liveReader) table() (Table, error) {
	fence, err := liveReader{r.conn, unix.NFPROTO_INET, false}.read()
	if err != nil {
		return Table{}, err
	}
	ports, err := liveReader{r.conn, unix.NFPROTO_BRIDGE, false}.read()
	return Table{Fragments: fence.fragments(newLayout()), Ports: ports.fragments(newPortLayout())}, err
}

// fragments puts all objects of a table into the fragments that their names say, strangers' into those too: what is
// there and not wanted goes.
func (o liveObjects) fragments(known layout) []*Fragment {
	if !o.exists {
		return nil
	}
	into, sets := fragments{known.owner, map[string]*Fragment{"": {}}}, o.setsByName()
	for _, c := range o.counters {
		f := into.of(c)
		f.Counters = append(f.Counters, c)
	}
	for _, s := range o.sets {
		if s.flags&unix.NFT_SET_ANONYMOUS == 0 {
			f := into.of(s.name)
			f.Sets = append(f.Sets, s.found())
		}
	}
	for _, c := range o.chains {
		chain := c.chain(sets, known.hasChain(c.name))
		chain.Name = c.name
		if c.has(unix.NFTA_CHAIN_HOOK) && chain.Hook == NoHook {
			chain.Hook = foreignHook
		}
		f := into.of(c.name)
		f.Chains = append(f.Chains, chain)
	}
	return known.sorted(into.all)
}

// foreignHook is a base chain that no layout of ours has.
const foreignHook Hook = 255

// found is s to compare with a set of ours. One that cannot be ours has no types, and so goes or is replaced whole.
func (s *liveSet) found() Set {
	out, ours := s.ours()
	if ours {
		return out
	}
	out = Set{Name: s.name, Verdicts: s.verdicts}
	if s.flags&unix.NFT_SET_INTERVAL != 0 {
		return out
	}
	for _, e := range s.elements {
		if !e.catchall { // which cannot be deleted by key
			out.Elements = append(out.Elements, Element{Key: e.key})
		}
	}
	return out
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
	if source, _, ok := strings.Cut(name, "_"); ok && kindOfSet(name) != "" {
		return source
	}
	return ""
}

// fragment returns that of an owner, nil if there is none.
func (t Table) fragment(owner string) *Fragment {
	if i, ok := searchOwner(t.Fragments, owner); ok {
		return t.Fragments[i]
	}
	return nil
}

// set returns a set of t by name, nil if there is none.
func (t Table) set(name string) *Set {
	f := t.fragment(ownerOf(name))
	if f == nil {
		return nil
	}
	i, ok := slices.BinarySearchFunc(f.Sets, name, func(s Set, n string) int { return strings.Compare(s.Name, n) })
	if !ok {
		return nil
	}
	return &f.Sets[i]
}
