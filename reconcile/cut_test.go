package reconcile

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/flows"
	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/nft"
)

// walled is a host with two fenced networks. Container 1 may reach 203.0.113.0/24 and _host_:7000/tcp; container 2, on
// both networks, nothing.
func walled() (State, nft.Ruleset) {
	end := func(bridge, a string) nft.Endpoint {
		return nft.Endpoint{Bridge: bridge, Addr: netip.MustParseAddr(a)}
	}
	bridge := func(name, network string, subnets ...string) nft.Bridge {
		b := nft.Bridge{Name: name, Network: network}
		for _, s := range subnets {
			b.Subnets = append(b.Subnets, netip.MustParsePrefix(s))
		}
		return b
	}
	allow := nft.Matches{
		Nets: nft.Literals{Any: []nft.Range{{First: netip.MustParseAddr("203.0.113.0"), Last: netip.MustParseAddr("203.0.113.255")}}},
		Host: []nft.Clause{{Proto: nft.TCP, Ports: nft.Ports{First: 7000, Last: 7000}}},
	}
	r := nft.Ruleset{
		Bridges: []nft.Bridge{bridge("br-blue", "b00000000001", "172.18.0.0/16", "fd00:1::/64"), bridge("br-red", "b00000000002", "172.19.0.0/16")},
		Containers: []nft.Container{
			{ID: "000000000001", Endpoints: []nft.Endpoint{end("br-blue", "172.18.0.2"), end("br-blue", "fd00:1::2")}, Own: nft.Source{Allow: allow}},
			{ID: "000000000002", Endpoints: []nft.Endpoint{end("br-blue", "172.18.0.3"), end("br-red", "172.19.0.3")}},
		},
	}
	return State{Interfaces: hostnet.Interfaces{Addrs: addrs("127.0.0.1", "172.18.0.1", "198.51.100.1")}}, r
}

// flow is "tcp SRC DST" or "udp SRC DST via TO"; a "?" behind says that it was picked up.
func flow(text string) flows.Flow {
	text, unsure := strings.CutSuffix(text, " ?")
	words := strings.Fields(text)
	f := flows.Flow{Proto: map[string]uint8{"tcp": nft.TCP, "udp": nft.UDP, "icmp": nft.ICMP}[words[0]], PickedUp: unsure}
	f.Src, f.Dst = netip.MustParseAddrPort(words[1]), netip.MustParseAddrPort(words[2])
	f.To = f.Dst
	if len(words) > 3 {
		f.To = netip.MustParseAddrPort(words[4])
	}
	return f
}

