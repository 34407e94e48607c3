package nft

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Cut is a flow that a container had opened and that conntrack was made to forget: what its far side still sends is
// not to make it anew, with the container's packets for its replies. TCP needs none in the far side's direction: a
// segment that opens nothing is stray.
type Cut struct {
	Container, Far netip.Addr // one family
	Proto          uint8
}

const (
	cutSize    = 1 << 18 // flows of which the far side's packets are remembered, per family
	cutTimeout = 3 * time.Minute
	cutBatch   = 4096 // elements of a batch
)

func cutName(f family) string { return "cut" + f.String() }

// cutSet holds cut flows, as the far side's packets would show them, until it has been silent for three minutes.
func cutSet(f family) Set {
	return Set{
		Name: cutName(f), Types: []keyType{addrType(f), addrType(f), typeProto},
		Dynamic: true, Timeout: cutTimeout, Size: cutSize,
	}
}

// cutKey is "ip daddr . ip saddr . meta l4proto".
func cutKey(f family) []field { return []field{daddr(f), saddr(f), l4proto()} }

// keepCut deny what would make a flow anew that was cut. Flows that the container opens now are not concerned: their
// packets from the far side are established. A segment would bring a flow back by itself (nf_conntrack_tcp_loose);
// from narrows which, for containers' own are judged by their policy.
func (r Ruleset) keepCut(from ...clause) []Rule {
	stray := append(slices.Clone(from), in(setBridges, oifname()), straySegment(), ctNew(), goTo(audited("stray", r.DryRun)))
	rules := []Rule{rule(stray...)}
	for _, f := range families() {
		rules = append(rules, rule(in(setBridges, oifname()), ctNew(), in(cutName(f), cutKey(f)...), goTo("cut")))
	}
	return rules
}

// cutRules remember the flow for another while, and end the packet.
func (r Ruleset) cutRules() []Rule {
	var rules []Rule
	for _, f := range families() {
		rules = append(rules, rule(renew(cutName(f), cutKey(f)...)))
	}
	return append(rules, rule(count(dropCounter(Cutoff))), rule(r.end()))
}

// Cut has flows that were cut stay cut, for as long as the far side goes on sending and three minutes more. Call it
// before conntrack forgets them. More than 262,144 of a family are an error, and those beyond are left out.
func (k *Kernel) Cut(all []Cut) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.removed {
		return ErrRemoved
	}
	for _, f := range families() {
		if err := k.cut(cutSet(f), cutElements(all, f)); err != nil {
			return explainErrno(fmt.Errorf("keep flows cut: %w", err))
		}
	}
	return nil
}

// cut puts the elements in anew; see beat.
func (k *Kernel) cut(set Set, elements []Element) error {
	for part := range slices.Chunk(elements, cutBatch) {
		if err := k.commit([]Op{addElements{set, part}, delElements{set, part}, addElements{set, part}}); err != nil {
			return err
		}
	}
	return nil
}

func cutElements(all []Cut, f family) []Element {
	var out []Element
	for _, c := range all {
		if isFamily(c.Container, f) && isFamily(c.Far, f) {
			out = append(out, Element{Key: keyOf(addrBytes(c.Container), addrBytes(c.Far), protoBytes(c.Proto))})
		}
	}
	sortElements(out)
	return slices.Compact(out)
}
