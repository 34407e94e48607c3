package reconcile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/nft"
)

// Earlier is a policy that a container had while it ran, with the sources it followed.
type Earlier struct {
	Container nft.Container
	Sources   []nft.Source
	texts     []string // what each source is made from, see library.says; nil is not known
	asked     string   // what it is made from, see library.asks
}

// Remember returns what is to be remembered of each container of a ruleset, which is Build's of s, by the first 12 digits of
// its ID.
func Remember(s State, r nft.Ruleset) map[string]Earlier {
	s = s.ready()
	sources := make(map[string]nft.Source, len(r.Sources))
	for _, s := range r.Sources {
		sources[s.Name] = s
	}
	whole := make(map[string]docker.Container, len(s.Docker.Containers))
	for _, c := range s.Docker.Containers {
		if other, ok := whole[short(c.ID)]; !ok || c.ID < other.ID {
			whole[short(c.ID)] = c
		}
	}
	out := make(map[string]Earlier, len(r.Containers))
	for _, c := range r.Containers {
		e := Earlier{Container: c, asked: s.asks(whole[c.ID])}
		for _, name := range c.Shared {
			e.Sources, e.texts = append(e.Sources, sources[name]), append(e.texts, s.library.says(name))
		}
		out[c.ID] = e
	}
	return out
}

// asks differs where anything else is asked for c. What names mean is no part of it.
func (s State) asks(c docker.Container) string {
	mode, reject, _ := s.modeOf(c)
	var b strings.Builder
	fmt.Fprintln(&b, c.ID, mode, reject, c.Resolvers)
	for _, a := range s.library.asked[c.ID] {
		fmt.Fprintf(&b, "%x %d %v %v\n", a.sum, a.within, a.group, a.against)
	}
	return b.String()
}

// says differs where a source is made from another text.
func (l *library) says(source string) string {
	if t := l.shared[source]; t != nil {
		return t.sum
	}
	return ""
}

// recall takes over the earlier policies of containers that do not run, as far as the same is asked for them now: of what
// files and people have said since, they hold nothing.
func (b *rebooter) recall(earlier map[string]Earlier) {
	for _, c := range b.state.Docker.Containers {
		id := short(c.ID)
		e, known := earlier[id]
		_, runs := slices.BinarySearchFunc(b.now.Containers, id, func(c nft.Container, id string) int { return strings.Compare(c.ID, id) })
		if known && !runs && e.asked == b.state.asks(c) {
			b.policies[id] = b.recalled(e)
		}
	}
}

// recalled is an earlier policy, whose sources are among those of now. One that is made from the same text is what it is now;
// what says something else by now gets another name.
func (b *rebooter) recalled(e Earlier) nft.Container {
	c := e.Container
	c.Shared = slices.Clone(c.Shared)
	for i, name := range c.Shared {
		same := e.texts != nil && b.followed[name] && e.texts[i] == b.state.library.says(name)
		if name != sourceResolvers && name != sourceDefault && !same {
			c.Shared[i] = b.add(e.Sources[i], name)
		}
	}
	slices.Sort(c.Shared)
	return c
}

// add has a source be among those of now, and returns its name.
func (b *rebooter) add(s nft.Source, name string) string {
	for n := 1; ; n++ {
		i := slices.IndexFunc(b.now.Sources, func(o nft.Source) bool { return o.Name == name })
		if i < 0 {
			s.Name = name
			b.now.Sources = append(b.now.Sources, s)
			return name
		}
		s.Name, s.Title = name, b.now.Sources[i].Title
		if key(s) == key(b.now.Sources[i]) {
			return name
		}
		name = fmt.Sprintf("was%d", n)
	}
}
