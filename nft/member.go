package nft

import "slices"

// memberSets lead from bridge and source address to the container (a verdict map), and count what each
// source sends and what of it conntrack finds invalid. What counts carries no verdict: an element that
// changed with its container's mode would lose its count. They are made from the last ones: what
// costs is the containers that changed.
func (r Ruleset) memberSets(last Table, same comparison) []Set {
	var out []Set
	for _, f := range families() {
		gone, added := newMembers(f), newMembers(f)
		for _, c := range same.gone {
			gone.add(c)
		}
		for i := range r.Containers {
			if same.kept[i] == nil {
				added.add(&r.Containers[i])
			}
		}
		for i, set := range added.sets {
			var before []Element
			if old := last.set(set.Name); old != nil {
				before = old.Elements
			}
			set.Elements = exchange(before, gone.sets[i].Elements, set.Elements)
			out = append(out, set)
		}
	}
	return out
}

// members are the elements of containers in the sets of one family.
type members struct {
	family family
	sets   [5]Set // source, sent, invalid, lenient, self
}

func newMembers(f family) *members {
	types := []keyType{typeIfname, addrType(f)}
	return &members{f, [5]Set{
		{Name: sourceMap(f), Types: types, Verdicts: true},
		{Name: sentSet(f), Types: types, Counter: true},
		{Name: invalidSet(f), Types: types, Counter: true},
		{Name: lenientSet(f), Types: types},
		{Name: selfSet(f), Types: append(slices.Clone(types), addrType(f))},
	}}
}

func (m *members) add(c *Container) {
	chain := chainOf(c.ID)
	put := func(i int, e Element) { m.sets[i].Elements = append(m.sets[i].Elements, e) }
	for _, e := range c.Endpoints {
		if !isFamily(e.Addr, m.family) {
			continue
		}
		key := keyOf(ifname(e.Bridge), addrBytes(e.Addr))
		put(0, Element{Key: key, Comment: comment(c.Name), Verdict: Verdict{Jump: chain}})
		put(1, Element{Key: key, Comment: chain})
		put(2, Element{Key: key, Comment: chain})
		put(4, Element{Key: keyOf(ifname(e.Bridge), addrBytes(e.Addr), addrBytes(e.Addr))})
		if c.Mode != Enforce {
			put(3, Element{Key: key})
		}
	}
}

// few is how many elements are quicker found one by one than by walking a set.
const few = 32

// exchange returns sorted elements without those gone and with those added; the slice itself when
// nothing changes.
func exchange(before, gone, added []Element) []Element {
	switch n := len(gone) + len(added); {
	case n == 0:
		return before
	case n <= few:
		return exchangeFew(before, gone, added)
	}
	sortElements(gone)
	sortElements(added)
	kept := make([]Element, 0, len(before))
	mergeFunc(before, gone, compareElements, func(have, leaves *Element) {
		if have != nil && leaves == nil {
			kept = append(kept, *have)
		}
	})
	out := make([]Element, 0, len(kept)+len(added))
	mergeFunc(kept, added, compareElements, func(have, comes *Element) {
		if comes != nil {
			have = comes
		}
		out = append(out, *have)
	})
	return out
}

func exchangeFew(before, gone, added []Element) []Element {
	out := make([]Element, len(before), len(before)+len(added))
	copy(out, before)
	for _, e := range gone {
		if i, ok := slices.BinarySearchFunc(out, e, compareElements); ok {
			out = slices.Delete(out, i, i+1)
		}
	}
	for _, e := range added {
		i, ok := slices.BinarySearchFunc(out, e, compareElements)
		if ok {
			out[i] = e
		} else {
			out = slices.Insert(out, i, e)
		}
	}
	return out
}