func TestFlowsThatAreCut(t *testing.T) {
	for text, want := range map[string]string{
		"tcp 172.18.0.2:40000 203.0.113.9:443":                              "",
		"tcp 172.18.0.2:40000 192.0.2.1:443":                                "cut",
		"udp 172.18.0.2:40000 192.0.2.1:443":                                "cut, 172.18.0.2 192.0.2.1 17 443",
		"icmp 172.18.0.2:0 192.0.2.1:0":                                     "cut",
		"udp [fd00:1::2]:40000 [2001:db8::1]:443":                           "cut, fd00:1::2 2001:db8::1 17 443",
		"tcp 172.18.0.2:40000 172.18.0.1:7000":                              "", // _host_
		"tcp 172.18.0.2:40000 198.51.100.1:22":                              "cut",
		"udp 172.18.0.2:40000 172.18.0.1:7000":                              "cut, 172.18.0.2 172.18.0.1 17 7000",
		"tcp 172.18.0.2:40000 172.18.0.3:80":                                "", // the same network
		"tcp 172.18.0.3:40000 172.19.0.7:80":                                "cut",
		"tcp 172.18.0.2:40000 198.51.100.1:7000 via 172.19.0.3:80":          "", // a published port, after DNAT
		"tcp 172.18.0.2:40000 198.51.100.1:7001 via 172.19.0.3:80":          "cut",
		"udp 172.18.0.2:5353 224.0.0.251:5353":                              "", // nobody answers
		"udp 172.18.0.2:68 255.255.255.255:67":                              "",
		"tcp 192.0.2.1:40000 172.18.0.2:80":                                 "", // opened to it
		"tcp 192.0.2.1:40000 198.51.100.1:8080 via 172.18.0.2:80":           "",
		"tcp 172.18.0.1:40000 172.18.0.2:80":                                "",    // the host's
		"tcp 172.18.0.77:40000 203.0.113.9:443":                             "cut", // nobody's
		"tcp 172.18.0.77:40000 172.18.0.2:80":                               "",
		"tcp 10.0.0.1:40000 192.0.2.1:443":                                  "", // nobody we fence
		"tcp 198.51.100.1:40000 192.0.2.1:443":                              "",
		"tcp 172.18.0.9:40000 203.0.113.9:443":                              "cut", // its container is gone
		"udp 172.18.0.9:40000 203.0.113.9:443":                              "cut, 172.18.0.9 203.0.113.9 17 443",
		"udp 192.0.2.1:40000 198.51.100.1:53 via 172.18.0.9:53":             "cut",
		"udp [2001:db8::1]:443 [fd00:1::9]:40000":                           "cut, fd00:1::9 2001:db8::1 17 443",
		"tcp 192.0.2.1:40000 172.18.0.9:80":                                 "cut",
		"tcp 192.0.2.1:443 172.18.0.2:40000 ?":                              "",
		"fresh tcp 192.0.2.1:443 172.18.0.2:40000 ?":                        "cut",
		"fresh tcp 192.0.2.1:443 172.18.0.2:40000":                          "",
		"fresh tcp 203.0.113.9:443 172.18.0.2:40000 ?":                      "",
		"fresh udp [2001:db8::1]:443 [fd00:1::2]:40000":                     "cut, fd00:1::2 2001:db8::1 17 443",
		"fresh udp [2001:db8::1]:40000 [fd00:1::2]:51820":                   "",
		"fresh udp 192.0.2.1:443 172.18.0.2:40000":                          "",
		"fresh udp 192.0.2.1:40000 198.51.100.1:51820 via 172.18.0.2:51820": "",
		"fresh tcp 192.0.2.1:443 198.51.100.1:8080 via 172.18.0.2:80 ?":     "",
		"fresh tcp 172.18.0.1:443 172.18.0.2:40000 ?":                       "cut",
		"fresh tcp 172.18.0.1:40000 172.18.0.2:80 ?":                        "",
		"fresh tcp 172.18.0.1:7000 172.18.0.2:40000 ?":                      "",
		"fresh udp 203.0.113.9:443 172.18.0.2:40000":                        "",
		"dry tcp 172.18.0.2:40000 192.0.2.1:443":                            "",
		"dry udp 172.18.0.9:40000 203.0.113.9:443":                          "",
	} {
		t.Run(text, func(t *testing.T) {
			state, r := walled()
			plain, dry := strings.CutPrefix(text, "dry ")
			plain, fresh := strings.CutPrefix(plain, "fresh ")
			r.DryRun = dry
			other := flow("tcp 172.18.0.2:1 203.0.113.9:443")
			these := choose([]flows.Flow{other, flow(plain)}, map[netip.Addr]bool{netip.MustParseAddr("172.18.0.9"): true, netip.MustParseAddr("fd00:1::9"): true}, newJudge(state, r, fresh))
			var got []string
			if len(these.flows) > 0 {
				got = append(got, "cut")
			}
			if len(these.flows) > 1 || slices.Contains(these.flows, 0) {
				t.Errorf("chosen %v", these.flows)
			}
			for _, k := range these.keep {
				got = append(got, fmt.Sprint(k.Container, " ", k.Far, " ", k.Proto, " ", k.Port))
			}
			if strings.Join(got, ", ") != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

func TestAnAddressOfTwoContainersIsCutWhenBothAreDenied(t *testing.T) {
	state, r := walled()
	r.Containers[1].Endpoints[1].Addr = r.Containers[0].Endpoints[0].Addr
	for text, want := range map[string]int{"tcp 172.18.0.2:1 203.0.113.9:443": 0, "tcp 172.18.0.2:1 192.0.2.1:443": 1} {
		if n := len(choose([]flows.Flow{flow(text)}, nil, newJudge(state, r, false)).flows); n != want {
			t.Errorf("%s: %d cut, want %d", text, n, want)
		}
	}
}

// conntrack is a fake that says how often it was listed.
type conntrack struct {
	mu    sync.Mutex
	rules nft.Ruleset // that are committed
	all   []flows.Flow
	kept  []nft.Cut
	lists int
	nows  int // how often it was asked what is allowed now
	err   error
}

// with looks at it, or changes it.
func (c *conntrack) with(do func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	do()
}

func (c *conntrack) cut(choose func([]flows.Flow) []int) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lists++
	if c.err != nil {
		return 0, c.err
	}
	gone := choose(c.all)
	var rest []flows.Flow
	for i, f := range c.all {
		if !slices.Contains(gone, i) {
			rest = append(rest, f)
		}
	}
	c.all = rest
	return len(gone), nil
}

func newCutter(t *testing.T, c *conntrack) *Cutter {
	t.Helper()
	state, _ := walled()
	cutter, err := NewCutter(CutterOptions{
		Flows: c.cut, Now: func() (State, nft.Ruleset) { c.nows++; return state, c.rules },
		Keep: func(k []nft.Cut) error { c.kept = append(c.kept, k...); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return cutter
}

func TestACutterFollowsWhatTightens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state, r := walled()
		allowed, denied := flow("tcp 172.18.0.2:1 203.0.113.9:443"), flow("udp 172.18.0.2:2 192.0.2.1:443")
		c := &conntrack{all: []flows.Flow{allowed, denied}}
		cutter := newCutter(t, c)
		go func() { _ = cutter.Run(t.Context()) }()
		follow := func(what string, next nft.Ruleset, lists int, left ...flows.Flow) {
			t.Helper()
			c.with(func() { c.rules, c.lists = next, 0 })
			cutter.Follow(state, next)
			time.Sleep(time.Minute)
			c.with(func() {
				if c.lists != lists || !slices.Equal(c.all, left) {
					t.Errorf("%s: %d lists, left %v", what, c.lists, c.all)
				}
			})
		}
		follow("the first", r, 1, allowed)
		c.with(func() {
			if len(c.kept) != 1 || cutter.Count() != 1 {
				t.Errorf("kept %v, counted %d", c.kept, cutter.Count())
			}
		})
		follow("nothing new", r, 0, allowed)
		wide := clone(r)
		wide.Containers[1].Own.Allow.All = []nft.Clause{{}}
		follow("wider", wide, 0, allowed)
		follow("and back, which concerns nobody's flow", r, 1, allowed)
		handed := clone(r)
		handed.Containers[0].ID, handed.Containers[0].Own = "000000000000", wide.Containers[1].Own
		follow("its address is another's, who may do all", handed, 2)
		c.with(func() { c.all = nil })
		many := clone(handed)
		for i := range 10 {
			c.with(func() { c.lists = 0 })
			many.Containers = append(slices.Clone(many.Containers), nft.Container{ID: fmt.Sprintf("00000000001%d", i), Endpoints: []nft.Endpoint{{Bridge: "br-blue", Addr: netip.AddrFrom4([4]byte{172, 18, 1, byte(i)})}}})
			cutter.Follow(state, many)
			time.Sleep(admission / 20)
		}
		c.with(func() {
			if c.lists != 0 {
				t.Errorf("%d lists while containers come", c.lists)
			}
			c.all, c.rules = []flows.Flow{flow("tcp 172.18.1.1:1 203.0.113.9:443")}, many
		})
		follow("containers that came, whom nobody expects to have flows", many, 1)
		c.with(func() { c.err, c.all = errors.New("busy"), []flows.Flow{denied} })
		cutter.Follow(state, r)
		time.Sleep(5 * time.Second)
		c.with(func() { c.err, c.rules = nil, r })
		time.Sleep(5 * time.Second)
		c.with(func() {
			if len(c.all) != 0 {
				t.Error("not tried again")
			}
			c.all = []flows.Flow{denied}
		})
		cutter.Suspect()
		time.Sleep(time.Second)
		c.with(func() {
			if len(c.all) != 0 {
				t.Error("a suspicion is passed over")
			}
		})
	})
}

// TestAFlowThatAFarSideBeginsAgainIsCutToo: Docker ended it before the first look, and what the next container of the
// address has opened since is its own.
func TestAFlowThatAFarSideBeginsAgainIsCutToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state, r := walled()
		again, own, asked := flow("udp 203.0.113.9:443 172.18.0.2:50000"), flow("tcp 172.18.0.2:1 203.0.113.9:443"), flow("udp 203.0.113.9:50000 172.18.0.2:53")
		c := &conntrack{rules: r}
		cutter := newCutter(t, c)
		go func() { _ = cutter.Run(t.Context()) }()
		cutter.Follow(state, r)
		time.Sleep(time.Minute)
		handed := clone(r)
		handed.Containers[0].ID = "000000000000"
		c.with(func() { c.rules = handed })
		cutter.Follow(state, handed)
		time.Sleep(tenancy / 2)
		c.with(func() { c.all, c.kept = []flows.Flow{again, own, asked}, nil })
		time.Sleep(tenancy)
		c.with(func() {
			want := nft.Cut{Container: again.To.Addr(), Far: again.Src.Addr(), Proto: nft.UDP, Port: 443}
			if !slices.Equal(c.all, []flows.Flow{own, asked}) || len(c.kept) != 1 || c.kept[0] != want {
				t.Errorf("left %v, kept cut %v", c.all, c.kept)
			}
			c.lists = 0
		})
		time.Sleep(time.Minute)
		c.with(func() {
			if c.lists != 0 {
				t.Errorf("looked at %d times more", c.lists)
			}
		})
	})
}

