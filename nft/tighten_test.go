package nft

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// packet of a container that is in r, to somewhere in the world.
func (g generator) packetOf(r Ruleset) Packet {
	c := pick(g, r.Containers)
	e := pick(g, c.Endpoints)
	to := g.narrowTo(worldAddrs(), e.Addr)
	p := Packet{Hook: pick(g, []Hook{Forward, Forward, Input}), In: e.Bridge, InBridge: true, Src: e.Addr, Dst: to, Proto: pick(g, []uint8{TCP, UDP, ICMP, 47})}
	if p.Proto == TCP || p.Proto == UDP {
		p.DstPort = pick(g, worldPorts()).First
	}
	if g.chance(20) {
		p.DNAT, p.OriginalDst, p.OriginalPort = true, g.narrowTo(worldAddrs(), e.Addr), pick(g, worldPorts()).First
	}
	return p
}

func (g generator) narrowTo(all []netip.Addr, like netip.Addr) netip.Addr {
	return pick(g, slices.DeleteFunc(slices.Clone(all), func(a netip.Addr) bool { return a.Is4() != like.Is4() }))
}

// TestWhatIsNotTighterAllowsAllThatWasAllowed asks the oracle.
func TestWhatIsNotTighterAllowsAllThatWasAllowed(t *testing.T) {
	g := newGenerator(t)
	looser, allowed := 0, 0
	for range 4000 {
		old := g.ruleset()
		r := g.next(old)
		switch n := g.Intn(12); {
		case n > 9 && len(old.Containers) > 0:
			r = clone(old)
			c := &r.Containers[g.Intn(len(r.Containers))]
			g.unshare(&r, c)
			g.share(&r, c)
		case n < 5:
			r = clone(old)
			g.widen(&r)
		case n < 8:
			r = clone(old)
			g.narrow(&r)
		}
		fenced := slices.ContainsFunc(r.Containers, func(c Container) bool { return len(c.Endpoints) == 0 })
		if len(r.Containers) == 0 || fenced || r.Tightens(old) {
			continue
		}
		looser++
		for range 30 {
			p := g.packetOf(r)
			if !old.Judge(p).Pass {
				continue
			}
			allowed++
			if !r.Judge(p).Pass {
				t.Fatalf("%+v was allowed by\n%s\nand is not by\n%s\nwhich is said to be no tighter", p, old, r)
			}
		}
	}
	if looser < 100 || allowed < 1000 {
		t.Errorf("only %d rulesets that are no tighter, %d packets allowed by both", looser, allowed)
	}
}

// widen adds what allows, and takes away what denies.
func (g generator) widen(r *Ruleset) {
	if len(r.Containers) == 0 {
		return
	}
	c := &r.Containers[g.Intn(len(r.Containers))]
	switch g.Intn(4) {
	case 0:
		c.Own.Deny = Matches{}
	case 1:
		c.Mode = Off
	case 2:
		c.Own.Allow.All = append(c.Own.Allow.All, Clause{Proto: TCP})
	case 3:
		for i := range c.Own.Allow.Names {
			more := append(slices.Clone(c.Own.Allow.Names[i].Addrs), g.named(3)...)
			slices.SortStableFunc(more, func(a, b NamedAddr) int { return a.Addr.Compare(b.Addr) })
			c.Own.Allow.Names[i].Addrs = slices.CompactFunc(more, func(a, b NamedAddr) bool { return a.Addr == b.Addr })
		}
	}
}

// narrow denies more, in one way of many.
func (g generator) narrow(r *Ruleset) {
	if len(r.Containers) == 0 {
		return
	}
	own := &r.Containers[g.Intn(len(r.Containers))].Own
	switch g.Intn(5) {
	case 0:
		own.Deny = g.matches()
	case 1:
		for i := range r.Containers {
			r.Containers[i].Mode = Enforce
		}
	case 2:
		own.Allow.All, own.Allow.Host = nil, nil
	case 3:
		own.Allow.Names = nil
	case 4:
		own.Allow.Nets, own.Allow.Addrs.Any, own.Allow.Resolvers = Literals{}, nil, nil
	}
}

