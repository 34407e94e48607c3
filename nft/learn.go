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
	if err := k.commit(ops); err != nil {
		k.known = false
		return explainErrno(fmt.Errorf("learn addresses: %w", err))
	}
	k.last.learn(batch)
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

// learn adds elements to the sets of the table, in place: what costs is what is added, not what is there. A fragment and
// a set's elements are copied the first time, for the compiler and the ruleset before may share them.
func (c *compiled) learn(batch []addElements) {
	if c.learned == nil {
		c.learned, c.grown = map[string]bool{}, map[string]bool{}
	}
	for _, add := range batch {
		f := c.private(ownerOf(add.set.Name))
		j, _ := slices.BinarySearchFunc(f.Sets, add.set.Name, func(s Set, n string) int { return strings.Compare(s.Name, n) })
		set := &f.Sets[j]
		if !c.grown[set.Name] || len(add.elements) > few {
			set.Elements = exchange(set.Elements, nil, add.elements)
			c.grown[set.Name] = true
			continue
		}
		for _, e := range add.elements {
			at, _ := slices.BinarySearchFunc(set.Elements, e, compareElements)
			set.Elements = slices.Insert(set.Elements, at, e)
		}
	}
}

// private is the fragment of an owner, which nobody else has.
func (c *compiled) private(owner string) *Fragment {
	i, _ := searchOwner(c.table.Fragments, owner)
	if !c.learned[owner] {
		own := *c.table.Fragments[i]
		own.Sets = slices.Clone(own.Sets)
		c.table.Fragments[i] = &own
		c.learned[owner] = true
	}
	return c.table.Fragments[i]
}