func clone(r nft.Ruleset) nft.Ruleset {
	r.Containers = slices.Clone(r.Containers)
	return r
}

// TestWhatWasJustLearnedIsNotCut: the commit that is followed does not know of it. Where that denies nothing, nobody is
// asked what is allowed now.
func TestWhatWasJustLearnedIsNotCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state, committed := walled()
		learned := clone(committed)
		learned.Containers[1].Own.Allow.All = []nft.Clause{{}}
		c := &conntrack{all: []flows.Flow{flow("tcp 172.18.0.2:1 203.0.113.9:443")}, rules: learned}
		cutter := newCutter(t, c)
		go func() { _ = cutter.Run(t.Context()) }()
		check := func(what string, nows, left int) {
			t.Helper()
			time.Sleep(time.Minute)
			c.with(func() {
				if c.nows != nows || len(c.all) != left {
					t.Errorf("%s: asked %d times, left %v", what, c.nows, c.all)
				}
			})
		}
		cutter.Follow(state, committed)
		check("nothing is denied", 0, 1)
		c.with(func() { c.all = append(c.all, flow("tcp 172.18.0.3:1 192.0.2.1:443")) })
		cutter.Suspect()
		check("something else was learned to be denied", 1, 2)
		tighter := clone(committed)
		tighter.Containers[0].Own.Allow.Host = nil
		cutter.Follow(state, tighter)
		check("what was learned is not committed yet", 2, 2)
		c.with(func() { c.rules = committed })
		cutter.Suspect()
		check("it is forgotten", 3, 1)
	})
}