func TestWhatTightens(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Ruleset)
		want   bool
	}{
		"nothing":          {func(*Ruleset) {}, false},
		"a container more": {func(r *Ruleset) { r.Containers = append(r.Containers, Container{ID: "000000000009"}) }, false},
		"a container more that has another's address": {func(r *Ruleset) {
			r.Containers[0].Endpoints, r.Containers = nil, append(r.Containers, Container{ID: "000000000009", Endpoints: r.Containers[0].Endpoints})
		}, true},
		"an address of nobody's more":       {func(r *Ruleset) { r.Containers[1].Endpoints = append(r.Containers[1].Endpoints, free()) }, false},
		"a container less":                  {func(r *Ruleset) { r.Containers = r.Containers[:1] }, false},
		"an address allowed no more":        {func(r *Ruleset) { r.Containers[0].Own.Allow.Addrs.Any = nil }, true},
		"an address allowed too":            {func(r *Ruleset) { r.Containers[0].Own.Allow.Addrs.Any = addrs("198.51.100.0", "198.51.100.1") }, false},
		"an address denied":                 {func(r *Ruleset) { r.Containers[0].Own.Deny.Addrs.Any = addrs("198.51.100.1") }, true},
		"an address denied, but audited":    {func(r *Ruleset) { r.Containers[1].Own.Deny.Addrs.Any = addrs("198.51.100.1") }, false},
		"another name of an address":        {func(r *Ruleset) { r.Sources[0].Allow.Names[0].Addrs[0].Name = "b.example" }, false},
		"an address of a name that is gone": {func(r *Ruleset) { r.Sources[0].Allow.Names[0].Addrs = named("203.0.113.2") }, true},
		"names of another clause":           {func(r *Ruleset) { r.Sources[0].Allow.Names[0].Clause = Clause{Proto: TCP} }, true},
		"a source that is gone":             {func(r *Ruleset) { r.Sources, r.Containers[0].Shared = nil, nil }, true},
		"a source that nobody follows":      {func(r *Ruleset) { r.share("group", Matches{}, denied()) }, false},
		"a source that denies is followed":  {func(r *Ruleset) { r.share("group", Matches{}, denied(), 0) }, true},
		"one is followed while audited":     {func(r *Ruleset) { r.share("group", Matches{}, denied(), 1) }, false},
		"a source that allows is followed":  {func(r *Ruleset) { r.share("group", denied(), Matches{}, 0) }, false},
		"a denial that somebody denies":     {func(r *Ruleset) { r.share("group", Matches{}, denied(), 2) }, false},
		"an allowing source is left":        {func(r *Ruleset) { r.Containers[2].Shared = []string{"noes"} }, true},
		"a denying source is left":          {func(r *Ruleset) { r.Containers[2].Shared = []string{"yeses"} }, false},
		"a followed source denies more":     {func(r *Ruleset) { r.Sources[1].Deny.Host = []Clause{{}} }, true},
		"a followed source allows less":     {func(r *Ruleset) { r.Sources[2].Allow = Matches{} }, true},
		"a policy of one's own is shared": {func(r *Ruleset) {
			r.share("group", r.Containers[0].Own.Allow, Matches{}, 0)
			r.Containers[0].Own = Source{}
		}, false},
		"most of a policy of one's own is shared": {func(r *Ruleset) {
			r.share("group", Matches{Nets: r.Containers[0].Own.Allow.Nets}, Matches{}, 0)
			r.Containers[0].Own = Source{}
		}, true},
		"a shared policy is one's own": {func(r *Ruleset) {
			c := &r.Containers[2]
			c.Shared, c.Own = nil, Source{Allow: r.Sources[2].Allow, Deny: r.Sources[1].Deny}
		}, false},
		"two sources become one": {func(r *Ruleset) {
			r.share("group", r.Sources[2].Allow, r.Sources[1].Deny, 2)
			r.Containers[2].Shared = []string{"group"}
		}, false},
		"two sources of denied boxes become one that is crowded": {func(r *Ruleset) {
			r.share("group", r.Sources[2].Allow, Matches{Nets: Literals{Boxes: slices.Concat(boxes(0), boxes(200))}}, 2)
			r.Containers[2].Shared = []string{"group"}
		}, true},
		"enforced instead of audited": {func(r *Ruleset) { r.Containers[1].Mode = Enforce }, true},
		"off instead of audited":      {func(r *Ruleset) { r.Containers[1].Mode = Off }, false},
		"another's address": {func(r *Ruleset) {
			r.Containers[1].Endpoints = append(r.Containers[1].Endpoints, r.Containers[0].Endpoints[0])
		}, true},
		"another bridge": {func(r *Ruleset) { r.Bridges = worldBridges()[:2] }, true},
		"a dry run":      {func(r *Ruleset) { r.DryRun = true }, false},
		"less of the internet, which nobody asks for": {func(r *Ruleset) { r.NotPublic = prefixes("10.0.0.0/8") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := fenced()
			r.Containers[1].Mode = Audit
			r.Sources = []Source{
				{Name: "default", Allow: Matches{Names: []NameSet{{Addrs: named("203.0.113.1", "203.0.113.2")}}}},
				{Name: "noes", Deny: denied()},
				{Name: "yeses", Allow: Matches{Names: []NameSet{{Addrs: named("203.0.113.1")}}}, Deny: Matches{Nets: Literals{Boxes: boxes(200)}}},
			}
			r.Sources[1].Deny.Nets.Boxes = boxes(0)
			r.Containers[0].Shared = []string{"default"}
			r.Containers = append(r.Containers, Container{ID: "000000000003", Shared: []string{"noes", "yeses"}})
			next := clone(r)
			test.change(&next)
			if got := next.Tightens(r); got != test.want {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
	dry := fenced()
	dry.DryRun = true
	if !fenced().Tightens(dry) {
		t.Error("the end of a dry run does not tighten")
	}
}

func free() Endpoint { return Endpoint{"br-blue", netip.MustParseAddr("172.18.0.99")} }

func TestWhoIsAdmitted(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Ruleset)
		want   bool
	}{
		"nobody":                      {func(*Ruleset) {}, false},
		"another policy":              {func(r *Ruleset) { r.Containers[0].Own.Deny = denied() }, false},
		"a container":                 {func(r *Ruleset) { r.Containers = append(r.Containers, Container{ID: "000000000009"}) }, true},
		"a container less":            {func(r *Ruleset) { r.Containers = r.Containers[:1] }, false},
		"an address of one":           {func(r *Ruleset) { r.Containers[0].Endpoints = append(r.Containers[0].Endpoints, free()) }, true},
		"an address instead":          {func(r *Ruleset) { r.Containers[0].Endpoints[1] = free() }, true},
		"an address less":             {func(r *Ruleset) { r.Containers[0].Endpoints = r.Containers[0].Endpoints[:1] }, false},
		"another in its place":        {func(r *Ruleset) { r.Containers[0].ID = "000000000000" }, true},
		"addresses another way round": {func(r *Ruleset) { slices.Reverse(r.Containers[0].Endpoints) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := fenced()
			next := clone(r)
			test.change(&next)
			if got := next.Admits(r); got != test.want {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

func denied() Matches { return Matches{Addrs: Literals{Any: addrs("198.51.100.7")}} }

// boxes are 200 of as many ports from one on, of one address.
func boxes(first uint16) (out []Box) {
	for port := first; port < first+200; port++ {
		out = append(out, Box{addrs("198.51.100.9")[0], TCP, Ports{port, port}})
	}
	return out
}

// share adds a source that some containers follow.
func (r *Ruleset) share(name string, allow, deny Matches, followers ...int) {
	r.Sources = append(r.Sources, Source{Name: name, Allow: allow, Deny: deny})
	for _, i := range followers {
		r.Containers[i].Shared = append(r.Containers[i].Shared, name)
	}
}

// TestEachKindOfMatchTightens: allowed no more, or denied now; and neither the other way round.
func TestEachKindOfMatchTightens(t *testing.T) {
	box := []Box{{Range: addrs("198.51.100.1")[0], Proto: TCP, Ports: Ports{443, 443}}}
	for name, m := range map[string]Matches{
		"everything":              {All: []Clause{{Proto: UDP}}},
		"the host":                {Host: []Clause{{}}},
		"the internet":            {Internet: []Clause{{}}},
		"a resolver":              {Resolvers: []netip.Addr{netip.MustParseAddr("198.51.100.53")}},
		"an address":              {Addrs: Literals{Any: addrs("198.51.100.1")}},
		"an address by icmp":      {Addrs: Literals{ICMP: addrs("198.51.100.1")}},
		"a port of an address":    {Addrs: Literals{Boxes: box}},
		"a network":               {Nets: Literals{Any: nets("198.51.100.0/24")}},
		"a network by icmp":       {Nets: Literals{ICMP: nets("198.51.100.0/24")}},
		"a port of a network":     {Nets: Literals{Boxes: box}},
		"an address of a name":    {Names: []NameSet{{Addrs: named("198.51.100.1")}}},
		"a name's port":           {Names: []NameSet{{Clause: Clause{Proto: TCP}, Addrs: named("198.51.100.1")}}},
		"two clauses of one kind": {Host: []Clause{{Proto: TCP}, {Proto: UDP}}},
	} {
		t.Run(name, func(t *testing.T) {
			plain, allows, denies := fenced(), fenced(), fenced()
			allows.Containers[1].Own.Allow, denies.Containers[1].Own.Deny = m, m
			for step, r := range map[string][2]Ruleset{"allowed no more": {allows, plain}, "denied": {plain, denies}} {
				if !r[1].Tightens(r[0]) {
					t.Errorf("%s: does not tighten", step)
				}
				if r[0].Tightens(r[1]) {
					t.Errorf("not %s any more: tightens", step)
				}
			}
		})
	}
}

func TestAddressesThatAreGone(t *testing.T) {
	blue := func(a string) Endpoint { return Endpoint{"br-blue", netip.MustParseAddr(a)} }
	one := func(id string, ends ...Endpoint) Container { return Container{ID: id, Endpoints: ends} }
	for name, test := range map[string]struct {
		old, now []Container
		want     string
	}{
		"nobody left":                  {[]Container{one("1", blue("172.18.0.2"))}, []Container{one("1", blue("172.18.0.2"))}, ""},
		"a container came":             {nil, []Container{one("1", blue("172.18.0.2"))}, ""},
		"a container went":             {[]Container{one("1", blue("172.18.0.2"), blue("fd00::2"))}, nil, "172.18.0.2 fd00::2"},
		"another has its address":      {[]Container{one("1", blue("172.18.0.2"))}, []Container{one("2", blue("172.18.0.2"))}, "172.18.0.2"},
		"one of its networks":          {[]Container{one("1", blue("172.18.0.2"), Endpoint{"docker0", netip.MustParseAddr("172.17.0.2")})}, []Container{one("1", blue("172.18.0.2"))}, "172.17.0.2"},
		"it has another address there": {[]Container{one("1", blue("172.18.0.2"))}, []Container{one("1", blue("172.18.0.3"))}, "172.18.0.2"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, a := range (Ruleset{Containers: test.now}).Gone(Ruleset{Containers: test.old}) {
				got = append(got, a.String())
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("%v, want %s", got, test.want)
			}
		})
	}
}
