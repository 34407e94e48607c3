package nft

import (
	"fmt"
	"strings"
	"time"
)

// Table is a Ruleset compiled to what nf_tables holds: counters, sets, maps, chains and rules. It is
// a value too; [Diff] compares two of them and [Table.String] prints one.
type Table struct {
	// Fragments are sorted by Owner; the first one, of owner "", is what all containers share.
	Fragments []*Fragment
	// Ports are the fragments of table bridge dockerwall, sorted likewise; nil if there is none.
	Ports []*Fragment
}

// Fragment is the part of the table that belongs to one owner. Fragments are never changed once
// built, so two commits share those of containers that stayed as they were.
type Fragment struct {
	Owner    string // "", a container's or network's chain, or the name of a shared source
	Title    string // for people
	Who      string // the container's name, for the notes behind its rules; "" has none
	Counters []string
	Sets     []Set   // sorted by Name
	Chains   []Chain // in the order they are printed
}

// Set is a set or, with Verdicts, a verdict map.
type Set struct {
	Name     string
	Types    []keyType
	Verdicts bool
	Interval bool // elements are ranges
	Dynamic  bool // elements come from the packet path and are none of our business
	Counter  bool // every element counts
	Timeout  time.Duration
	Size     uint32
	Elements []Element // sorted by Key, disjoint
}

// Element is a key, or an inclusive range of keys of an interval set.
type Element struct {
	Key, End string // network byte order, padded; End is "" for a single key
	Verdict  Verdict
	Comment  string
}

// Verdict is what a map says of a key.
type Verdict struct {
	Jump string // chain, or "" for
	Drop bool   // drop when set, else accept
}

func (v Verdict) String() string {
	switch {
	case v.Jump != "":
		return "jump " + v.Jump
	case v.Drop:
		return "drop"
	}
	return "accept"
}

// Chain is a chain; Hook makes it a base chain.
type Chain struct {
	Name     string
	Hook     Hook
	Priority int32 // of a base chain, such as hookPriority
	Rules    []Rule
}

// Priorities of base chains, after conntrack and DNAT and before Docker's and everybody's filters: answers
// wait before the fence, because accepting a queued packet goes on at the next base chain (nf_reinject).
const (
	hookPriority int32 = -10
	tapPriority  int32 = -12
	rawPriority  int32 = -300 // before conntrack
)

// baseChain is a hook and a priority at which a base chain of ours can be, and what nft calls that priority.
type baseChain struct {
	hook     Hook
	priority int32
	text     string
}

// baseChains are those of table inet dockerwall, of table bridge dockerwall, and of a tap's tables.
func baseChains() []baseChain {
	return []baseChain{
		{Forward, hookPriority, "filter - 10"}, {Input, hookPriority, "filter - 10"}, {Output, hookPriority, "filter - 10"},
		{Prerouting, rawPriority, "raw"},
		{Prerouting, portPriority, "dstnat - 10"}, {Input, keptPriority, "filter - 10"},
		{Forward, tapPriority, "filter - 12"}, {Input, tapPriority, "filter - 12"}, {Output, tapPriority, "filter - 12"},
	}
}

// hookText is what nft says of a base chain.
func (c Chain) hookText() string {
	for _, b := range baseChains() {
		if b.hook == c.Hook && b.priority == c.Priority {
			return fmt.Sprintf("type filter hook %s priority %s; policy accept;", c.Hook, b.text)
		}
	}
	return fmt.Sprintf("type filter hook %s priority %d; policy accept;", c.Hook, c.Priority)
}

// Hook is where a chain is attached, or where a packet is seen.
type Hook uint8

// The hooks.
const (
	NoHook Hook = iota
	Forward
	Input
	Output
	Prerouting
)

func (h Hook) String() string { return [...]string{"", "forward", "input", "output", "prerouting"}[h] }

// Rule is a list of clauses; its text says all about it.
type Rule struct {
	text    string
	clauses []clause
	why     *origin // for people; nil if no token asks for it
	listed  []byte  // the expressions as the kernel lists them, of a rule read from it
}

// rule joins clauses; empty ones are left out.
func rule(clauses ...clause) Rule {
	texts := make([]string, 0, len(clauses))
	for _, c := range clauses {
		if c.text != "" {
			texts = append(texts, c.text)
		}
	}
	return Rule{text: strings.Join(texts, " "), clauses: clauses}
}

func (r Rule) String() string { return r.text }

// definition is what of a set cannot be changed while it lives.
func (s Set) definition() string {
	var b strings.Builder
	writeDefinition(&b, s, "")
	return b.String()
}

// base returns the fragment that all containers share, nil if there is none.
func (t Table) base() *Fragment {
	if len(t.Fragments) > 0 && t.Fragments[0].Owner == "" {
		return t.Fragments[0]
	}
	return nil
}

// Untitled is t without the titles of its fragments, which the kernel does not keep.
func (t Table) Untitled() Table {
	untitled := func(fragments []*Fragment) (out []*Fragment) {
		for _, f := range fragments {
			plain := *f
			plain.Title, plain.Who = "", ""
			out = append(out, &plain)
		}
		return out
	}
	return Table{Fragments: untitled(t.Fragments), Ports: untitled(t.Ports)}
}
