package nft

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Learned is addresses that belong into the names of one clause of a source, denied or allowed.
type Learned struct {
	Owner  string // a shared source's name, or a container's 12-digit ID
	Deny   bool
	Clause Clause
	Addrs  []NamedAddr // sorted by Addr, each once
}

// ErrNotKnown is returned by [Kernel.Learn] while it is not known what the kernel holds.
var ErrNotKnown = errors.New("the table is not in a known state; the next commit will hold them")

// Learn adds addresses to sets of names, in one batch and without building a ruleset: the short path for a DNS
// answer. What a set has already is left out, and sets that the table lacks are passed over: a container without
// IPv6 has none of it. When Learn returns nil, the kernel holds all of it, whoever sent it. The caller's next
// ruleset must hold it too.
func (k *Kernel) Learn(all []Learned) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.known || k.removed {
		return fmt.Errorf("learn addresses: %w", ErrNotKnown)
	}
	var batch []addElements
	for _, l := range all {
		owner := l.Owner
		if isID(owner) {
			owner = chainOf(owner)
		}
		for _, f := range families() {
			batch = k.learned(batch, setName(owner, l.Deny, names, f, l.Clause), hashSet(f, l.Addrs))
		}
	}
	if len(batch) == 0 {
		return nil
	}
	ops := make([]Op, len(batch))
	for i, add := range batch {
		ops[i] = add
	}
	if err := k.commit(ops, false); err != nil {
		k.known = false
		return explainErrno(fmt.Errorf("learn addresses: %w", err))
	}
	k.last.table = k.last.table.with(batch)
	if k.last.learned == nil {
		k.last.learned = map[string]bool{}
	}
	for _, add := range batch {
		k.last.learned[ownerOf(add.set.Name)] = true
	}
	return nil
}

// learned adds to a batch what a set lacks of more, counting what the batch adds to it already.
func (k *Kernel) learned(batch []addElements, name string, more Set) []addElements {
	set := k.last.table.set(name)
	if set == nil || len(more.Elements) == 0 {
		return batch
	}
	i := slices.IndexFunc(batch, func(add addElements) bool { return add.set.Name == name })
	var missing []Element
	for _, e := range more.Elements {
		_, have := slices.BinarySearchFunc(set.Elements, e, compareElements)
		if !have && (i < 0 || !slices.ContainsFunc(batch[i].elements, func(a Element) bool { return a.Key == e.Key })) {
			missing = append(missing, e)
		}
	}
	switch {
	case len(missing) == 0:
	case i < 0:
		batch = append(batch, addElements{*set, missing})
	default:
		batch[i].elements = append(batch[i].elements, missing...)
	}
	return batch
}

// with returns t with elements added to its sets; t itself stays as it is.
func (t Table) with(batch []addElements) Table {
	out := Table{Fragments: slices.Clone(t.Fragments)}
	changed := map[string]*Fragment{}
	for _, add := range batch {
		owner := ownerOf(add.set.Name)
		f := changed[owner]
		if f == nil {
			i, _ := slices.BinarySearchFunc(out.Fragments, owner, func(f *Fragment, o string) int { return strings.Compare(f.Owner, o) })
			f = &Fragment{}
			*f = *out.Fragments[i]
			f.Sets = slices.Clone(f.Sets)
			out.Fragments[i], changed[owner] = f, f
		}
		j := slices.IndexFunc(f.Sets, func(s Set) bool { return s.Name == add.set.Name })
		f.Sets[j].Elements = exchange(f.Sets[j].Elements, nil, add.elements)
	}
	return out
}
