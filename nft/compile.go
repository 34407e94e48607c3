package nft

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

const (
	deniedSize    = 1024 // destinations recorded per container and family
	deniedTimeout = time.Hour
)

// Table compiles r. The result is as valid as r is; see [Ruleset.Validate].
func (r Ruleset) Table() Table {
	t := compile(r, compiled{}).table
	r.entitle(t)
	return t
}

// compiled is a table with what is needed to compile the next one from it: what did not change is
// taken over as it is, so that a commit costs what changed.
type compiled struct {
	ruleset Ruleset
	table   Table
	sources map[string]*compiledSource
	learned map[string]bool // owners whose fragment has more addresses than ruleset
	grown   map[string]bool // sets of these whose elements nobody else has
}

func compile(r Ruleset, last compiled) compiled {
	return compileChanged(r, last, last.compare(r))
}

// comparison tells what of a ruleset is as it was in the last one.
type comparison struct {
	kept    []*Fragment  // of each container; nil if it is new or changed
	sources []bool       // of each source: neither new nor changed
	gone    []*Container // of the last ruleset, changed ones included
	// ports that changed, and whether the host's own on bridges is as it was.
	ports portChange
	hosts bool
}

// compare walks the containers of both rulesets, which are sorted by ID.
func (c compiled) compare(r Ruleset) comparison {
	old, fragments := c.containers()
	out := comparison{
		kept: make([]*Fragment, len(r.Containers)), ports: r.changedPorts(c.ruleset), hosts: slices.EqualFunc(r.Bridges, c.ruleset.Bridges, sameHost),
	}
	for _, s := range r.Sources {
		before := c.sources[s.Name]
		out.sources = append(out.sources, before != nil && before.source.equal(s) && !c.learned[s.Name])
	}
	i := 0
	for j := range r.Containers {
		wanted := &r.Containers[j]
		for ; i < len(old) && old[i].ID < wanted.ID; i++ {
			out.gone = append(out.gone, &old[i])
		}
		if i == len(old) || old[i].ID != wanted.ID {
			continue
		}
		if old[i].equal(wanted) && !c.learned[fragments[i].Owner] {
			out.kept[j] = fragments[i]
		} else {
			out.gone = append(out.gone, &old[i])
		}
		i++
	}
	for ; i < len(old); i++ {
		out.gone = append(out.gone, &old[i])
	}
	return out
}

// containers returns those of the last ruleset with their fragments, which stand side by side.
func (c compiled) containers() ([]Container, []*Fragment) {
	first, _ := searchOwner(c.table.Fragments, chainOf(""))
	return c.ruleset.Containers, c.table.Fragments[first:][:len(c.ruleset.Containers)]
}

// searchOwner finds where in sorted fragments that of an owner is, or would be.
func searchOwner(fragments []*Fragment, owner string) (int, bool) {
	return slices.BinarySearchFunc(fragments, owner, func(f *Fragment, o string) int { return strings.Compare(f.Owner, o) })
}

func compileChanged(r Ruleset, last compiled, same comparison) compiled {
	shared := r.compileSources(last, same)
	fragments := make([]*Fragment, 0, 1+len(r.Containers)+len(shared.fragments)+2*len(r.Bridges))
	fragments = append(append(fragments, r.baseFragment(r.memberSets(last.table, same))), shared.fragments...)
	anew := !r.sameSettings(last.ruleset)
	for i := range r.Containers {
		f, c := same.kept[i], &r.Containers[i]
		if f == nil || anew || shared.rerules(c) {
			f = r.containerFragment(c, shared.all)
		}
		fragments = append(fragments, f)
	}
	for _, b := range r.Bridges {
		if b.Network != "" {
			fragments = append(fragments, b.fragment(), b.homes())
		}
	}
	slices.SortFunc(fragments, func(a, b *Fragment) int { return strings.Compare(a.Owner, b.Owner) })
	return compiled{ruleset: r, sources: shared.all, table: Table{Fragments: fragments, Ports: r.portFragments(last, same)}}
}

// sameSettings says whether what all containers' fragments depend on is as it was.
func (r Ruleset) sameSettings(old Ruleset) bool {
	return r.DryRun == old.DryRun && r.LogGroup == old.LogGroup && r.NoElementLimit == old.NoElementLimit
}

func compareContainers(a, b Container) int { return strings.Compare(a.ID, b.ID) }

