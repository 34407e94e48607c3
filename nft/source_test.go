package nft

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// sharing is a ruleset of three sources, of which each is followed by some of three containers.
func sharing() Ruleset {
	r := fenced()
	r.Containers = append(r.Containers, Container{ID: "000000000003", Endpoints: []Endpoint{{"br-blue", parseAddrs("172.18.0.4")[0]}}})
	r.share("alone", Matches{Host: []Clause{{}}}, Matches{}, 0)
	r.share("both", Matches{Names: []NameSet{{Addrs: named("198.51.100.1")}}}, denied(), 0, 1)
	r.share("none", Matches{Resolvers: parseAddrs("198.51.100.53")}, Matches{})
	return r
}

// TestAFragmentIsMadeAnewWhenItsRulesMayChange tells which containers and sources are not taken over as they are.
func TestAFragmentIsMadeAnewWhenItsRulesMayChange(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Ruleset)
		want   string
	}{
		"nothing":                              {func(*Ruleset) {}, ""},
		"another title":                        {func(r *Ruleset) { r.Sources[1].Title = "group @x" }, ""},
		"an address of a name":                 {func(r *Ruleset) { r.Sources[1].Allow.Names[0].Addrs = named("198.51.100.2") }, "both"},
		"no address of a name":                 {func(r *Ruleset) { r.Sources[1].Allow.Names[0].Addrs = nil }, "both"},
		"another denied address":               {func(r *Ruleset) { r.Sources[1].Deny.Addrs.Any = addrs("198.51.100.8") }, "both"},
		"a denial where there was none":        {func(r *Ruleset) { r.Sources[0].Deny = denied() }, "alone c_000000000001"},
		"a rule without a set":                 {func(r *Ruleset) { r.Sources[0].Allow.Host = []Clause{{Proto: TCP}} }, "c_000000000001"},
		"a rule of a source that two follow":   {func(r *Ruleset) { r.Sources[1].Deny = Matches{} }, "both c_000000000001 c_000000000002"},
		"a rule of a source that nobody has":   {func(r *Ruleset) { r.Sources[2].Deny = denied() }, "none"},
		"a source more":                        {func(r *Ruleset) { r.share("one", denied(), Matches{}, 2) }, "c_000000000003 one"},
		"a source less":                        {func(r *Ruleset) { r.Sources, r.Containers[0].Shared = r.Sources[1:], []string{"both"} }, "c_000000000001"},
		"a source that a container has left":   {func(r *Ruleset) { r.Containers[1].Shared = nil }, "c_000000000002"},
		"another setting":                      {func(r *Ruleset) { r.LogGroup++ }, "c_000000000001 c_000000000002 c_000000000003"},
		"another bridge":                       {func(r *Ruleset) { r.Bridges = append(r.Bridges, Bridge{Name: "docker0"}) }, ""},
		"another name of one of the followers": {func(r *Ruleset) { r.Containers[0].Name = "shop" }, "c_000000000001"},
	} {
		t.Run(name, func(t *testing.T) {
			last := compile(sharing(), compiled{})
			r := sharing()
			test.change(&r)
			next := compile(r, last)
			var made []string
			for _, f := range next.table.Fragments {
				if before := last.table.fragment(f.Owner); f.Owner != "" && !strings.Contains(f.Owner, "b00000000001") && f != before {
					made = append(made, f.Owner)
				}
			}
			if got := strings.Join(made, " "); got != test.want {
				t.Errorf("%q are made anew, want %q", got, test.want)
			}
			if got, want := next.table.Untitled().String(), r.Table().Untitled().String(); got != want {
				t.Errorf("made from the last one:\n%s\nfrom nothing:\n%s", got, want)
			}
		})
	}
}

// TestTablesMadeFromTheLastOneAreAsMadeFromNothing, whatever changes.
func TestTablesMadeFromTheLastOneAreAsMadeFromNothing(t *testing.T) {
	g := newGenerator(t)
	r := g.ruleset()
	last := compile(r, compiled{})
	for step := range 2000 {
		r = g.next(r)
		last = compile(r, last)
		if got, want := last.table.Untitled().String(), r.Table().Untitled().String(); got != want {
			t.Fatalf("step %d: %s", step, TextDiff(want, got))
		}
		if !slices.IsSortedFunc(last.table.Fragments, func(a, b *Fragment) int { return strings.Compare(a.Owner, b.Owner) }) {
			t.Fatalf("step %d: fragments are not sorted", step)
		}
	}
}

func TestASourceIsTitledWithWhomItServes(t *testing.T) {
	r := Ruleset{Sources: []Source{{Name: "p0", Title: "the label\nof several \"containers\"", Allow: denied()}, {Name: "p1", Allow: denied()}}}
	for i, want := range []string{"nobody", "web0", "web0 and 000000000001", "web0, 000000000001 and 1 more", "web0, 000000000001 and 2 more"} {
		if text := r.String(); !strings.Contains(text, "\t# the labelof several containers, serves "+want+"\n\tset p0_addr4 {") ||
			!strings.Contains(text, "\t# source p1, serves nobody\n\tset p1_addr4 {") {
			t.Errorf("%d followers: want %q in:\n%s", i, want, text)
		}
		c := Container{ID: fmt.Sprintf("%012x", i), Name: fmt.Sprint("web", i), Shared: []string{"p0"}}
		if i%2 == 1 {
			c.Name = ""
		}
		r.Containers = append(r.Containers, c)
	}
}

func TestRulesNameWhatASharedSourceHas(t *testing.T) {
	text := sharing().String()
	for _, want := range []string{
		"\t\tip daddr @both_dns4 accept # web: www.example.org\n", "\t\tip daddr @both_dns4 accept # db: www.example.org\n",
		"\t\tip daddr @both_no_addr4 goto c_000000000002_deny # db: !198.51.100.7\n", "\t\toif 0 accept # web: _host_\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no line %q in\n%s", want, text)
		}
	}
}

func TestASourceIsNotNamedLikeAContainer(t *testing.T) {
	r := Ruleset{Sources: []Source{{Name: "deadbeefcafe"}}}
	if err := r.Validate(); err == nil || !strings.Contains(err.Error(), "deadbeefcafe") {
		t.Errorf("%v", err)
	}
}

func TestALiveSourceIsTitledWithWhomItServes(t *testing.T) {
	n := namespace(t)
	apply(t, open(t, n), sharing())
	text := readLive(t, n).String()
	for _, want := range []string{"\t# source both, serves web and db\n\tset both_dns4 {", "\t# source none, serves nobody\n\tset none_resolver4 {"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
