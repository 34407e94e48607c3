package nft

import "testing"

func TestLearnedAddressesLastUntilTheNextRuleset(t *testing.T) {
	tests := map[string]struct {
		owner  string
		clause Clause
		names  func(*Ruleset) *NameSet
	}{
		"of a shared source":           {"default", Clause{}, func(r *Ruleset) *NameSet { return &r.Sources[0].Allow.Names[0] }},
		"of a container":               {"000000000001", Clause{}, func(r *Ruleset) *NameSet { return &r.Containers[0].Own.Allow.Names[0] }},
		"of a container with a clause": {"000000000001", Clause{TCP, Ports{1000, 2000}}, func(r *Ruleset) *NameSet { return &r.Containers[0].Own.Allow.Names[4] }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			n, ref := namespace(t), reference{namespace(t)}
			k := open(t, n)
			r := sample()
			apply(t, k, r)
			with := clone(r)
			set := test.names(&with)
			more := named("203.0.113.77", "2001:db8:9::77")
			set.Addrs = merged(set.Addrs, more)
			for range 2 { // the second time there is nothing to do
				if err := k.Learn([]Learned{{Owner: test.owner, Clause: test.clause, Addrs: more}}); err != nil {
					t.Fatal(err)
				}
				sameTable(t, n, ref, with, "learned")
			}
			if again := apply(t, k, with); again.Changed {
				t.Errorf("the ruleset that holds them made %d operations", again.Ops)
			}
			if err := k.Learn([]Learned{{Owner: test.owner, Clause: test.clause, Addrs: named("203.0.113.78")}}); err != nil {
				t.Fatal(err)
			}
			apply(t, k, with)
			sameTable(t, n, ref, with, "a ruleset without the last one")
			apply(t, k, r)
			sameTable(t, n, ref, r, "a ruleset without any")
		})
	}
}

func merged(a, b []NamedAddr) []NamedAddr {
	var out []NamedAddr
	mergeFunc(a, b, func(x, y NamedAddr) int { return x.Addr.Compare(y.Addr) }, func(x, y *NamedAddr) {
		if x == nil {
			x = y
		}
		out = append(out, *x)
	})
	return out
}

func TestLearnNeedsAKnownTable(t *testing.T) {
	k := open(t, namespace(t))
	if err := k.Learn([]Learned{{Owner: "default", Addrs: named("203.0.113.77")}}); err == nil {
		t.Error("learned before there was a table")
	}
	apply(t, k, sample())
	k.Invalidate()
	if err := k.Learn([]Learned{{Owner: "default", Addrs: named("203.0.113.77")}}); err == nil {
		t.Error("learned while the table was not known")
	}
}

func TestOneBatchFillsManySets(t *testing.T) {
	n, ref := namespace(t), reference{namespace(t)}
	k := open(t, n)
	r := sample()
	r.Sources[0].Deny.Names = []NameSet{{Addrs: named("198.51.100.9")}}
	apply(t, k, r)
	with := clone(r)
	more, other := named("203.0.113.77"), named("203.0.113.79")
	for _, set := range []*NameSet{&with.Sources[0].Allow.Names[0], &with.Containers[0].Own.Allow.Names[0]} {
		set.Addrs = merged(set.Addrs, more)
	}
	with.Sources[0].Allow.Names[0].Addrs = merged(with.Sources[0].Allow.Names[0].Addrs, other)
	with.Sources[0].Deny.Names[0].Addrs = merged(with.Sources[0].Deny.Names[0].Addrs, more)
	err := k.Learn([]Learned{
		{Owner: "default", Addrs: more}, {Owner: "000000000001", Addrs: more}, {Owner: "default", Addrs: merged(more, other)},
		{Owner: "default", Deny: true, Addrs: more}, {Owner: "ffffffffffff", Addrs: more}, // the last one is gone
	})
	if err != nil {
		t.Fatal(err)
	}
	sameTable(t, n, ref, with, "learned")
	if again := apply(t, k, with); again.Changed {
		t.Errorf("the ruleset that holds them made %d operations", again.Ops)
	}
}

func TestAContainerWithoutIPv6LearnsIPv4Alone(t *testing.T) {
	n, ref := namespace(t), reference{namespace(t)}
	k := open(t, n)
	r := sample()
	web := &r.Containers[0]
	web.Endpoints = web.Endpoints[:1]
	apply(t, k, r)
	more := named("203.0.113.77", "2001:db8:9::77")
	learned := []Learned{{Owner: web.ID, Addrs: more}, {Owner: web.ID, Deny: true, Addrs: more}, {Owner: "000000000003", Addrs: more}, {Owner: "000000000002", Addrs: more}}
	if err := k.Learn(learned); err != nil {
		t.Fatal(err)
	}
	with := clone(r)
	for _, names := range [][]NameSet{with.Containers[0].Own.Allow.Names, with.Containers[0].Own.Deny.Names} {
		names[0].Addrs = merged(names[0].Addrs, more)
	}
	sameTable(t, n, ref, with, "learned")
	if err := k.Learn([]Learned{{Owner: web.ID, Addrs: named("2001:db8:9::78")}}); err != nil {
		t.Errorf("with nothing to commit: %v", err)
	}
	if again := apply(t, k, with); again.Changed {
		t.Errorf("the ruleset that holds them made %d operations", again.Ops)
	}
}

func TestWhatIsLearnedIsJudgedAsIfItHadBeenBuilt(t *testing.T) {
	pin(t)
	o := newRouter(t)
	through := passed(t, o)
	k := open(t, o.host)
	r := fenced()
	r.Containers[0].Own.Allow.Names = []NameSet{{Clause: Clause{UDP, Ports{443, 443}}}}
	r.Containers[0].Own.Deny.Names = []NameSet{{}}
	apply(t, k, r)
	addr := named("198.51.100.9")
	packet := frame{Src: parseAddrs("172.18.0.2")[0], Dst: addr[0].Addr, Proto: UDP, Dport: 443}
	for i, step := range []struct {
		learned []Learned
		want    uint64 // packets that have gone through, of one more each time
	}{
		{nil, 0},
		{[]Learned{{Owner: "000000000001", Addrs: addr}}, 0}, // a clause nobody has
		{[]Learned{{Owner: "000000000001", Clause: Clause{UDP, Ports{443, 443}}, Addrs: addr}}, 1},
		{[]Learned{{Owner: "000000000001", Deny: true, Addrs: addr}}, 1},
	} {
		if err := k.Learn(step.learned); err != nil {
			t.Fatal(err)
		}
		packet.Sport = 1000 + uint16(i)
		o.send(t, "blue", packet)
		o.settled(t, uint16(100+i))
		if got := through(); got != step.want {
			t.Errorf("step %d: %d packets went through, want %d", i, got, step.want)
		}
	}
}
