package nft

import (
	"regexp"
	"slices"
	"strings"
)

// layout tells by name what is ours.
type layout struct {
	chains         []string // of the part that containers share, in the order they are printed
	sets, counters []string
	owner          func(name string) string
	ports          bool // it is that of table bridge dockerwall
}

// newLayout asks the compiler for the shared part of a ruleset that has everything in it.
func newLayout() layout {
	all := Ruleset{Free: []string{"-"}, Sources: []Source{{Name: "-", Allow: Matches{Internet: []Clause{{}}}}}}
	return layoutOf(all.Table().base(), layout{owner: ownerOf})
}

// newPortLayout is the layout of table bridge dockerwall.
func newPortLayout() layout {
	return layoutOf(Ruleset{BindPorts: true}.Table().Ports[0], layout{owner: portOwner, ports: true})
}

func layoutOf(base *Fragment, out layout) layout {
	for _, c := range base.Chains {
		out.chains = append(out.chains, c.Name)
	}
	for _, s := range base.Sets {
		out.sets = append(out.sets, s.Name)
	}
	out.counters = base.Counters
	return out
}

// policySet matches the name of a set of a source, see setName; the group is its kind.
var policySet = regexp.MustCompile(`^(?:c_[0-9a-f]{12}|[a-z][a-z0-9]{0,31})(?:_no)?_` +
	`(addr|addricmp|addrsvc|resolver|net|neticmp|svc|dns)[46](?:_[0-9a-z_-]+)?$`)

// kindOfSet is the kind in the name of a source's set, "" for other sets.
func kindOfSet(name string) string {
	if m := policySet.FindStringSubmatch(name); m != nil {
		return m[1]
	}
	return ""
}

func (l layout) hasCounter(name string) bool {
	owner := l.owner(name)
	return slices.Contains(l.counters, name) || !l.ports && owner != "" && name == owner+"_drop"
}

func (l layout) hasSet(name string) bool {
	if l.ports {
		return slices.Contains(l.sets, name)
	}
	denied := func(f family) bool { return ContainerOf(name) != "" && name == deniedSet(ownerOf(name), f).Name }
	return slices.Contains(l.sets, name) || kindOfSet(name) != "" || denied(v4) || denied(v6)
}

func (l layout) hasChain(name string) bool {
	owner := l.owner(name)
	return slices.Contains(l.chains, name) || owner != "" && (name == owner || name == owner+"_deny")
}

// sorted puts fragments and what is in them into the order of a compiled table.
func (l layout) sorted(fragments map[string]*Fragment) []*Fragment {
	var out []*Fragment
	for _, f := range fragments {
		slices.Sort(f.Counters)
		slices.SortFunc(f.Sets, func(a, b Set) int { return strings.Compare(a.Name, b.Name) })
		slices.SortFunc(f.Chains, func(a, b Chain) int {
			if n := slices.Index(l.chains, a.Name) - slices.Index(l.chains, b.Name); n != 0 {
				return n
			}
			return strings.Compare(a.Name, b.Name)
		})
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b *Fragment) int { return strings.Compare(a.Owner, b.Owner) })
	return out
}
