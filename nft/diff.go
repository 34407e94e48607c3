package nft

import (
	"cmp"
	"slices"
	"strings"
)

// Plan is how one table becomes another: batches of operations, each committed whole. Commit holds
// every change a packet can see. Prepare makes interval sets that no rule refers to yet, because
// their elements become visible a little after the batch (measured: nft_rbtree_commit and
// nft_pipapo_commit run after the generation flips). Cleanup removes what an older layout left: base
// chains that fence until the new ones stand.
type Plan struct {
	Prepare, Commit, Cleanup []Op
}

// Empty says whether there is nothing to do.
func (p Plan) Empty() bool { return len(p.Prepare)+len(p.Commit)+len(p.Cleanup) == 0 }

// String prints the plan as nft commands.
func (p Plan) String() string {
	var b strings.Builder
	for _, batch := range [][]Op{p.Prepare, p.Commit, p.Cleanup} {
		for _, op := range batch {
			b.WriteString(op.text("inet " + TableName))
			b.WriteString("\n")
		}
	}
	return b.String()
}

// Diff returns the plan that makes old equal to wanted. Base chains and maps that both have are never
// replaced. Dynamic elements and counter values stay.
func Diff(old, wanted Table) Plan {
	fence, ports := diffFragments(old.Fragments, wanted.Fragments), diffPorts(old.Ports, wanted.Ports)
	return Plan{Prepare: fence.Prepare, Commit: append(fence.Commit, ports.Commit...), Cleanup: append(fence.Cleanup, ports.Cleanup...)}
}

func diffFragments(old, wanted []*Fragment) Plan {
	c := compareFragments(old, wanted, false)
	if c.replaces { // whatever rules refer to it
		c = compareFragments(old, wanted, true)
	}
	return c.plan()
}

// compareFragments has what containers share made before what is theirs: the kernel keeps sets in a list, in the order they
// came in, and goes through it for each rule that names one (nft_set_lookup).
func compareFragments(old, wanted []*Fragment, refill bool) changes {
	c := changes{refills: refill}
	for _, containers := range []bool{false, true} {
		merge(old, wanted, func(f *Fragment) string { return f.Owner }, func(a, b *Fragment) {
			if (a != b || refill) && containers == (ContainerOf(cmp.Or(a, b).Owner) != "") {
				c.fragment(a, b)
			}
		})
	}
	return c
}

// changes are operations by what they do; their ranks are the order the kernel can take them in.
type changes struct {
	prepare []Op
	commit  []Op
	remove  []Op // what nothing we want refers to
	cleanup []Op
	// replaces is set when something makes room for another of its name. What refers to it must go in
	// the same batch: refills has every chain filled anew.
	replaces, refills bool
}

// plan puts removals a batch later where the commit leaves something that may refer to them.
func (c *changes) plan() Plan {
	p := Plan{Prepare: c.prepare, Commit: c.commit}
	switch {
	case c.replaces:
		p.Commit = slices.Concat(c.commit, c.remove, c.cleanup)
	case len(c.cleanup) > 0:
		p.Cleanup = slices.Concat(c.remove, c.cleanup)
	default:
		p.Commit = slices.Concat(c.commit, c.remove)
	}
	for _, batch := range [][]Op{p.Commit, p.Cleanup} {
		slices.SortStableFunc(batch, func(a, b Op) int { return a.rank() - b.rank() })
	}
	return p
}

// fragment compares two fragments of one owner; nil stands for none.
func (c *changes) fragment(old, wanted *Fragment) {
	if old == nil {
		old = &Fragment{}
	}
	later := wanted != nil && wanted.Owner == "" // what the base loses goes a batch later
	if wanted == nil {
		wanted = &Fragment{}
	}
	merge(old.Counters, wanted.Counters, func(s string) string { return s }, func(a, b string) { c.counter(a, b, later) })
	merge(old.Sets, wanted.Sets, func(s Set) string { return s.Name }, func(a, b Set) { c.set(a, b, later) })
	merge(byName(old.Chains), byName(wanted.Chains), func(ch Chain) string { return ch.Name },
		func(a, b Chain) { c.chain(a, b, later) })
}

