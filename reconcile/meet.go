package reconcile

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/sortby"
)

// Bounds of a meet. Beyond, it allows nothing.
const (
	maxDenials = 32      // different ones, each a source of its own
	maxPairs   = 1 << 20 // of boxes that are compared
)

// denials are sources that only deny, made of what different policies deny.
type denials struct {
	names map[string]string // by key
	fresh []nft.Source
}

// name is the source's that denies m.
func (d *denials) name(m nft.Matches) string {
	if d.names == nil {
		d.names = map[string]string{}
	}
	k := key(m)
	name, ok := d.names[k]
	if !ok {
		name = fmt.Sprintf("boot%d", len(d.names)+1)
		d.names[k] = name
		d.fresh = append(d.fresh, nft.Source{Name: name, Deny: m})
	}
	return name
}

// made are the sources since the last call.
func (d *denials) made() []nft.Source {
	out := d.fresh
	d.fresh = nil
	return out
}

// meet is a policy that accepts nothing which one of the policies denies. Policies in a laxer mode than the strictest deny
// nothing and do not count. What is the same in all stays as it is. sources are those that policies share.
func meet(policies []nft.Container, sources []nft.Source, d *denials) nft.Container {
	mode := slices.MinFunc(policies, func(a, b nft.Container) int { return cmp.Compare(a.Mode, b.Mode) }).Mode
	var different []nft.Container
	seen := map[string]bool{}
	for _, p := range policies {
		p.ID, p.Name, p.Endpoints = "", "", nil
		if k := key(p); p.Mode == mode && !seen[k] {
			seen[k] = true
			different = append(different, p)
		}
	}
	if len(different) == 1 {
		return different[0]
	}
	different = apartFrom(different, sources)
	out := nft.Container{Mode: mode, Reject: true, Own: nft.Source{Allow: different[0].Own.Allow}, Shared: slices.Clone(different[0].Shared)}
	for _, p := range different {
		out.Reject = out.Reject && p.Reject
		out.Shared = slices.DeleteFunc(out.Shared, func(name string) bool { return !slices.Contains(p.Shared, name) })
		out.Own.Allow = common(out.Own.Allow, p.Own.Allow)
	}
	more := denied(different, out.Shared, sources)
	if len(more) > maxDenials {
		return nft.Container{Mode: mode, Reject: out.Reject}
	}
	for _, m := range more {
		out.Shared = append(out.Shared, d.name(m))
	}
	slices.Sort(out.Shared)
	return out
}

// apartFrom has each policy hold itself what it allows by sources that not all of them follow.
func apartFrom(policies []nft.Container, sources []nft.Source) []nft.Container {
	followers := map[string]int{}
	for _, p := range policies {
		for _, name := range p.Shared {
			followers[name]++
		}
	}
	out := slices.Clone(policies)
	for i := range out {
		for _, s := range sources {
			if slices.Contains(out[i].Shared, s.Name) && followers[s.Name] < len(policies) {
				out[i].Own.Allow = either(out[i].Own.Allow, s.Allow)
			}
		}
	}
	return out
}

// either covers no packet that neither a nor b does. Of boxes that overlap it has one.
func either(a, b nft.Matches) nft.Matches {
	out := nft.Matches{
		All: unite(a.All, b.All), Host: unite(a.Host, b.Host), Internet: unite(a.Internet, b.Internet), Resolvers: unite(a.Resolvers, b.Resolvers),
		Addrs: nft.Literals{
			Any: apartRanges(slices.Concat(a.Addrs.Any, b.Addrs.Any)), ICMP: apartRanges(slices.Concat(a.Addrs.ICMP, b.Addrs.ICMP)),
			Boxes: disjointBoxes(slices.Concat(a.Addrs.Boxes, b.Addrs.Boxes)),
		},
		Nets:  joined(a.Nets, b.Nets),
		Names: slices.Clone(a.Names),
	}
	out.Nets.Boxes = disjointBoxes(out.Nets.Boxes)
	for _, set := range b.Names {
		i := slices.IndexFunc(out.Names, func(o nft.NameSet) bool { return o.Clause == set.Clause })
		if i < 0 {
			out.Names = append(out.Names, set)
			continue
		}
		addrs := slices.Concat(out.Names[i].Addrs, set.Addrs)
		sortby.Stable(addrs, func(x, y nft.NamedAddr) int { return x.Addr.Compare(y.Addr) })
		out.Names[i].Addrs = slices.CompactFunc(addrs, func(x, y nft.NamedAddr) bool { return x.Addr == y.Addr })
	}
	sortby.Stable(out.Names, func(x, y nft.NameSet) int { return compareClauses(x.Clause, y.Clause) })
	return out
}

