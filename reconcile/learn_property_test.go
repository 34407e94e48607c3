package reconcile

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// What the short path adds to a table is what the next run would build.
func TestToLearnIsToBuild(t *testing.T) {
	names := []string{"www.example.com", "a.b.example.com", "example.com", "host.example.net", "intra.example.net", "new.example.net", "badexample.com"}
	meant := addrs("203.0.113.77", "203.0.113.78", "2001:db8:1::77", "10.9.9.9", "198.51.100.1", "172.18.0.2", "169.254.169.254", "192.0.2.7")
	rapid.Check(t, func(rt *rapid.T) {
		s := single(join(drawText(rt, "label")), join(drawText(rt, "default")))
		s.Containers[1].Labels = map[string]string{"dockerwall.outbound": join(drawText(rt, "other label"))}
		s.Containers[2].State = rapid.SampledFrom([]string{"running", "exited"}).Draw(rt, "state")
		s.Containers[2].Labels = map[string]string{"dockerwall.outbound": "*.example.com, !*.example.net"}
		if s.Containers[2].State == "exited" {
			s.Networks[1].Endpoints = nil
		}
		state, _ := s.state()
		r := &fakeResolver{}
		g := Gather{Resolver: r}
		draw := func() (string, addrList) {
			return rapid.SampledFrom(names).Draw(rt, "name"), rapid.SliceOfN(rapid.SampledFrom(meant), 0, 3).Draw(rt, "addresses")
		}
		for range rapid.IntRange(0, 3).Draw(rt, "known before") {
			name, addrs := draw()
			r.learn(name, addrs...)
		}
		x := newIndex()
		x.update(state, g.recall(&state).Guard)
		before, _ := build(t, state)
		table := contentsOf(before)
		for range rapid.IntRange(1, 4).Draw(rt, "answers") {
			name, addrs := draw()
			batch, whole := x.batch(r.learn(name, addrs...))
			if !whole {
				rt.Fatalf("%s %v needs a run", name, addrs)
			}
			table.learn(batch)
		}
		g.recall(&state)
		after, _ := build(t, state)
		if diff := gocmp.Diff(contentsOf(after), table, gocmp.AllowUnexported(set{})); diff != "" {
			rt.Fatalf("built (-) and learned (+):\n%s", diff)
		}
	})
}
