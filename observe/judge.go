package observe

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/sortby"
)

const (
	maxNotes = 20
	// manyNames below one name make a wildcard worth a thought.
	manyNames = 5
)

// judge decides record by record.
type judge struct {
	c        Case
	asked    map[string]bool
	existing []policy.Token // wherever they stand
	wanted   map[policy.Token]*token
	notes    []string
}

func newJudge(c Case) *judge {
	j := &judge{c: c, asked: map[string]bool{}, wanted: map[policy.Token]*token{}, notes: []string{}}
	for _, name := range c.Observed.Asked {
		j.asked[name] = true
	}
	existing, problems := c.Grammar.Parse(c.Existing)
	j.existing = slices.Concat(existing.Tokens, c.Others)
	if existing.Void {
		j.note("a denial in the label cannot be understood, so that nothing it allows counts: correct it first")
	}
	for _, p := range problems {
		if p.Severity == policy.Error && !existing.Void {
			j.note("the label has a mistake: " + p.String())
		}
	}
	return j
}

// note adds a sentence, once.
func (j *judge) note(text string) {
	switch {
	case slices.Contains(j.notes, text):
	case len(j.notes) < maxNotes:
		j.notes = append(j.notes, text)
	case len(j.notes) == maxNotes:
		j.notes = append(j.notes, "there are more notes like these")
	}
}

// record finds the token for one, or says why there is none.
func (j *judge) record(r Record) {
	if !r.Dst.IsValid() {
		if r.Packets > 0 {
			j.note(fmt.Sprintf("%d packets had no destination of their own: broadcasts and strays, or more destinations at a time than the kernel's record has room for", r.Packets))
		}
		return
	}
	t, ok := j.c.Token(r.destination(), j.own(r))
	if !ok {
		return
	}
	if r.Host = r.Host || t.Dest == policy.Host; r.Host { // which got the address later, or has it no more
		t.Dest = policy.Host
	}
	if d, denied := j.denied(r); denied {
		j.note(fmt.Sprintf("%s is denied by `%s`, which no token overrides", r, d))
		return
	}
	if j.allowed(r) {
		return
	}
	if why := doubts(r, t); why != "" {
		j.note(fmt.Sprintf("%s: %s; `%s` would allow it", r, why, t))
		return
	}
	w := j.wanted[t]
	if w == nil {
		w = &token{Token: t}
		j.wanted[t] = w
	}
	p, named := t.Dest.(policy.Pattern)
	w.see(r, named && j.asked[p.Name()])
}

// own are a record's names that may be suggested.
func (j *judge) own(r Record) []string {
	return ownNames(r.Names, func(name string) bool { return j.asked[name] }, r.Last.Sub(j.c.Observed.AskedLast) <= askedOfLate)
}

// doubts says why a destination should be looked at before it is allowed, "" when there is nothing to say.
func doubts(r Record, t policy.Token) string {
	switch {
	case slices.Contains(metadata(), r.Dst):
		return "a cloud's metadata service, which gives out keys of this machine"
	case t.Clause == policy.Clause{} || t.Clause.Proto != policy.ProtoICMP && t.Clause.Ports == policy.PortRange{}:
		return "the grammar has no clause as narrow as that, so more would be allowed with it"
	case r.Port == 53 && !r.Host:
		return "a DNS server that is not the container's own (dns bypass): its answers are not learned from, and questions carry out data"
	}
	return ""
}

// metadata are the addresses at which clouds tell machines about themselves: the common one (EC2, Google, Azure,
// OpenStack and others), EC2's of IPv6, ECS's, both of EKS (Pod Identity), Alibaba's, and that of Azure's WireServer.
func metadata() []netip.Addr {
	return []netip.Addr{
		netip.AddrFrom4([4]byte{169, 254, 169, 254}), netip.MustParseAddr("fd00:ec2::254"),
		netip.AddrFrom4([4]byte{169, 254, 170, 2}), netip.AddrFrom4([4]byte{169, 254, 170, 23}), netip.MustParseAddr("fd00:ec2::23"),
		netip.AddrFrom4([4]byte{100, 100, 100, 200}), netip.AddrFrom4([4]byte{168, 63, 129, 16}),
	}
}

