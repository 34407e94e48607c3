package observe

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/reconcile"
)

// opener is of a host with one address.
func opener() reconcile.Opener {
	var s reconcile.State
	s.Interfaces = hostnet.Interfaces{Addrs: []netip.Addr{netip.MustParseAddr("172.17.0.1")}}
	return reconcile.NewOpener(s)
}

// seen is a record as "tcp 192.0.2.1:443 NAME…" or "icmp 192.0.2.1".
func seen(t testing.TB, text string) Record {
	t.Helper()
	words := strings.Fields(text)
	r := Record{Packets: 1, Bytes: 60, Names: words[2:], First: newClock().now, Last: newClock().now}
	r.Proto = map[string]uint8{"tcp": nft.TCP, "udp": nft.UDP, "icmp": nft.ICMP, "icmpv6": nft.ICMPv6, "gre": 47}[words[0]]
	if to, err := netip.ParseAddrPort(words[1]); err == nil {
		r.Dst, r.Port = to.Addr(), to.Port()
	} else if r.Dst, err = netip.ParseAddr(words[1]); err != nil && words[1] != "-" {
		t.Fatal(err)
	}
	r.Host = r.Dst == netip.MustParseAddr("172.17.0.1")
	return r
}

func TestSuggestedTokens(t *testing.T) {
	for name, test := range map[string]struct {
		existing, preset string
		asked            []string
		seen             []string
		tokens           string // joined by ", "
		notes            []string
	}{
		"nothing was seen": {},
		"a name, an address, a ping and the host": {
			seen:   []string{"tcp 192.0.2.9:5432", "icmp 192.0.2.9", "tcp 172.17.0.1:8080", "tcp 192.0.2.1:443 www.example.com"},
			tokens: "www.example.com:443/tcp, 192.0.2.9:5432/tcp, 192.0.2.9/icmp, _host_:8080/tcp",
		},
		"IPv6 has brackets, and a ping of it the same word": {
			seen:   []string{"tcp [2001:db8::1]:443", "icmpv6 2001:db8::1"},
			tokens: "[2001:db8::1]:443/tcp, [2001:db8::1]/icmp",
		},
		"addresses of one name are one token": {
			seen:   []string{"tcp 192.0.2.1:443 www.example.com", "tcp 192.0.2.2:443 www.example.com", "tcp [2001:db8::1]:443 www.example.com"},
			tokens: "www.example.com:443/tcp",
		},
		"ports that follow each other are a range, others are not": {
			seen:   []string{"tcp 192.0.2.1:8001 a.example.com", "tcp 192.0.2.2:8000 a.example.com", "tcp 192.0.2.1:8002 a.example.com", "tcp 192.0.2.1:8004 a.example.com", "udp 192.0.2.1:8003 a.example.com"},
			tokens: "a.example.com:8000-8002/tcp, a.example.com:8004/tcp, a.example.com:8003/udp",
		},
		"the highest port and the lowest do not follow each other": {
			seen:   []string{"tcp 192.0.2.1:65535", "tcp 192.0.2.1:65534", "tcp 192.0.2.1:1"},
			tokens: "192.0.2.1:1/tcp, 192.0.2.1:65534-65535/tcp",
		},
		"of several names the one that was asked for": {
			asked:  []string{"shop.example.com"},
			seen:   []string{"tcp 192.0.2.1:443 cdn.example.net shop.example.com"},
			tokens: "shop.example.com:443/tcp",
		},
		"a name that only others asked for is not suggested to a container that asks": {
			asked:  []string{"shop.example.com"},
			seen:   []string{"tcp 192.0.2.1:443 evil.example"},
			tokens: "192.0.2.1:443/tcp",
		},
		"of several names the latest": {
			seen:   []string{"tcp 192.0.2.1:443 cdn.example.net shop.example.com"},
			tokens: "cdn.example.net:443/tcp",
		},
		"an address that no answer can open is suggested itself": {
			seen:   []string{"tcp 169.254.1.1:443 www.example.com"},
			tokens: "169.254.1.1:443/tcp",
		},
		"what the label has by now is left out": {
			existing: "www.example.com:443, 192.0.2.0/24:5432/tcp, _host_:8080, 192.0.2.7",
			seen:     []string{"tcp 192.0.2.1:443 www.example.com", "tcp 192.0.2.9:5432", "tcp 172.17.0.1:8080", "icmp 192.0.2.7", "tcp 192.0.2.9:5433", "udp 192.0.2.9:5432"},
			tokens:   "192.0.2.9:5433/tcp, 192.0.2.9:5432/udp",
		},
		"and what DEFAULT_OUTBOUND has": {
			preset: "*.example.com, _internet_:80",
			seen:   []string{"tcp 9.9.9.1:443 www.example.com", "tcp 9.9.9.9:80", "tcp 10.0.0.1:80"},
			tokens: "10.0.0.1:80/tcp",
		},
		"a prefix in the label does not open the host": {
			existing: "172.17.0.0/16",
			seen:     []string{"tcp 172.17.0.1:8080"},
			tokens:   "_host_:8080/tcp",
		},
		"a wildcard in the label does not open private addresses": {
			existing: "*.example.com",
			seen:     []string{"tcp 10.0.0.1:443 db.example.com"},
			tokens:   "db.example.com:443/tcp",
		},
		"what the label denies is a note": {
			existing: "!ads.example.com, !192.0.2.0/24:25, !_host_, !_dns_",
			seen:     []string{"tcp 192.0.2.1:443 ads.example.com", "tcp 192.0.2.9:25", "tcp 172.17.0.1:80", "udp 9.9.9.9:53"},
			notes: []string{
				"ads.example.com (192.0.2.1), port 443/tcp is denied by `!ads.example.com`", "192.0.2.9, port 25/tcp is denied by `!192.0.2.0/24:25`",
				"172.17.0.1, port 80/tcp is denied by `!_host_`", "9.9.9.9, port 53/udp is denied by `!_dns_`",
			},
		},
		"a stranger's resolver and a metadata service are notes": {
			seen: []string{"udp 9.9.9.9:53", "tcp 169.254.169.254:80", "tcp 169.254.170.23:80", "tcp 168.63.129.16:80 www.example.com"},
			notes: []string{"dns bypass", "`9.9.9.9:53/udp`", "metadata service", "`169.254.169.254:80/tcp`",
				"169.254.170.23, port 80/tcp: a cloud's metadata service", "www.example.com (168.63.129.16), port 80/tcp: a cloud's metadata service"},
		},
		"a protocol that the grammar has no word for is a note": {
			seen:  []string{"gre 192.0.2.1"},
			notes: []string{"192.0.2.1, 47: the grammar has no clause as narrow", "`192.0.2.1`"},
		},
		"groups are nothing": {seen: []string{"udp 224.0.0.251:5353", "udp 255.255.255.255:67"}},
		"what had no destination is a note": {
			seen:  []string{"- -"},
			notes: []string{"1 packets had no destination of their own"},
		},
		"many names below one are a note": {
			seen: []string{"tcp 192.0.2.1:443 a.cdn.example.com", "tcp 192.0.2.2:443 b.cdn.example.com", "tcp 192.0.2.3:443 c.cdn.example.com",
				"tcp 192.0.2.4:443 d.cdn.example.com", "tcp 192.0.2.5:443 e.cdn.example.com", "tcp 192.0.2.6:444 f.cdn.example.com"},
			tokens: "a.cdn.example.com:443/tcp, b.cdn.example.com:443/tcp, c.cdn.example.com:443/tcp, d.cdn.example.com:443/tcp, e.cdn.example.com:443/tcp, f.cdn.example.com:444/tcp",
			notes:  []string{"5 names are below cdn.example.com: `*.cdn.example.com:443/tcp`"},
		},
		"many names below a public suffix are not": {
			seen:   []string{"tcp 192.0.2.1:443 a.co.uk", "tcp 192.0.2.2:443 b.co.uk", "tcp 192.0.2.3:443 c.co.uk", "tcp 192.0.2.4:443 d.co.uk", "tcp 192.0.2.5:443 e.co.uk"},
			tokens: "a.co.uk:443/tcp, b.co.uk:443/tcp, c.co.uk:443/tcp, d.co.uk:443/tcp, e.co.uk:443/tcp",
		},
		"a label with a mistake is kept, and said": {
			existing: "www.example.com,\n10.0.0.0.1, ",
			seen:     []string{"tcp 192.0.2.9:5432"},
			tokens:   "192.0.2.9:5432/tcp",
			notes:    []string{`the label has a mistake: error at 18, "10.0.0.0.1"`},
		},
		"a void label too": {
			existing: "www.example.com, !nonsense",
			seen:     []string{"tcp 192.0.2.1:443 www.example.com"},
			tokens:   "www.example.com:443/tcp",
			notes:    []string{"nothing it allows counts"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := Case{Existing: test.existing, Mode: "audit", Until: newClock().now.Add(time.Hour), Token: opener().Token}
			c.Observed = Observed{Subject: webApp, Since: newClock().now, Asked: test.asked}
			if len(test.asked) > 0 {
				c.Observed.AskedLast = newClock().now
			}
			preset, _ := policy.Parse(test.preset)
			c.Others = preset.Tokens
			for _, text := range test.seen {
				c.Observed.Records = append(c.Observed.Records, seen(t, text))
			}
			got := Suggest(c)
			var tokens []string
			for _, one := range got.Tokens {
				tokens = append(tokens, one.Token)
				if one.Why == "" || one.Packets == 0 || one.First.IsZero() || one.Last.IsZero() {
					t.Errorf("%+v", one)
				}
			}
			if diff := cmp.Diff(test.tokens, strings.Join(tokens, ", ")); diff != "" {
				t.Errorf("tokens (-want +got):\n%s", diff)
			}
			notes := strings.Join(got.Notes, "\n")
			for _, want := range test.notes {
				if !strings.Contains(notes, want) {
					t.Errorf("no note %q", want)
				}
			}
			if len(got.Notes) > len(test.notes) {
				t.Errorf("notes:\n%s", notes)
			}
			if got.Container != "web" || got.Mode != "audit" || got.From != newClock().now || got.Until != c.Until || got.Existing != test.existing {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestNamesOfOthersStandBehindThoseThatWereEverAskedFor: a program that asks once and connects for days must not have a
// name suggested that a neighbour gave its destination since.
func TestNamesOfOthersStandBehindThoseThatWereEverAskedFor(t *testing.T) {
	c := Case{Token: opener().Token}
	c.Observed.Asked, c.Observed.AskedLast = []string{"shop.example.com"}, newClock().now.Add(-askedOfLate-time.Hour)
	c.Observed.Records = []Record{seen(t, "tcp 192.0.2.1:443 evil.example shop.example.com"), seen(t, "tcp 192.0.2.2:443 cdn.example.net")}
	if got := Suggest(c).Outbound; got != "cdn.example.net:443/tcp, shop.example.com:443/tcp" {
		t.Error(got)
	}
}

// TestAnAddressThatTheHostGotLaterIsTheHosts: a token that the label has by now is not suggested again, for a label with
// one token twice is not taken for a good one.
func TestAnAddressThatTheHostGotLaterIsTheHosts(t *testing.T) {
	c := Case{Existing: "_host_:80/tcp", Token: opener().Token}
	for _, to := range []string{"172.17.0.1:80", "172.17.0.1:8000", "172.17.0.1:9000"} {
		r := seen(t, "tcp "+to)
		r.Host = false
		c.Observed.Records = append(c.Observed.Records, r)
	}
	if got := Suggest(c).Outbound; got != "_host_:80/tcp, _host_:8000/tcp, _host_:9000/tcp" {
		t.Error(got)
	}
}

func TestASuggestedLabelIsTheOldOneAndTheTokens(t *testing.T) {
	open := opener()
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SampledFrom([]string{"www.example.com", "api.example.com", "a.b.example.net", "x--y.example.org", "_srv.example.com", "xn--bcher-kva.example"})
		addrs := rapid.SampledFrom([]string{"192.0.2.1", "192.0.2.2", "10.1.2.3", "172.17.0.1", "2001:db8::1", "fe80::1", "169.254.169.254", "9.9.9.9"})
		c := Case{Token: open.Token, Existing: strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{
			"www.example.com", "192.0.2.0/24:80", "!api.example.com:443", "*.example.net:1-1000/tcp", "_host_:22", " ", "\n", "[2001:db8::/32]:443/udp", "!10.0.0.0/8", "_internet_:443",
		}), 0, 6).Draw(t, "label"), ",")}
		c.Observed.AskedLast = time.Unix(int64(rapid.IntRange(-1, 0).Draw(t, "asked of late"))*1e6, 0)
		c.Observed.Asked = rapid.SliceOfN(names, 0, 2).Draw(t, "asked")
		for range rapid.IntRange(0, 40).Draw(t, "records") {
			r := Record{Names: rapid.SliceOfNDistinct(names, 0, 2, rapid.ID).Draw(t, "names"), Packets: 1, Last: time.Unix(0, 0)}
			r.Dst = netip.MustParseAddr(addrs.Draw(t, "address"))
			r.Host = open.Host(r.Dst)
			r.Proto = rapid.SampledFrom([]uint8{nft.TCP, nft.UDP, nft.ICMP, 47}).Draw(t, "protocol")
			if r.Proto == nft.TCP || r.Proto == nft.UDP {
				r.Port = rapid.SampledFrom([]uint16{1, 53, 80, 81, 443, 444, 445, 8080, 65535}).Draw(t, "port")
			}
			c.Observed.Records = append(c.Observed.Records, r)
		}
		got := Suggest(c)
		before, _ := policy.Parse(c.Existing)
		after, problems := policy.Parse(got.Outbound)
		want := slices.Clone(before.Tokens)
		for _, one := range got.Tokens {
			p, bad := policy.Parse(one.Token)
			if len(bad) > 0 || len(p.Tokens) != 1 {
				t.Fatalf("token %q: %v", one.Token, bad)
			}
			want = append(want, p.Tokens[0])
			if !asksFor(c.Observed.Records, p.Tokens[0]) {
				t.Fatalf("%q is more than was seen", one.Token)
			}
		}
		slices.SortFunc(want, policy.Token.Compare)
		if len(problems) > 0 || !slices.Equal(want, after.Tokens) || strings.ContainsAny(got.Outbound, "\n") {
			t.Fatalf("%q and %v became %q: %v", c.Existing, got.Tokens, got.Outbound, problems)
		}
		c.Existing = got.Outbound
		if again := Suggest(c); len(again.Tokens) > 0 {
			t.Fatalf("with %q, %v more", got.Outbound, again.Tokens)
		}
	})
}

