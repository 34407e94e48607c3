package nft

import (
	"errors"
	"fmt"
	"slices"
)

// Learn adds addresses to a source's names of one clause, in one batch and without building a
// ruleset: the short path for a DNS answer. owner is a shared source's name or a container's 12-digit
// ID. The caller's next ruleset must hold them too.
func (k *Kernel) Learn(owner string, c Clause, addrs []NamedAddr) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.known || k.removed {
		return errors.New("learn addresses: the table is not in a known state; the next commit will hold them")
	}
	if isID(owner) {
		owner = chainOf(owner)
	}
	var batch []Op
	for _, f := range families() {
		if add := k.learned(setName(owner, false, names, f, c), hashSet(f, addrs)); add != nil {
			batch = append(batch, add)
		}
	}
	if len(batch) == 0 {
		return nil
	}
	if err := k.commit(batch, false); err != nil {
		k.known = false
		return explainErrno(fmt.Errorf("learn addresses: %w", err))
	}
	for _, op := range batch {
		k.last.table = k.last.table.with(op.(addElements))
	}
	if k.last.learned == nil {
		k.last.learned = map[string]bool{}
	}
	k.last.learned[owner] = true
	return nil
}

// learned is the operation that adds to a set what it lacks; nil when there is nothing, or no such set
// yet: then the next ruleset makes it.
func (k *Kernel) learned(name string, more Set) Op {
	set := k.last.table.set(name)
	if set == nil {
		return nil
	}
	var missing []Element
	mergeFunc(set.Elements, more.Elements, compareElements, func(have, want *Element) {
		if have == nil {
			missing = append(missing, *want)
		}
	})
	if len(missing) == 0 {
		return nil
	}
	return addElements{*set, missing}
}

// with returns t with elements added to one of its sets; t itself stays as it is.
func (t Table) with(add addElements) Table {
	out := Table{Fragments: slices.Clone(t.Fragments)}
	owner := ownerOf(add.set.Name)
	for i, f := range out.Fragments {
		if f.Owner != owner {
			continue
		}
		changed := *f
		changed.Sets = slices.Clone(f.Sets)
		for j, s := range changed.Sets {
			if s.Name == add.set.Name {
				s.Elements = append(slices.Clone(s.Elements), add.elements...)
				sortElements(s.Elements)
				changed.Sets[j] = s
			}
		}
		out.Fragments[i] = &changed
	}
	return out
}