// TestFlowsToNamesNotKnownYetAreSpared for half a minute: a resolver may be slow, or just started too.
func TestFlowsToNamesNotKnownYetAreSpared(t *testing.T) {
	for name, c := range map[string]struct {
		label    string
		answered bool
		spared   bool
	}{
		"a name without an answer":        {"db.example", false, true},
		"a denied name without an answer": {"*, !evil.example", false, true},
		"both have answers":               {"db.example, !evil.example", true, false},
		"a wildcard":                      {"*.example", false, false},
		"no name":                         {"192.0.2.9", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				state, r := walled()
				state.Docker.Containers = []docker.Container{{ID: r.Containers[0].ID + strings.Repeat("0", 52), State: "running", Labels: map[string]string{"dockerwall.outbound": c.label}}}
				if c.answered {
					state.Names = map[string][]netip.Addr{"db.example": addrs("192.0.2.8")}
					state.Denied = map[string][]netip.Addr{"evil.example": {}}
				}
				denied, other := flow("tcp 172.18.0.2:2 192.0.2.1:443"), flow("tcp 172.18.0.3:2 192.0.2.1:443")
				ct := &conntrack{all: []flows.Flow{denied, other}, rules: r}
				cutter, err := NewCutter(CutterOptions{
					Flows: ct.cut, Now: func() (State, nft.Ruleset) { return state, r }, Keep: func([]nft.Cut) error { return nil }, Fresh: true,
				})
				if err != nil {
					t.Fatal(err)
				}
				go func() { _ = cutter.Run(t.Context()) }()
				cutter.Follow(state, r)
				left := func() (n int) { ct.with(func() { n = len(ct.all) }); return n }
				time.Sleep(20 * time.Second)
				if got := left(); (got == 1) != c.spared {
					t.Errorf("%d flows are left after 20 s", got)
				}
				time.Sleep(20 * time.Second)
				if got := left(); got != 0 {
					t.Errorf("%d flows are left after 40 s", got)
				}
			})
		})
	}
}

// TestTheNextTenantsFlowsAreHis, however late a pass comes.
func TestTheNextTenantsFlowsAreHis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state, r := walled()
		ct := &conntrack{rules: r, err: errors.New("busy")}
		cutter := newCutter(t, ct)
		cutter.Follow(state, r)
		handed := clone(r)
		handed.Containers[0].ID = "000000000000"
		go func() { _ = cutter.Run(t.Context()) }()
		cutter.Follow(state, handed)
		time.Sleep(10 * time.Second)
		ct.with(func() {
			ct.err, ct.rules = nil, handed
			ct.all = []flows.Flow{flow("tcp 172.18.0.2:1 203.0.113.9:443"), flow("tcp 192.0.2.1:40000 172.18.0.2:80"), flow("tcp 172.18.0.2:1 192.0.2.1:443")}
		})
		time.Sleep(10 * time.Second)
		ct.with(func() {
			if len(ct.all) != 2 {
				t.Errorf("left %v", ct.all)
			}
		})
	})
}

func TestManyCommitsMakeFewLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state, r := walled()
		c := &conntrack{}
		cutter := newCutter(t, c)
		go func() { _ = cutter.Run(t.Context()) }()
		for i := range 1000 {
			next := clone(r)
			next.Containers = next.Containers[i%2 : 1+i%2]
			cutter.Follow(state, next)
			time.Sleep(time.Millisecond)
		}
		c.with(func() {
			if c.lists < 10 || c.lists > 25 {
				t.Errorf("%d lists in a second", c.lists)
			}
		})
	})
}
