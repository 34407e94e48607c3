package reconcile

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/docker/dockertest"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/resolver"
)

// id is an ID that begins like this.
func id(begin string) string { return (begin + strings.Repeat("0", 64))[:64] }

func running(id, label string) docker.Container {
	return docker.Container{ID: id, Name: id, State: "running", Labels: map[string]string{policy.LabelOutbound: label}}
}

// stateOf is that of containers, and a default.
func stateOf(preset string, containers ...docker.Container) State {
	s := State{Docker: docker.Host{Containers: containers}}
	s.Config.Default, _ = policy.Parse(preset)
	return s
}

// fresh is an index that knows one state alone.
func fresh(s State) index {
	x := newIndex()
	x.update(s, newGuard(s))
	return x
}

// listing is who wants what, in an order.
func (x index) listing() map[pattern][]want {
	out := map[pattern][]want{}
	for p, wants := range x.wants {
		out[p] = slices.SortedFunc(slices.Values(wants), func(a, b want) int {
			return cmp.Or(strings.Compare(a.owner, b.owner), compareClauses(a.clause, b.clause))
		})
	}
	return out
}

func sameIndex(x, y index) string {
	return gocmp.Diff(x.listing(), y.listing(), gocmp.AllowUnexported(pattern{}, want{}))
}