// denied finds a denial that a record falls under.
func (j *judge) denied(r Record) (policy.Token, bool) {
	for _, t := range j.existing {
		if t.Deny && within(t, r) {
			return t, true
		}
	}
	return policy.Token{}, false
}

// allowed says whether the label allows a record already: it is newer than the record. A name does only where an answer
// can open the address.
func (j *judge) allowed(r Record) bool {
	return slices.ContainsFunc(j.existing, func(t policy.Token) bool {
		if t.Deny || !within(t, r) {
			return false
		}
		p, named := t.Dest.(policy.Pattern)
		return !named || j.opens(p, r)
	})
}

// opens says whether an answer for a name that p matches can open a record's address. Wildcards are not believed about
// addresses that are not public.
func (j *judge) opens(p policy.Pattern, r Record) bool {
	if p.Wild() && !public(r.Dst) {
		return false
	}
	return slices.ContainsFunc(r.Names, func(name string) bool {
		if !p.Match(name) {
			return false
		}
		t, ok := j.c.Token(r.destination(), []string{name})
		_, opened := t.Dest.(policy.Pattern)
		return ok && opened
	})
}

// within says whether a record falls under a token.
func within(t policy.Token, r Record) bool {
	if !clauseHas(t.Clause, r) {
		return false
	}
	switch d := t.Dest.(type) {
	case policy.Literal:
		if r.Host && !d.Single() && !t.Deny {
			return false
		}
		return d.First.BitLen() == r.Dst.BitLen() && !r.Dst.Less(d.First) && !d.Last.Less(r.Dst)
	case policy.Pattern:
		return !r.Host && slices.ContainsFunc(r.Names, d.Match)
	case policy.Special:
		return d == policy.DNS && t.Deny && r.Port == 53 || d == policy.All || d == policy.Host && r.Host || d == policy.Internet && !r.Host && public(r.Dst)
	}
	return false
}

func public(a netip.Addr) bool {
	return !slices.ContainsFunc(policy.NotPublic(), func(p netip.Prefix) bool { return p.Contains(a) })
}

func clauseHas(c policy.Clause, r Record) bool {
	proto := map[uint8]policy.Proto{nft.TCP: policy.ProtoTCP, nft.UDP: policy.ProtoUDP, nft.ICMP: policy.ProtoICMP, nft.ICMPv6: policy.ProtoICMP}[r.Proto]
	switch {
	case c == policy.Clause{}:
		return true
	case proto == policy.ProtoAny, c.Proto != policy.ProtoAny && c.Proto != proto:
		return false
	case c.Ports == policy.PortRange{}:
		return true
	}
	return proto != policy.ProtoICMP && c.Ports.First <= r.Port && r.Port <= c.Ports.Last
}

// wildcards notes where many names below one are suggested.
func (j *judge) wildcards(tokens []token) {
	type group struct {
		parent string
		clause policy.Clause
	}
	count := map[group]int{}
	for _, t := range tokens {
		p, ok := t.Dest.(policy.Pattern)
		_, parent, below := strings.Cut(p.Name(), ".")
		if !ok || !below || !strings.Contains(parent, ".") {
			continue
		}
		if suffix, _ := publicsuffix.PublicSuffix(parent); suffix != parent {
			count[group{parent, t.Clause}]++
		}
	}
	groups := sortby.Collect(maps.Keys(count), func(a, b group) int {
		return strings.Compare(a.parent+a.clause.String(), b.parent+b.clause.String())
	})
	for _, g := range groups {
		if n := count[g]; n >= manyNames {
			j.note(fmt.Sprintf("%d names are below %s: `*.%s%s` would cover them, and all others there", n, g.parent, g.parent, g.clause))
		}
	}
}
