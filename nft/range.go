package nft

import (
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
)

// rangeOf is the range a prefix covers.
func rangeOf(p netip.Prefix) Range {
	p = p.Masked()
	last := p.Addr().AsSlice()
	for i := p.Bits(); i < len(last)*8; i++ {
		last[i/8] |= 0x80 >> (i % 8)
	}
	end, _ := netip.AddrFromSlice(last)
	return Range{p.Addr(), end}
}

// Prefix returns the prefix that covers exactly r, if there is one.
func (r Range) Prefix() (netip.Prefix, bool) {
	first, last := r.First.AsSlice(), r.Last.AsSlice()
	if len(first) != len(last) || len(first) == 0 {
		return netip.Prefix{}, false
	}
	n := len(first) * 8
	for i := range first {
		if first[i] != last[i] {
			n = i*8 + bits.LeadingZeros8(first[i]^last[i])
			break
		}
	}
	p := netip.PrefixFrom(r.First, n)
	return p, rangeOf(p) == r
}

// String prints r as nft does: an address, a prefix, or first-last.
func (r Range) String() string {
	if r.First == r.Last {
		return r.First.String()
	}
	if p, ok := r.Prefix(); ok {
		return p.String()
	}
	return r.First.String() + "-" + r.Last.String()
}

// Contains says whether a lies in r.
func (r Range) Contains(a netip.Addr) bool {
	return r.First.Compare(a) <= 0 && a.Compare(r.Last) <= 0 && a.Is4() == r.First.Is4()
}

// mergePrefixes makes disjoint, sorted ranges of prefixes; adjacent ones become one. The kernel's
// interval sets take no overlap, and AutoMerge is userspace's business.
func mergePrefixes(prefixes []netip.Prefix) []Range {
	ranges := make([]Range, 0, len(prefixes))
	for _, p := range prefixes {
		ranges = append(ranges, rangeOf(p))
	}
	slices.SortFunc(ranges, func(a, b Range) int { return a.First.Compare(b.First) })
	var out []Range
	for _, r := range ranges {
		if n := len(out); n > 0 && out[n-1].touches(r) {
			out[n-1].Last = later(out[n-1].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	return out
}

// touches says whether next, which starts no earlier, overlaps r or follows it at once.
func (r Range) touches(next Range) bool {
	if r.First.Is4() != next.First.Is4() {
		return false
	}
	return next.First.Compare(r.Last) <= 0 || next.First == r.Last.Next()
}

func later(a, b netip.Addr) netip.Addr {
	if a.Compare(b) > 0 {
		return a
	}
	return b
}

// String prints ports as nft does; the zero value is every port.
func (p Ports) String() string {
	if p.First == p.Last {
		return fmt.Sprint(p.First)
	}
	return fmt.Sprintf("%d-%d", p.First, p.Last)
}

// has says whether port is among p, of which the zero value is every port.
func (p Ports) has(port uint16) bool {
	return p == Ports{} || p.First <= port && port <= p.Last
}

func multicast4() Range { return rangeOf(netip.MustParsePrefix("224.0.0.0/4")) }
func multicast6() Range { return rangeOf(netip.MustParsePrefix("ff00::/8")) }