func TestWhatIsFoundGoesToWhoWantsIt(t *testing.T) {
	a, b, c := "aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"
	port, tcp := nft.Clause{Ports: nft.Ports{First: 443, Last: 443}}, nft.Clause{Proto: nft.TCP}
	x := fresh(stateOf("*.example.org, shared.example.com:443, !*.evil.example",
		running(id(a), "www.example.com, *.example.com:443, !bad.example.com"), running(id(b), "www.example.com:443, *.example.com/tcp, *.example.com:443, shared.example.com"),
		running(id(c), "!*.example.com:443, !www.example.com, in.evil.example")))
	addr := addrs("203.0.113.77")
	for name, test := range map[string]struct {
		found resolver.Found
		want  []want // nil if a run is needed
	}{
		"a name, by its clauses":             {resolver.Found{Name: "www.example.com"}, []want{{a, nft.Clause{}}, {b, port}}},
		"a wildcard, by its clauses":         {resolver.Found{Name: "x.example.com", Below: "example.com"}, []want{{a, port}, {b, port}, {b, tcp}}},
		"the default's":                      {resolver.Found{Name: "x.example.org", Below: "example.org"}, []want{{sourceDefault, nft.Clause{}}}},
		"the default's and a container's":    {resolver.Found{Name: "shared.example.com"}, []want{{b, nft.Clause{}}, {sourceDefault, port}}},
		"a denied name":                      {resolver.Found{Name: "bad.example.com", Deny: true}, []want{{a, nft.Clause{}}, {c, port}}},
		"a denied wildcard":                  {resolver.Found{Name: "x.example.com", Below: "example.com", Deny: true}, []want{{c, port}}},
		"a denied name and wildcard":         {resolver.Found{Name: "www.example.com", Deny: true}, []want{{c, nft.Clause{}}, {c, port}}},
		"what a wildcard alone denies":       {resolver.Found{Name: "in.evil.example", Deny: true}, []want{{sourceDefault, nft.Clause{}}}},
		"a name that nobody wants":           {resolver.Found{Name: "new.example.net"}, nil},
		"a name as if it were a wildcard":    {resolver.Found{Name: "x.www.example.com", Below: "www.example.com"}, nil},
		"a wildcard as if it were a name":    {resolver.Found{Name: "example.org"}, nil},
		"a wildcard that nobody denies":      {resolver.Found{Name: "x.example.org", Below: "example.org", Deny: true}, nil},
		"a name that nobody denies":          {resolver.Found{Name: "x.example.org", Deny: true}, nil},
		"a wildcard that is denied alone":    {resolver.Found{Name: "x.evil.example", Below: "evil.example"}, nil},
		"the apex of a denied wildcard only": {resolver.Found{Name: "evil.example", Deny: true}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			test.found.Addrs = addr
			known := resolver.Found{Name: "x.example.org", Below: "example.org", Addrs: addr}
			batch, whole := x.batch([]resolver.Found{test.found})
			if whole != (test.want != nil) {
				t.Fatalf("whole %v", whole)
			}
			if _, together := x.batch([]resolver.Found{known, test.found, known}); together != whole {
				t.Errorf("beside what is known: whole %v", together)
			}
			var got []want
			for _, l := range batch {
				if got = append(got, want{l.Owner, l.Clause}); l.Deny != test.found.Deny || len(l.Addrs) != 1 || l.Addrs[0] != (nft.NamedAddr{Addr: addr[0], Name: test.found.Name}) {
					t.Errorf("%+v", l)
				}
			}
			slices.SortFunc(got, func(x, y want) int {
				return cmp.Or(strings.Compare(x.owner, y.owner), compareClauses(x.clause, y.clause))
			})
			if diff := gocmp.Diff(test.want, got, gocmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatIsDeniedIsNotGuarded(t *testing.T) {
	s := stateOf("*.example.com, www.example.com, !*.example.com")
	s.Interfaces.Addrs = addrs("198.51.100.1")
	x := fresh(s)
	all := addrs("10.1.1.1", "198.51.100.1", "203.0.113.77")
	for _, test := range []struct {
		below string
		deny  bool
		want  []netip.Addr
	}{{"example.com", false, all[2:]}, {"", false, addrs("10.1.1.1", "203.0.113.77")}, {"example.com", true, all}} {
		batch, _ := x.batch([]resolver.Found{{Name: "www.example.com", Below: test.below, Deny: test.deny, Addrs: all}})
		var got []netip.Addr
		for _, a := range batch[0].Addrs {
			got = append(got, a.Addr)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("beneath %q, denied %v: %v, want %v", test.below, test.deny, got, test.want)
		}
	}
}

func TestPoliciesComeAndGo(t *testing.T) {
	a, twin := id("aaaaaaaaaaaa1"), id("aaaaaaaaaaaa2")
	exited := running(a, "www.example.com")
	exited.State = "exited"
	names := func(x index) (out []string) {
		for p, wants := range x.listing() {
			for _, w := range wants {
				out = append(out, w.owner+" "+p.name)
			}
		}
		slices.Sort(out)
		return out
	}
	x := newIndex()
	for _, step := range []struct {
		what       string
		containers []docker.Container
		want       []string
	}{
		{"nobody", nil, nil},
		{"a container comes", []docker.Container{running(a, "www.example.com, www.example.com:443")}, []string{"aaaaaaaaaaaa www.example.com", "aaaaaaaaaaaa www.example.com"}},
		{"it is made anew with another label", []docker.Container{running(a, "www.example.com, *.example.org")}, []string{"aaaaaaaaaaaa example.org", "aaaaaaaaaaaa www.example.com"}},
		{"another begins alike", []docker.Container{running(twin, "twin.example.com"), running(a, "www.example.com")}, []string{"aaaaaaaaaaaa www.example.com"}},
		{"the first of the two has ended", []docker.Container{running(twin, "twin.example.com"), exited}, nil},
		{"the other one is alone", []docker.Container{running(twin, "twin.example.com")}, []string{"aaaaaaaaaaaa twin.example.com"}},
		{"IDs that are none", []docker.Container{running("default", "a.example.com"), running("resolvers", "a.example.com"), running("", "a.example.com"), running("abc", "a.example.com"),
			running(id("AAAAAAAAAAAA"), "a.example.com"), running(id("c_aaaaaaaaaa"), "a.example.com")}, nil},
		{"a label that says nothing", []docker.Container{running(a, "")}, nil},
	} {
		s := stateOf("", step.containers...)
		if x.update(s, newGuard(s)); !slices.Equal(names(x), step.want) {
			t.Errorf("%s: %v, want %v", step.what, names(x), step.want)
		}
	}
}

// drawContainers are some of a few, as they come and go; IDs may begin alike, or be none.
func drawContainers(t *rapid.T) (out []docker.Container) {
	ids := []string{id("aaaaaaaaaaaa1"), id("aaaaaaaaaaaa2"), id("bbbbbbbbbbbb"), id("cccccccccccc"), "default", "abc", id("AAAAAAAAAAAA"), dockertest.ID("web")}
	for _, i := range rapid.SliceOfDistinct(rapid.SampledFrom(ids), rapid.ID[string]).Draw(t, "containers") {
		c := running(i, join(drawText(t, "label")))
		c.State = rapid.SampledFrom([]string{"running", "running", "created", "exited"}).Draw(t, "state")
		out = append(out, c)
	}
	return out
}

func TestAnIndexIsThatOfItsLastState(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		preset := join(drawText(rt, "default"))
		x, read, keeps := newIndex(), &library{}, rapid.Bool().Draw(rt, "labels are read once")
		for range rapid.IntRange(1, 6).Draw(rt, "states") {
			s := stateOf(preset, drawContainers(rt)...)
			if keeps {
				read = s.read(read)
				s.library = read
			}
			x.update(s, newGuard(s))
			mixed := s
			mixed.Docker.Containers = rapid.Permutation(s.Docker.Containers).Draw(rt, "order")
			if diff := sameIndex(fresh(mixed), x); diff != "" {
				rt.Fatalf("made from scratch (-) and followed (+):\n%s", diff)
			}
			for p, wants := range x.wants {
				for _, w := range wants {
					own := isShortID(w.owner) || w.owner[:1] == sourceLabel
					if w.owner == sourceDefault && !strings.Contains(preset, p.name) || w.owner != sourceDefault && !own {
						rt.Fatalf("%+v wants %+v", w, p)
					}
				}
			}
		}
	})
}
