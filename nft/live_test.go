package nft

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func readLive(t testing.TB, n *lab.Namespace) Live {
	t.Helper()
	live, err := ReadLive(Options{NetNS: n.FD()})
	if err != nil {
		t.Fatal(err)
	}
	return live
}

// loaded is a namespace with a ruleset's text loaded by nft: nobody owns the table.
func loaded(t testing.TB, r Ruleset) *lab.Namespace {
	t.Helper()
	n := namespace(t)
	lab.Nft(t, n, r.String(), "-f", "-")
	return n
}

var titleLines = regexp.MustCompile(`(?m)^\t# .*\n`)

func untitled(text string) string { return titleLines.ReplaceAllString(text, "") }

// sameAsLive checks that the kernel's table prints as r does.
func sameAsLive(t *testing.T, n *lab.Namespace, r Ruleset, step string) {
	t.Helper()
	live := readLive(t, n)
	if diff := cmp.Diff(untitled(r.Table().Untitled().String()), untitled(live.Table.String())); diff != "" {
		t.Fatalf("%s: ruleset (-) and live table (+) print differently:\n%s", step, diff)
	}
	if live.String() != live.Table.String() || len(live.Foreign) > 0 {
		t.Fatalf("%s: foreign objects in a table of ours: %v", step, live.Foreign)
	}
	names, err := ReadNames(Options{NetNS: n.FD()})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fmt.Sprint(live.Names), fmt.Sprint(names.Names)); diff != "" || names.Exists != live.Exists || names.Owned != live.Owned {
		t.Fatalf("%s: the names alone read otherwise: %+v\n%s", step, names, diff)
	}
	if diff := TextDiff(live.String(), r.String()); diff != "" {
		t.Fatalf("%s: TextDiff sees a difference:\n%s", step, diff)
	}
}

func TestLiveTablePrintsLikeItsRuleset(t *testing.T) {
	n, text, g := namespace(t), namespace(t), newGenerator(t)
	k := open(t, n)
	r := sample()
	for step := range 40 {
		apply(t, k, r)
		sameAsLive(t, n, r, "committed")
		if step%4 == 0 {
			lab.Nft(t, text, "flush ruleset\n"+r.String(), "-f", "-")
			sameAsLive(t, text, r, "loaded by nft")
		}
		r = g.next(r)
		if step%10 == 9 {
			r = g.ruleset()
		}
	}
}

func TestLiveTableSaysWhatItIs(t *testing.T) {
	n := namespace(t)
	if live := readLive(t, n); live.Exists || live.Owned || live.String() != "" {
		t.Errorf("no table reads as %+v", live)
	}
	k := open(t, n)
	apply(t, k, sample())
	live := readLive(t, n)
	if !live.Exists || live.Owned != k.Features().Owner {
		t.Errorf("exists %v, owned %v; the kernel has ownership: %v", live.Exists, live.Owned, k.Features().Owner)
	}
	if live := readLive(t, loaded(t, sample())); live.Owned {
		t.Error("a table that nft made is nobody's")
	}
	want := []netip.Addr{netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("10.0.0.10"), netip.MustParseAddr("192.0.2.100")}
	got := live.Names["www.example.org"]
	if len(live.Names) != 1 || len(got) != 12 || !cmp.Equal(got[:3], want, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })) {
		t.Errorf("names: %v", live.Names)
	}
	for _, title := range []string{"\t# container web\n", "\t# container audited x\n", "\t# network on br-blue\n"} {
		if !strings.Contains(live.String(), title) {
			t.Errorf("no line %q", title)
		}
	}
}