func byName(chains []Chain) []Chain {
	out := slices.Clone(chains)
	slices.SortFunc(out, func(a, b Chain) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (c *changes) counter(old, wanted string, later bool) {
	switch {
	case old == "":
		c.commit = append(c.commit, addCounter{wanted})
	case wanted == "":
		c.gone(later, delCounter{old})
	}
}

// gone removes something that nothing we want refers to any more.
func (c *changes) gone(later bool, ops ...Op) {
	if later {
		c.cleanup = append(c.cleanup, ops...)
	} else {
		c.remove = append(c.remove, ops...)
	}
}

func (c *changes) set(old, wanted Set, later bool) {
	switch {
	case wanted.Name == "":
		c.gone(later, old.removal()...)
	case old.Name == "" && wanted.Interval:
		c.prepare = append(c.prepare, addSet{wanted})
	case old.Name == "":
		c.newSet(wanted)
	case !old.sameDefinition(wanted):
		c.replaces = true
		c.commit = append(c.commit, old.removal()...)
		c.newSet(wanted)
	case !wanted.Dynamic:
		c.elements(old, wanted)
	}
}

// removal empties a verdict map first: kernels before 6.4 count its jumps until the batch ends, and the
// chains it jumps to could not go in the same one.
func (s Set) removal() []Op {
	if s.Verdicts && len(s.Elements) > 0 {
		return []Op{delElements{s, s.Elements}, delSet{s}}
	}
	return []Op{delSet{s}}
}

// newSet adds a set; the elements of a map follow when the chains they jump to are there.
func (c *changes) newSet(s Set) {
	if s.Verdicts && len(s.Elements) > 0 {
		c.commit = append(c.commit, addElements{s, s.Elements})
		s.Elements = nil
	}
	c.commit = append(c.commit, addSet{s})
}

func (c *changes) elements(old, wanted Set) {
	if sameSlice(old.Elements, wanted.Elements) {
		return
	}
	var gone, added []Element
	before, after := changed(old.Elements, wanted.Elements)
	mergeFunc(before, after, compareElements, func(a, b *Element) {
		if a != nil && (b == nil || *a != *b) {
			gone = append(gone, *a)
		}
		if b != nil && (a == nil || *a != *b) {
			added = append(added, *b)
		}
	})
	if len(gone) > 0 {
		c.commit = append(c.commit, delElements{wanted, gone})
	}
	if len(added) > 0 {
		c.commit = append(c.commit, addElements{wanted, added})
	}
}

// changed leaves out what two lists have in common at both ends: most of a large set, when little of it changed.
func changed(old, wanted []Element) (before, after []Element) {
	for len(old) > 0 && len(wanted) > 0 && old[0] == wanted[0] {
		old, wanted = old[1:], wanted[1:]
	}
	for len(old) > 0 && len(wanted) > 0 && old[len(old)-1] == wanted[len(wanted)-1] {
		old, wanted = old[:len(old)-1], wanted[:len(wanted)-1]
	}
	return old, wanted
}

// compareElements orders elements by what they match; verdict and comment are not part of that.
func compareElements(a, b Element) int {
	if n := strings.Compare(a.Key, b.Key); n != 0 {
		return n
	}
	return strings.Compare(a.End, b.End)
}

func (c *changes) chain(old, wanted Chain, later bool) {
	switch {
	case old.equal(wanted) && !c.refills:
	case wanted.Name == "":
		c.gone(later, flushChain{old.Name}, delChain{old})
	case old.Name == "":
		c.commit = append(c.commit, addChain{wanted})
		c.refill(wanted)
	case old.Hook != wanted.Hook, old.Priority != wanted.Priority:
		c.replaces = true
		c.commit = append(c.commit, flushChain{old.Name}, delChain{old}, addChain{wanted})
		c.refill(wanted)
	default:
		c.commit = append(c.commit, flushChain{old.Name})
		c.refill(wanted)
	}
}

func (c *changes) refill(wanted Chain) {
	for _, r := range wanted.Rules {
		c.commit = append(c.commit, addRule{wanted.Name, r})
	}
}

// merge walks two lists sorted by key side by side; what one of them lacks comes as a zero value.
func merge[T any](old, wanted []T, key func(T) string, visit func(old, wanted T)) {
	var zero T
	mergeFunc(old, wanted, func(a, b T) int { return strings.Compare(key(a), key(b)) }, func(a, b *T) {
		switch {
		case a == nil:
			visit(zero, *b)
		case b == nil:
			visit(*a, zero)
		default:
			visit(*a, *b)
		}
	})
}

func mergeFunc[T any](old, wanted []T, compare func(a, b T) int, visit func(old, wanted *T)) {
	i, j := 0, 0
	for i < len(old) || j < len(wanted) {
		var n int
		switch {
		case i == len(old):
			n = 1
		case j == len(wanted):
			n = -1
		default:
			n = compare(old[i], wanted[j])
		}
		switch {
		case n < 0:
			visit(&old[i], nil)
			i++
		case n > 0:
			visit(nil, &wanted[j])
			j++
		default:
			visit(&old[i], &wanted[j])
			i, j = i+1, j+1
		}
	}
}

// sameSlice says whether two slices are one and the same memory.
func sameSlice[T any](a, b []T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}
