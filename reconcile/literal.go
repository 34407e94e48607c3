package reconcile

import (
	"cmp"

	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/sortby"
)

// ranges merges literals: the kernel's sets of intervals take no overlap.
func ranges(literals []policy.Literal) []nft.Range {
	var out []nft.Range
	for _, l := range policy.Merge(literals) {
		out = append(out, nft.Range{First: l.First, Last: l.Last})
	}
	return out
}

// boxes compiles literals with ports into disjoint boxes. What policy.Parse let through always fits.
func boxes(tokens []policy.Token) []nft.Box {
	disjoint, _ := policy.Boxes(tokens)
	out := make([]nft.Box, 0, len(disjoint))
	for _, b := range disjoint {
		proto := nft.TCP
		if b.Proto == policy.ProtoUDP {
			proto = nft.UDP
		}
		out = append(out, nft.Box{
			Range: nft.Range{First: b.First, Last: b.Last}, Proto: proto,
			Ports: nft.Ports{First: b.Ports.First, Last: b.Ports.Last},
		})
	}
	return out
}

// apart spells ranges that were merged of single addresses out again.
func apart(merged []nft.Range) []nft.Range {
	var out []nft.Range
	for _, r := range merged {
		for a := r.First; ; a = a.Next() {
			out = append(out, nft.Range{First: a, Last: a})
			if a == r.Last {
				break
			}
		}
	}
	return out
}

// apartBoxes does the same to boxes.
func apartBoxes(merged []nft.Box) []nft.Box {
	var out []nft.Box
	for _, b := range merged {
		for _, r := range apart([]nft.Range{b.Range}) {
			out = append(out, nft.Box{Range: r, Proto: b.Proto, Ports: b.Ports})
		}
	}
	sortby.Func(out, func(x, y nft.Box) int {
		return cmp.Or(x.First.Compare(y.First), cmp.Compare(x.Proto, y.Proto), cmp.Compare(x.Ports.First, y.Ports.First))
	})
	return out
}

func addSpecial(m *nft.Matches, d policy.Special, c nft.Clause) {
	switch d {
	case policy.Host:
		m.Host = append(m.Host, c)
	case policy.Internet:
		m.Internet = append(m.Internet, c)
	case policy.All:
		m.All = append(m.All, c)
	case policy.DNS: // implied; see source
	}
}

func compareClauses(a, b nft.Clause) int {
	return cmp.Or(cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.Ports.First, b.Ports.First), cmp.Compare(a.Ports.Last, b.Ports.Last))
}