// tampering is what a stranger does by nft, and the lines that a difference from the ruleset shows.
func TestTamperingShows(t *testing.T) {
	tests := map[string]struct {
		command string
		want    string
	}{
		"a rule is inserted": {
			`insert rule inet dockerwall c_000000000002 tcp dport { 22, 80-90 } counter accept comment "let me in"`,
			" \tchain c_000000000002 {\n" +
				"-\t\ttcp dport { 22, 80-90 } counter accept comment \"let me in\"\n" +
				" \t\tgoto c_000000000002_deny\n",
		},
		"an element is deleted": {
			`delete element inet dockerwall c_000000000001_no_net4 { 10.66.0.0/16 }`,
			" \tset c_000000000001_no_net4 {\n+\t\telement 10.66.0.0/16\n",
		},
		"an element is added": {
			`add element inet dockerwall default_dns4 { 192.0.2.200 comment "evil.example" }`,
			" \tset default_dns4 {\n-\t\telement 192.0.2.200 comment \"evil.example\"\n",
		},
		"a source goes elsewhere": {
			"delete element inet dockerwall source4 { \"docker0\" . 172.17.0.2 }\nadd element inet dockerwall source4 { \"docker0\" . 172.17.0.2 : jump c_000000000005 }",
			" \tmap source4 {\n" +
				"-\t\telement \"docker0\" . 172.17.0.2 : jump c_000000000005\n" +
				"+\t\telement \"docker0\" . 172.17.0.2 comment \"audited x\" : jump c_000000000002\n",
		},
		"a chain is emptied": {
			"flush chain inet dockerwall n_b00000000002",
			" \tchain n_b00000000002 {\n" +
				"+\t\tip saddr 172.17.0.1 goto unknown\n+\t\tip6 saddr fe80::1 goto unknown\n" +
				"+\t\tip saddr 172.17.0.0/16 ip daddr 172.17.0.0/16 accept\n+\t\tip saddr 172.17.0.0/16 ip daddr 224.0.0.0/4 accept\n" +
				"+\t\tip saddr 172.17.0.0/16 ip daddr 255.255.255.255 accept\n" +
				"+\t\tip saddr 0.0.0.0 ip daddr 224.0.0.0/4 accept\n+\t\tip saddr 0.0.0.0 ip daddr 255.255.255.255 accept\n" +
				"+\t\tip6 saddr fe80::/10 ip6 daddr fe80::/10 accept\n+\t\tip6 saddr fe80::/10 ip6 daddr ff00::/8 accept\n" +
				"+\t\tip6 saddr :: ip6 daddr ff00::/8 accept\n",
		},
		"the policy of a hook is changed": {
			"chain inet dockerwall input { policy drop; }",
			" \tchain input {\n" +
				"-\t\ttype filter hook input priority filter - 10; policy drop;\n" +
				"+\t\ttype filter hook input priority filter - 10; policy accept;\n" +
				" \t\tmeta iifkind \"veth\" ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00 goto unknown\n" +
				" \t\tmeta l4proto ipv6-icmp icmpv6 type @neighbours accept\n \t\t…\n",
		},
		"a port's frames pass": {
			"insert rule bridge dockerwall spoof iifname veth02 ether type arp accept",
			" \tchain spoof {\n-\t\tiifname \"veth02\" ether type arp accept\n \t\tcounter name \"drop_spoof\"\n" +
				" \t\tlimit rate 10/second burst 20 packets log prefix \"- spoof drop\" group 32 snaplen 128 queue-threshold 1\n \t\t…\n",
		},
		"a port speaks for anybody": {
			"flush map bridge dockerwall adverts",
			" \tmap adverts {\n+\t\telement \"veth02\" : jump p_0242ac110002\n+\t\telement \"veth03\" : jump p_0242ac110003\n" +
				"+\t\telement \"veth04\" : jump p_0242ac110004\n",
		},
		"chains of one name in both tables": {
			"add chain inet dockerwall mine\nadd rule inet dockerwall mine accept\nadd chain bridge dockerwall mine\nadd rule bridge dockerwall mine drop",
			"-\tchain mine {\n-\t\taccept\n-\t}\n-\tchain mine {\n-\t\tdrop\n-\t}\n",
		},
		"a chain of family bridge": {
			"add chain bridge dockerwall late { type filter hook forward priority filter; policy drop; }",
			"-\tchain late {\n-\t\ttype filter hook forward priority -200; policy drop;\n-\t}\n",
		},
		"a chain of another hook": {
			"add chain inet dockerwall before { type filter hook prerouting priority raw; policy drop; }\nadd rule inet dockerwall before meta mark != 0x10-0x20 ct state vmap { established : accept, new : goto invalid }",
			"-\tchain before {\n-\t\ttype filter hook prerouting priority raw; policy drop;\n" +
				"-\t\tmeta mark != 0x00000010-0x00000020 ct state vmap { established : accept, new : goto invalid }\n-\t}\n",
		},
		"sets of types we do not know": {
			"add set inet dockerwall marks { type mark . ether_addr; flags interval; counter; elements = { 0x1-0x5 . 02:00:00:00:00:01 } }\n" +
				"add map inet dockerwall ports { type inet_service : inet_service; elements = { 80 : 8080 } }\n" +
				"add set inet dockerwall default_net4 { type inet_service; flags interval; elements = { 80-90, 443, 65000-65535 } }",
			"-\tmap ports {\n-\t\ttype inet_service : inet_service\n-\t\telement 80 : 8080\n-\t}\n" +
				"-\tset default_net4 {\n-\t\ttype inet_service\n-\t\tflags interval\n-\t\telement 80-90\n-\t\telement 443\n-\t\telement 65000-65535\n-\t}\n" +
				"-\tset marks {\n-\t\ttype mark . ether_addr\n-\t\tflags interval\n-\t\tcounter\n-\t\telement 0x00000001-0x00000005 . 02:00:00:00:00:01 counter\n-\t}\n",
		},
		"other objects": {
			"add quota inet dockerwall half { over 10 mbytes }\nadd counter inet dockerwall more",
			"-\tcounter more {\n-\t}\n-\tquota half {\n-\t\t# not shown\n-\t}\n",
		},
		"a verdict that no map of ours has": {
			"delete element inet dockerwall same { \"docker0\" . \"docker0\" }\nadd element inet dockerwall same { \"docker0\" . \"docker0\" : goto unknown }",
			" \tmap same {\n-\t\telement \"docker0\" . \"docker0\" : goto unknown\n+\t\telement \"docker0\" . \"docker0\" : jump n_b00000000002\n",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := sample()
			n := loaded(t, r)
			lab.Nft(t, n, test.command, "-f", "-")
			if diff := cmp.Diff(test.want, TextDiff(readLive(t, n).String(), r.String())); diff != "" {
				t.Errorf("wanted (-), got (+):\n%s", diff)
			}
		})
	}
}

