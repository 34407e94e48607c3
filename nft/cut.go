package nft

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Cut is a flow that a container had opened and that conntrack was made to forget: what its far side still sends is
// not to make it anew, with the container's packets for its replies. TCP and ICMP need none: a segment that opens nothing is
// stray, and so is an answer to conntrack.
type Cut struct {
	Container, Far netip.Addr // one family
	Proto          uint8
	Port           uint16 // the far side's, of udp and sctp
}

const (
	cutSize    = 1 << 18 // flows of which the far side's packets are remembered, per family
	cutTimeout = 3 * time.Minute
	cutBatch   = 4096 // elements of a batch
)

// cutSet holds cut flows, as the far side's packets would show them, until it has been silent for three minutes: those of
// protocols with ports by the far side's too.
func cutSet(f family, ported bool) Set {
	s := Set{
		Name: "cut" + f.String(), Types: []keyType{addrType(f), addrType(f), typeProto},
		Dynamic: true, Timeout: cutTimeout, Size: cutSize,
	}
	if ported {
		s.Name, s.Types = "cutport"+f.String(), append(s.Types, typeService)
	}
	return s
}

// keepCut deny what would make a flow anew that was cut. Flows that the container opens now are not concerned: their
// packets from the far side are established. A segment would bring a flow back by itself (nf_conntrack_tcp_loose);
// from narrows which, for containers' own are judged by their policy.
func (r Ruleset) keepCut(from ...clause) []Rule {
	fenced := []clause{toBridge(), ctNew(), in(setBridges, oifname())}
	rules := []Rule{rule(slices.Concat(fenced, from, []clause{straySegment(), goTo(audited("stray", r.DryRun))})...)}
	for _, f := range families() {
		key := []field{daddr(f), saddr(f), l4proto()}
		other := []clause{in(cutSet(f, false).Name, key...), goTo("cut")}
		ported := []clause{in(setPorted, l4proto()), in(cutSet(f, true).Name, append(key, thSport())...), goTo("cut")}
		rules = append(rules, rule(slices.Concat(fenced, other)...), rule(slices.Concat(fenced, ported)...))
	}
	return rules
}

// endCut ends the packet of a flow that was cut, and remembers the flow for another while. It may be in either set.
func (r Ruleset) endCut() []Rule {
	var rules []Rule
	for _, f := range families() {
		key := []field{daddr(f), saddr(f), l4proto()}
		other, ported := cutSet(f, false).Name, cutSet(f, true).Name
		rules = append(rules,
			rule(in(setPorted, l4proto()), renew(ported, append(slices.Clone(key), thSport())...)),
			rule(notIn(setPorted, l4proto()), renew(other, key...)))
	}
	return append(rules, rule(count(dropCounter(Cutoff))), rule(r.end()))
}

// Cut has flows that were cut stay cut, for as long as the far side goes on sending and three minutes more. Call it
// before conntrack forgets them. More than 262,144 of a family are an error, and those beyond are left out.
func (k *Kernel) Cut(all []Cut) error {
	for _, f := range families() {
		for _, ported := range []bool{false, true} {
			for part := range slices.Chunk(cutElements(all, f, ported), cutBatch) { // others commit between
				if err := k.cut(cutSet(f, ported), part); err != nil {
					return explainErrno(fmt.Errorf("keep flows cut: %w", err))
				}
			}
		}
	}
	return nil
}

// cut puts the elements in anew; see beat.
func (k *Kernel) cut(set Set, elements []Element) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.removed {
		return ErrRemoved
	}
	return k.commit([]Op{addElements{set, elements}, delElements{set, elements}, addElements{set, elements}})
}

func cutElements(all []Cut, f family, ported bool) []Element {
	var out []Element
	for _, c := range all {
		if !isFamily(c.Container, f) || !isFamily(c.Far, f) || ported != (c.Proto == UDP || c.Proto == SCTP) {
			continue
		}
		key := []string{addrBytes(c.Container), addrBytes(c.Far), protoBytes(c.Proto)}
		if ported {
			key = append(key, portBytes(c.Port))
		}
		out = append(out, Element{Key: keyOf(key...)})
	}
	sortElements(out)
	return slices.Compact(out)
}