func compareStrings(a, b string) int { return strings.Compare(a, b) }

// baseFragment is what all containers share: hooks, verdict maps, accounting.
func (r Ruleset) baseFragment(members []Set) *Fragment {
	f := &Fragment{}
	for _, reason := range []Reason{Cutoff, Invalid, Multicast, Stray, Unknown} {
		f.Counters = append(f.Counters, dropCounter(reason))
	}
	f.Sets = slices.Concat(r.fixedSets(), r.networkMaps(), r.alsoSets(), members)
	slices.SortFunc(f.Sets, func(a, b Set) int { return strings.Compare(a.Name, b.Name) })
	known := r.knownRules()
	f.Chains = []Chain{
		{Name: chainPrerouting, Hook: Prerouting, Priority: rawPriority, Rules: r.preroutingRules()},
		{Name: chainForward, Hook: Forward, Priority: hookPriority, Rules: r.forwardRules(known)},
		{Name: chainInput, Hook: Input, Priority: hookPriority, Rules: r.inputRules(known)},
		{Name: chainOutput, Hook: Output, Priority: hookPriority, Rules: r.outputRules()},
		{Name: "cut", Rules: r.endCut()},
		{Name: "invalid", Rules: r.invalidRules()},
		{Name: "unknown", Rules: r.unknownRules()},
	}
	for _, pass := range []bool{false, true} {
		f.Chains = append(f.Chains, noiseChains(pass)...)
	}
	return f
}

func dropCounter(reason Reason) string { return "drop_" + string(reason) }

func notPublicSet(f family) string { return "not_public" + f.String() }
func sourceMap(f family) string    { return "source" + f.String() }
func sentSet(f family) string      { return "sent" + f.String() }
func invalidSet(f family) string   { return "invalid" + f.String() }
func lenientSet(f family) string   { return "lenient" + f.String() }
func selfSet(f family) string      { return "self" + f.String() }
func alsoSet(f family) string      { return "also" + f.String() }

// fixedSets do not depend on containers. Sets of constants are named, not anonymous: an anonymous
// set a rule would be a set a container.
func (r Ruleset) fixedSets() []Set {
	sets := []Set{
		protoSet(setPorted, TCP, UDP, SCTP), protoSet(setTransport, TCP, UDP), protoSet(setICMP, ICMP, ICMPv6),
		{Name: setBridges, Types: []keyType{typeIfname}, Elements: ifnames(r.bridgeNames())},
	}
	neighbours := Set{Name: setNeighbour, Types: []keyType{typeICMPv6}}
	for _, t := range neighbourTypes() {
		neighbours.Elements = append(neighbours.Elements, Element{Key: string([]byte{t})})
	}
	sets = append(sets, neighbours)
	if len(r.Free) > 0 {
		sets = append(sets, Set{Name: setFree, Types: []keyType{typeIfname}, Elements: ifnames(r.Free)})
	}
	for _, f := range families() {
		sets = append(sets, cutSet(f, false), cutSet(f, true))
		if set := rangeSet(f, mergePrefixes(r.NotPublic)); r.asksInternet() {
			set.Name = notPublicSet(f)
			sets = append(sets, set)
		}
	}
	return sets
}

func (r Ruleset) asksInternet() bool {
	asks := func(s *Source) bool { return len(s.Allow.Internet)+len(s.Deny.Internet) > 0 }
	for i := range r.Sources {
		if asks(&r.Sources[i]) {
			return true
		}
	}
	for i := range r.Containers {
		if asks(&r.Containers[i].Own) {
			return true
		}
	}
	return false
}

func protoSet(name string, protos ...uint8) Set {
	s := Set{Name: name, Types: []keyType{typeProto}}
	for _, p := range protos {
		s.Elements = append(s.Elements, Element{Key: protoBytes(p)})
	}
	sortElements(s.Elements)
	return s
}

func ifnames(bridges []string) []Element {
	out := make([]Element, 0, len(bridges))
	for _, b := range bridges {
		out = append(out, Element{Key: ifname(b)})
	}
	sortElements(out)
	return out
}

func (r Ruleset) bridgeNames() []string {
	out := make([]string, 0, len(r.Bridges))
	for _, b := range r.Bridges {
		out = append(out, b.Name)
	}
	return out
}

func familyOf(a netip.Addr) family {
	if a.Is4() {
		return v4
	}
	return v6
}
