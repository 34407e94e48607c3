package nft

import (
	"net/netip"
	"strings"
	"testing"
	"unicode"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// keySets are sets by the types of their keys, as the kernel would list them.
func keySets(sets []Set) map[string]*liveSet {
	out := map[string]*liveSet{}
	for _, s := range sets {
		live := &liveSet{name: s.Name}
		for _, t := range s.Types {
			n := t.netlink()
			live.types = append(live.types, datatype(n.GetNFTMagic()))
			live.keyLength += len(keyOf(string(make([]byte, t.size())), ""))
		}
		if len(s.Types) == 1 {
			live.keyLength = s.Types[0].size()
		}
		out[s.Name] = live
	}
	return out
}

// wire is what the kernel would list of expressions made by the library.
func wire(t *testing.T, exprs []expr.Any) []expression {
	t.Helper()
	var out []expression
	for _, e := range exprs {
		b, err := expr.Marshal(byte(nftables.TableFamilyINet), e)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, expressionOf(b))
	}
	return out
}

func ruleExpressions(t *testing.T, r Rule) []expression {
	t.Helper()
	var out []expr.Any
	for _, c := range r.clauses {
		out = append(out, c.exprs()...)
	}
	return wire(t, out)
}

func TestDecodedRulesReadAsTheyWereWritten(t *testing.T) {
	g := newGenerator(t)
	rulesets := []Ruleset{sample()}
	for range 200 {
		rulesets = append(rulesets, g.ruleset())
	}
	for _, r := range rulesets {
		var sets []Set
		for _, f := range r.Table().Fragments {
			sets = append(sets, f.Sets...)
		}
		known := keySets(sets)
		for _, f := range r.Table().Fragments {
			for _, c := range f.Chains {
				for _, rule := range c.Rules {
					if got := decodeRule(ruleExpressions(t, rule), known); got != rule.text {
						t.Fatalf("%s:\n got %s\nwant %s", c.Name, got, rule.text)
					}
				}
			}
		}
	}
}

func TestEveryClauseReadsAsItsText(t *testing.T) {
	four, six := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")
	for _, f := range []func(family) field{saddr, daddr, originalDaddr} {
		for _, r := range []Range{{four, four}, {four.Prev(), four.Next()}, nets("10.0.0.0/8")[0], nets("172.16.0.0/12")[0], nets("10.1.2.3/31")[0], nets("0.0.0.0/1")[0]} {
			checkClause(t, inRange(r, f(v4)))
		}
		for _, r := range []Range{{six, six}, {six, six.Next().Next()}, nets("2001:db8::/32")[0], nets("2001:db8::/33")[0], nets("fe80::/10")[0], nets("::/1")[0]} {
			checkClause(t, inRange(r, f(v6)))
		}
	}
	for _, p := range []uint8{0, 1, 2, 6, 17, 47, 58, 132, 255} {
		checkClause(t, proto(p))
	}
	for _, ports := range []Ports{{53, 53}, {0, 0}, {0, 65535}, {8000, 8080}} {
		for _, p := range []uint8{0, TCP, UDP, SCTP} {
			checkClause(t, dport(p, ports))
		}
		checkClause(t, originalDport(TCP, ports))
		checkClause(t, originalDport(UDP, ports))
	}
	for _, c := range []clause{
		ctInvalid(), ctEstablished(), ctRelated(), ctNew(), dnatted(), straySegment(), toHost(true), toHost(false), unknownBridge(), pktBroadcast(),
		accept(), drop(), jump("c_000000000001"), goTo("unknown"), count("drop_stray"), rejectReset(), rejectAdmin(), log("c_0 denied drop", 32), logLimit(),
		in("hosts", daddr(v6)), notIn("hosts", daddr(v4)), vmap("pairs", iifname(), saddr(v4)), record("boxes4", true, daddr(v4), l4proto(), zeroPort()),
		record("boxes6", false, daddr(v6), l4proto(), thDport()),
	} {
		checkClause(t, c)
	}
}

func checkClause(t *testing.T, c clause) {
	t.Helper()
	sets := keySets([]Set{
		{Name: "hosts", Types: []keyType{typeIPv6}}, {Name: "pairs", Types: []keyType{typeIfname, typeIPv4}},
		{Name: "boxes4", Types: []keyType{typeIPv4, typeProto, typeService}}, {Name: "boxes6", Types: []keyType{typeIPv6, typeProto, typeService}},
	})
	if c.text == notIn("hosts", daddr(v4)).text {
		sets["hosts"].keyLength = 4
	}
	if got := decodeRule(ruleExpressions(t, rule(c)), sets); got != c.text {
		t.Errorf("got  %s\nwant %s", got, c.text)
	}
}