// asksFor says whether each port of a token was seen at its destination.
func asksFor(records []Record, t policy.Token) bool {
	first, last := int(t.Clause.Ports.First), int(t.Clause.Ports.Last)
	for port := first; port <= last; port++ {
		if !slices.ContainsFunc(records, func(r Record) bool { return int(r.Port) == port && clauseHas(t.Clause, r) && isTo(t.Dest, r) }) {
			return false
		}
	}
	return t.Clause != policy.Clause{}
}

func isTo(d policy.Destination, r Record) bool {
	switch d := d.(type) {
	case policy.Pattern:
		return !d.Wild() && slices.ContainsFunc(r.Names, d.Match)
	case policy.Literal:
		return d.Single() && d.First == r.Dst
	}
	return d == policy.Host && r.Host
}

func TestALabelCannotGrowOutOfBounds(t *testing.T) {
	for name, record := range map[string]func(i int) string{
		"many addresses":               func(i int) string { return fmt.Sprintf("tcp 10.0.%d.%d:443", i>>8, i&255) },
		"many names":                   func(i int) string { return fmt.Sprintf("tcp 10.0.%d.%d:443 n%d.example%d.com", i>>8, i&255, i, i) },
		"many ports of a name":         func(i int) string { return fmt.Sprintf("tcp 192.0.2.1:%d a.example.com", 2*i+1) },
		"many ports of the host":       func(i int) string { return fmt.Sprintf("tcp 172.17.0.1:%d", 2*i+1) },
		"many ports that are a range":  func(i int) string { return fmt.Sprintf("tcp 192.0.2.1:%d", i+1) },
		"many protocols without words": func(i int) string { return fmt.Sprintf("gre 10.0.%d.%d", i>>8, i&255) },
	} {
		t.Run(name, func(t *testing.T) {
			c := Case{Token: opener().Token}
			for i := range maxOwn {
				c.Observed.Records = append(c.Observed.Records, seen(t, record(i)))
			}
			got := Suggest(c)
			p, problems := policy.Parse(got.Outbound)
			if len(problems) > 0 || len(p.Tokens) != len(got.Tokens) || len(got.Tokens) > maxTokens || len(got.Notes) > maxNotes+1 {
				t.Errorf("%d tokens of %d, %d notes, %v", len(got.Tokens), len(p.Tokens), len(got.Notes), problems)
			}
			if few := len(got.Tokens) < 50; few != strings.HasSuffix(name, "range") && few != strings.HasSuffix(name, "words") || len(got.Tokens) != 1 && len(got.Notes) == 0 {
				t.Errorf("%d tokens, notes %q", len(got.Tokens), got.Notes)
			}
		})
	}
}