// TestStrangersRulesReadAsNftWroteThem loads rules that we never write.
func TestStrangersRulesReadAsNftWroteThem(t *testing.T) {
	n := loaded(t, sample())
	lab.Nft(t, n, "add chain inet dockerwall x\nadd set inet dockerwall seen { type ipv4_addr . inet_service; flags dynamic,timeout; timeout 90s; }", "-f", "-")
	for text, want := range map[string]string{
		"ip saddr 192.0.2.0/24 tcp dport 22 accept":                                                 "",
		"ip6 saddr != 2001:db8::/33 udp sport 5000-6000 drop":                                       "",
		"ip saddr 192.0.2.1 ip daddr 192.0.2.2 ip ttl 3 return":                                     "",
		"ip saddr { 192.0.2.1, 198.51.100.0/24, 203.0.113.1-203.0.113.9 } continue":                 "",
		"ct state established,related accept":                                                       "",
		"tcp flags & (fin | syn) == (fin | syn) drop":                                               "",
		"tcp flags syn counter":                                                                     "",
		"meta mark 0x0000ff01 ct mark set 0x00000007":                                               "",
		"meta mark set ct mark":                                                                     "",
		"meta mark & 0x000000ff == 0x00000001 drop":                                                 "",
		"iifname \"eth*\" oifname != \"docker0\" meta pkttype multicast drop":                       "",
		"limit rate over 5 mbytes/minute burst 100 bytes drop":                                      "limit rate over 5242880 bytes/minute burst 100 bytes drop",
		"log prefix \"a b\" level debug":                                                            "",
		"reject":                                                                                    "reject with icmpx port-unreachable",
		"icmp type echo-request accept":                                                             "meta nfproto ipv4 meta l4proto icmp icmp type 8 accept",
		"update @seen { ip saddr . tcp dport timeout 1m limit rate 3/second burst 5 packets } drop": "update @seen { ip saddr . tcp dport timeout 60s limit rate 3/second burst 5 packets } drop",
		"ip daddr . tcp dport vmap { 192.0.2.1 . 443 : jump invalid }":                              "",
		"fib daddr type local accept":                                                               "# [fib] [fib] 0x02000000 accept",
		"tcp option maxseg size 1000 drop":                                                          "# [exthdr] [exthdr] 0x03e8 drop",
		"ip daddr 192.0.2.1 meta length > 100 drop":                                                 "",
		"masquerade random":                                                                         "# [masq]",
		"notrack":                                                                                   "",
		"ct original packets > 100 drop":                                                            "# [ct] [byteorder of [ct]] > 0x0000000000000064 drop",
		"@th,0,32 0x12345678 drop":                                                                  "",
	} {
		if want == "" {
			want = text
		}
		lab.Nft(t, n, "flush chain inet dockerwall x\nadd rule inet dockerwall x "+text, "-f", "-")
		live := readLive(t, n)
		if got := live.Foreign[0].Text; got != "\tchain x {\n\t\t"+want+"\n\t}\n" {
			t.Errorf("\ngot  %s\nwant %s", strings.Split(got, "\n")[1], want)
		}
	}
}