func unite[T comparable](a, b []T) []T {
	out := slices.Clone(a)
	for _, x := range b {
		if !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	return out
}

// denied is what policies deny besides what they all share, each once.
func denied(policies []nft.Container, shared []string, sources []nft.Source) (out []nft.Matches) {
	seen := map[string]bool{key(nft.Matches{}): true}
	add := func(m nft.Matches) {
		if k := key(m); !seen[k] {
			seen[k] = true
			out = append(out, m)
		}
	}
	for _, p := range policies {
		add(p.Own.Deny)
		for _, s := range sources {
			if slices.Contains(p.Shared, s.Name) && !slices.Contains(shared, s.Name) {
				add(s.Deny)
			}
		}
	}
	return out
}

// common covers no packet that a or b does not. A prefix of one may be an address of the other; beyond that, what is
// spelled differently has nothing in common.
func common(a, b nft.Matches) nft.Matches {
	switch all := (nft.Clause{}); {
	case slices.Contains(a.All, all):
		return b
	case slices.Contains(b.All, all):
		return a
	}
	return nft.Matches{
		All: both(a.All, b.All), Host: both(a.Host, b.Host), Internet: both(a.Internet, b.Internet), Resolvers: both(a.Resolvers, b.Resolvers),
		Addrs: commonLiterals(a.Addrs, b.Addrs, apartRanges),
		Nets:  commonLiterals(joined(a.Nets, a.Addrs), joined(b.Nets, b.Addrs), mergeRanges),
		Names: commonNames(a.Names, b.Names),
	}
}

func both[T comparable](a, b []T) (out []T) {
	for _, x := range a {
		if slices.Contains(b, x) {
			out = append(out, x)
		}
	}
	return out
}

func commonNames(a, b []nft.NameSet) (out []nft.NameSet) {
	for _, x := range a {
		i := slices.IndexFunc(b, func(y nft.NameSet) bool { return y.Clause == x.Clause })
		if i < 0 {
			continue
		}
		set := nft.NameSet{Clause: x.Clause}
		for _, named := range x.Addrs {
			_, found := slices.BinarySearchFunc(b[i].Addrs, named.Addr, func(n nft.NamedAddr, a netip.Addr) int { return n.Addr.Compare(a) })
			if found {
				set.Addrs = append(set.Addrs, named)
			}
		}
		out = append(out, set)
	}
	return out
}

func joined(a, b nft.Literals) nft.Literals {
	return nft.Literals{
		Any: mergeRanges(slices.Concat(a.Any, b.Any)), ICMP: mergeRanges(slices.Concat(a.ICMP, b.ICMP)), Boxes: slices.Concat(a.Boxes, b.Boxes),
	}
}

// commonLiterals are disjoint; tidy makes ranges so.
func commonLiterals(a, b nft.Literals, tidy func([]nft.Range) []nft.Range) nft.Literals {
	return nft.Literals{
		Any:   tidy(commonRanges(a.Any, b.Any)),
		ICMP:  tidy(slices.Concat(commonRanges(a.ICMP, b.ICMP), commonRanges(a.Any, b.ICMP), commonRanges(a.ICMP, b.Any))),
		Boxes: disjointBoxes(slices.Concat(commonBoxes(a.Boxes, b.Boxes), commonBoxes(a.Boxes, everyPort(b.Any)), commonBoxes(b.Boxes, everyPort(a.Any)))),
	}
}

// commonRanges takes lists whose ranges are disjoint.
func commonRanges(a, b []nft.Range) (out []nft.Range) {
	byFirst := func(x, y nft.Range) int { return x.First.Compare(y.First) }
	a, b = sortby.Collect(slices.Values(a), byFirst), sortby.Collect(slices.Values(b), byFirst)
	for i, j := 0, 0; i < len(a) && j < len(b); {
		if r, ok := shareOf(a[i], b[j]); ok {
			out = append(out, r)
		}
		if a[i].Last.Compare(b[j].Last) <= 0 {
			i++
		} else {
			j++
		}
	}
	return out
}

func shareOf(a, b nft.Range) (nft.Range, bool) {
	r := a
	if b.First.Compare(r.First) > 0 {
		r.First = b.First
	}
	if b.Last.Compare(r.Last) < 0 {
		r.Last = b.Last
	}
	return r, a.First.Is4() == b.First.Is4() && r.First.Compare(r.Last) <= 0
}

// mergeRanges has those that overlap or touch become one.
func mergeRanges(ranges []nft.Range) (out []nft.Range) {
	for _, r := range sortby.Collect(slices.Values(ranges), func(x, y nft.Range) int { return x.First.Compare(y.First) }) {
		if n := len(out); n > 0 && out[n-1].First.Is4() == r.First.Is4() && (r.First.Compare(out[n-1].Last) <= 0 || r.First == out[n-1].Last.Next()) {
			if r.Last.Compare(out[n-1].Last) > 0 {
				out[n-1].Last = r.Last
			}
			continue
		}
		out = append(out, r)
	}
	return out
}

// apartRanges leaves single addresses single, each once.
func apartRanges(ranges []nft.Range) []nft.Range {
	sortby.Func(ranges, func(x, y nft.Range) int { return x.First.Compare(y.First) })
	return slices.Compact(ranges)
}

// everyPort are ranges as boxes.
func everyPort(ranges []nft.Range) (out []nft.Box) {
	for _, r := range ranges {
		for _, proto := range []uint8{nft.TCP, nft.UDP} {
			out = append(out, nft.Box{Range: r, Proto: proto, Ports: nft.Ports{Last: 65535}})
		}
	}
	return out
}

func commonBoxes(a, b []nft.Box) (out []nft.Box) {
	if len(a)*len(b) > maxPairs {
		return nil
	}
	for _, x := range a {
		for _, y := range b {
			r, ok := shareOf(x.Range, y.Range)
			ports := nft.Ports{First: max(x.Ports.First, y.Ports.First), Last: min(x.Ports.Last, y.Ports.Last)}
			if ok && x.Proto == y.Proto && ports.First <= ports.Last {
				out = append(out, nft.Box{Range: r, Proto: x.Proto, Ports: ports})
			}
		}
	}
	return out
}

// disjointBoxes leaves out boxes that overlap an earlier one: less is allowed, never more. Larger ones come first.
func disjointBoxes(boxes []nft.Box) (out []nft.Box) {
	sortby.Stable(boxes, func(x, y nft.Box) int {
		return cmp.Or(x.First.Compare(y.First), y.Last.Compare(x.Last), cmp.Compare(x.Proto, y.Proto), cmp.Compare(x.Ports.First, y.Ports.First), cmp.Compare(y.Ports.Last, x.Ports.Last))
	})
	var open []nft.Box // that reach as far
	for _, b := range boxes {
		open = slices.DeleteFunc(open, func(o nft.Box) bool { return o.Last.Compare(b.First) < 0 })
		if !slices.ContainsFunc(open, func(o nft.Box) bool {
			return o.Proto == b.Proto && o.Ports.First <= b.Ports.Last && b.Ports.First <= o.Ports.Last && o.Contains(b.First)
		}) {
			open, out = append(open, b), append(out, b)
		}
	}
	return out
}
