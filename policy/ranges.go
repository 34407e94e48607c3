package policy

import (
	"net/netip"
	"slices"
)

// Merge returns the same addresses as disjoint literals, sorted, IPv4 first; overlapping and adjacent
// ones of a family become one, since the kernel's interval sets take no overlap. The argument is not
// changed.
func Merge(literals []Literal) []Literal {
	sorted := slices.Clone(literals)
	slices.SortFunc(sorted, Literal.compare)
	var out []Literal
	for _, l := range sorted {
		if n := len(out); n > 0 && touches(out[n-1], l) {
			if out[n-1].Last.Less(l.Last) {
				out[n-1].Last = l.Last
			}
			continue
		}
		out = append(out, l)
	}
	return out
}

// touches says whether b, which does not begin before a, overlaps a or follows it directly.
func touches(a, b Literal) bool {
	if a.First.BitLen() != b.First.BitLen() {
		return false
	}
	next := a.Last.Next()
	return !next.IsValid() || !next.Less(b.First)
}

// mergePorts merges sorted port ranges likewise, into out, which is empty.
func mergePorts(out, sorted []PortRange) []PortRange {
	for _, p := range sorted {
		if n := len(out); n > 0 && int(p.First) <= int(out[n-1].Last)+1 {
			out[n-1].Last = max(out[n-1].Last, p.Last)
			continue
		}
		out = append(out, p)
	}
	return out
}

// highest is the last address of the family of a.
func highest(a netip.Addr) netip.Addr { return lastAddr(netip.PrefixFrom(a, 0)) }