func TestNamesCannotForgeLines(t *testing.T) {
	set := &liveSet{name: setBridges, types: []datatype{typeString}, elements: []liveElement{{key: ifname("a\"\n\tb")}}}
	if _, ok := set.ours(); ok {
		t.Error("printed as it is")
	}
	if text := set.text(); !strings.Contains(text, `{ "a\"\n\tb" }`) {
		t.Error(text)
	}
}

func TestReadingWithoutCapabilitySaysSo(t *testing.T) {
	const inside = "NFT_TEST_WITHOUT_CAPABILITY"
	if os.Getenv(inside) != "" {
		_, err := ReadLive(Options{})
		if !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
			t.Errorf("got %v", err)
		}
		return
	}
	n := namespace(t)
	cmd := n.Command(t.Context(), "setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), inside+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// manyNames is a ruleset whose one set of names holds addresses from first on.
func manyNames(first string) Ruleset {
	r, a := sample(), netip.MustParseAddr(first)
	var list []NamedAddr
	for range 3000 {
		list = append(list, NamedAddr{a, "www.example.org"})
		a = a.Next()
	}
	r.Sources[0].Allow.Names = []NameSet{{Addrs: list}}
	return r
}

func TestReadingWhileTheTableChangesShowsOneMoment(t *testing.T) {
	n := namespace(t)
	k := open(t, n)
	states := []Ruleset{manyNames("100.64.0.0"), manyNames("100.65.0.0")}
	prints := map[string]bool{}
	for _, r := range states {
		apply(t, k, r)
		prints[untitled(r.Table().Untitled().String())] = true
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 100 {
			if _, err := k.Apply(states[i%2]); err != nil {
				t.Error(err)
			}
		}
	}()
	for reading := true; reading; {
		select {
		case <-done:
			reading = false
		default:
		}
		live, err := ReadLive(Options{NetNS: n.FD()})
		if err == nil && !prints[untitled(live.String())] {
			t.Error("a table that never was")
		}
		if err != nil && !errors.Is(err, ErrChanging) {
			t.Error(err)
		}
	}
}
