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
	more := missing{table: k.last.table}
	for _, l := range all {
		owner := l.Owner
		if isID(owner) {
			owner = chainOf(owner)
		}
		for _, f := range families() {
			more.add(setName(owner, l.Deny, names, f, l.Clause), hashSet(f, l.Addrs).Elements)
		}
	}
	batch := more.batch
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

// missing collects what sets of a table lack.
type missing struct {
	table Table
	batch []addElements
	sets  map[string]*lacking
}

// lacking is what one set lacks: its place in the batch, and the keys that are there already.
type lacking struct {
	set  *Set // nil if the table has none of that name
	at   int  // -1 while it lacks nothing
	keys map[string]bool
}

func (m *missing) add(name string, elements []Element) {
	l := m.sets[name]
	if l == nil {
		l = &lacking{set: m.table.set(name), at: -1, keys: map[string]bool{}}
		if m.sets == nil {
			m.sets = map[string]*lacking{}
		}
		m.sets[name] = l
	}
	if l.set == nil {
		return
	}
	for _, e := range elements {
		if _, have := slices.BinarySearchFunc(l.set.Elements, e, compareElements); have || l.keys[e.Key] {
			continue
		}
		l.keys[e.Key] = true
		if l.at < 0 {
			l.at = len(m.batch)
			m.batch = append(m.batch, addElements{set: *l.set})
		}
		m.batch[l.at].elements = append(m.batch[l.at].elements, e)
	}
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