func TestWhatIsNotUnderstoodIsMarked(t *testing.T) {
	mark := &expr.Meta{Key: expr.MetaKeyMARK, Register: 1}
	tests := map[string]struct {
		exprs []expr.Any
		want  string
	}{
		"no expression at all": {nil, ""},
		"an unknown load and what follows from it": {
			[]expr.Any{&expr.Fib{Register: 1, FlagSADDR: true, ResultADDRTYPE: true}, equal([]byte{2, 0, 0, 0}), &expr.Verdict{Kind: expr.VerdictAccept}},
			"# [fib] [fib] 0x02000000 accept",
		},
		"understood before, not after": {
			append(proto(TCP).exprs(), &expr.Queue{Num: 7}, &expr.Verdict{Kind: expr.VerdictDrop}), "meta l4proto tcp # [queue] drop",
		},
		"a target of xtables": {
			[]expr.Any{&expr.Target{Name: "NFQUEUE", Rev: 3, Info: new(xt.Unknown)}}, "# [xt target NFQUEUE]",
		},
		"an unknown meta key":        {[]expr.Any{&expr.Meta{Key: 99, Register: 1}}, "# [meta]"},
		"a load that nobody uses":    {[]expr.Any{mark, &expr.Verdict{Kind: expr.VerdictAccept}}, "accept # [unused meta mark]"},
		"a load that is overwritten": {[]expr.Any{mark, &expr.Meta{Key: expr.MetaKeyOIF, Register: 8}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{3, 0, 0, 0}}}, "# [unused meta mark] oif 3"},
		"a register nobody filled":   {[]expr.Any{equal([]byte{1})}, "# [register 8] 0x01"},
		"an address without a test of the family": {
			[]expr.Any{&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4}, equal([]byte{10, 0, 0, 1})}, "@nh,128,32 0x0a000001",
		},
		"bits that are set": {
			[]expr.Any{mark, &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: []byte{1, 0, 0, 0}, Xor: []byte{2, 0, 0, 0}}, &expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: 1}},
			"# meta mark set [bitwise of meta mark]",
		},
		"a comparison of more than the field": {
			[]expr.Any{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1}, equal([]byte(ifname("eth0") + "more"))},
			"# [iifname 0x657468300000000000000000000000006d6f7265]",
		},
		"a queue verdict": {[]expr.Any{&expr.Verdict{Kind: 3}}, "# [verdict 3]"},
		"a comparison of less than the field": {
			[]expr.Any{mark, equal([]byte{1})}, "# [meta mark 0x01]",
		},
		"a name with control bytes": {[]expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: "a\x1b\nb"}}, `jump "a\x1b\nb"`},
		"flags of a log":            {[]expr.Any{&expr.Log{Key: 1 << unix.NFTA_LOG_FLAGS, Flags: expr.LogFlagsMask}}, "# [log]"},
		"a counter in between keeps the test of the family": {
			append(append(nfproto(v4), &expr.Counter{}), inRange(nets("10.0.0.1/32")[0], daddr(v4)).exprs()[2:]...), "meta nfproto ipv4 counter ip daddr 10.0.0.1",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := decodeRule(wire(t, test.exprs), nil); got != test.want {
				t.Errorf("\n got %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestNewAttributesAreNotOverlooked(t *testing.T) {
	e := wire(t, []expr.Any{&expr.Counter{}})
	e[0].attributes = append(e[0].attributes, attribute{9, []byte{1}})
	if got := decodeRule(e, nil); got != "# [counter]" {
		t.Errorf("got %q", got)
	}
}

// FuzzDecode feeds the decoder rules that no kernel would list.
func FuzzDecode(f *testing.F) {
	for _, c := range []clause{straySegment(), log("x", 1), vmap("s", iifname(), saddr(v4)), record("s", true, daddr(v6), l4proto(), thDport()), unknownBridge()} {
		var list []netlink.Attribute
		for _, e := range c.exprs() {
			b, err := expr.Marshal(byte(nftables.TableFamilyINet), e)
			if err != nil {
				f.Fatal(err)
			}
			list = append(list, netlink.Attribute{Type: unix.NFTA_LIST_ELEM, Data: b})
		}
		b, err := netlink.MarshalAttributes(list)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, b)
	}
	f.Fuzz(func(t *testing.T, rule, object []byte) {
		a := attributesOf(object)
		set := newLiveSet(a)
		set.name = "s"
		set.read([]attributes{a})
		whole := set.text() + chainText((&liveChain{attributes: a}).chain(nil, true))
		if s, ok := set.ours(); ok {
			whole += Table{Fragments: []*Fragment{{Sets: []Set{s}}}}.String()
		}
		text := ruleText(attributes{{unix.NFTA_RULE_EXPRESSIONS, rule}, {unix.NFTA_RULE_USERDATA, object}}, map[string]*liveSet{"s": set})
		if strings.ContainsFunc(text, unicode.IsControl) || strings.ContainsFunc(whole, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) {
			t.Errorf("control characters: %q %q", text, whole)
		}
	})
}
