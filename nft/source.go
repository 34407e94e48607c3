package nft

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// compiledSource is a shared source with the rules that it adds to the chains that follow it.
type compiledSource struct {
	source Source
	rules  map[family]sourceRules // those of either family, and under 0 those of both
	text   string                 // of all rules: what its followers' fragments depend on
}

// compileSource also makes the fragment of a source's sets, nil if it has none.
func compileSource(s Source) (*compiledSource, *Fragment) {
	out := &compiledSource{source: s, rules: map[family]sourceRules{0: wideRules(s)}}
	f := &Fragment{Owner: s.Name}
	var text strings.Builder
	for _, fam := range families() {
		rules, sets := familyRules(s.Name, s, fam)
		out.rules[fam] = rules
		f.Sets = append(f.Sets, sets...)
	}
	for _, rule := range policyRules([]sourceRules{out.of([]family{v4, v6})}, "") {
		fmt.Fprintln(&text, rule)
	}
	out.text = text.String()
	if len(f.Sets) == 0 {
		return out, nil
	}
	slices.SortFunc(f.Sets, func(a, b Set) int { return strings.Compare(a.Name, b.Name) })
	return out, f
}

// of are the rules for a container with endpoints of the given families.
func (s *compiledSource) of(fams []family) sourceRules {
	var out sourceRules
	for _, f := range fams {
		out = out.and(s.rules[f])
	}
	return out.and(s.rules[0])
}

// sources are the shared ones of a ruleset, compiled.
type sources struct {
	all       map[string]*compiledSource
	fragments []*Fragment
	reruled   map[string]bool // those whose rules are not what they were, new ones included
}

// compileSources takes over what is as it was. A source of which only addresses changed leaves its followers alone.
func (r Ruleset) compileSources(last compiled, same comparison) sources {
	out := sources{all: make(map[string]*compiledSource, len(r.Sources)), reruled: map[string]bool{}}
	for i, s := range r.Sources {
		before := last.sources[s.Name]
		if same.sources[i] {
			out.add(before, last.table.fragment(s.Name))
			continue
		}
		now, f := compileSource(s)
		if before != nil && before.text == now.text {
			now.rules, now.text = before.rules, before.text
		} else {
			out.reruled[s.Name] = true
		}
		out.add(now, f)
	}
	return out
}

func (s *sources) add(one *compiledSource, f *Fragment) {
	s.all[one.source.Name] = one
	if f != nil {
		s.fragments = append(s.fragments, f)
	}
}

// rerules says whether the rules of any source that c follows are not what they were.
func (s *sources) rerules(c *Container) bool {
	return len(s.reruled) > 0 && slices.ContainsFunc(c.Shared, func(name string) bool { return s.reruled[name] })
}

// maxServed is how many containers the title of a source's sets names.
const maxServed = 2

// entitle gives the fragments of shared sources their titles: what they are, and whom they serve.
func (r Ruleset) entitle(t Table) {
	serves := map[string][]string{}
	for i := range r.Containers {
		c := &r.Containers[i]
		for _, name := range c.Shared {
			serves[name] = append(serves[name], cmp.Or(comment(c.Name), c.ID))
		}
	}
	for _, s := range r.Sources {
		if f := t.fragment(s.Name); f != nil {
			f.Title = cmp.Or(comment(s.Title), "source "+s.Name) + ", serves " + served(serves[s.Name])
		}
	}
}

func served(by []string) string {
	switch n := len(by); {
	case n == 0:
		return "nobody"
	case n == 1:
		return by[0]
	case n <= maxServed:
		return strings.Join(by[:n-1], ", ") + " and " + by[n-1]
	default:
		return fmt.Sprintf("%s and %d more", strings.Join(by[:maxServed], ", "), n-maxServed)
	}
}

// serving are titles of shared sources' sets, told from the chains that look them up; titles are those of containers.
func (t Table) serving(titles map[string]string) map[string]string {
	serves := map[string][]string{}
	for _, f := range t.Fragments {
		if ContainerOf(f.Owner) == "" {
			continue
		}
		who := cmp.Or(strings.TrimPrefix(titles[f.Owner], "container "), ContainerOf(f.Owner))
		for source := range f.lookedUp() {
			serves[source] = append(serves[source], who)
		}
	}
	out := map[string]string{}
	for _, f := range t.Fragments {
		if sourcePattern.MatchString(f.Owner) {
			out[f.Owner] = "source " + f.Owner + ", serves " + served(serves[f.Owner])
		}
	}
	return out
}

// lookedUp are the shared sources whose sets the fragment's rules look up.
func (f *Fragment) lookedUp() map[string]bool {
	out := map[string]bool{}
	for _, c := range f.Chains {
		for _, r := range c.Rules {
			_, rest, _ := strings.Cut(r.text, "@")
			set, _, _ := strings.Cut(rest, " ")
			if source := ownerOf(set); sourcePattern.MatchString(source) {
				out[source] = true
			}
		}
	}
	return out
}
