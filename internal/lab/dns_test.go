package lab_test

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

func addrs(texts ...string) (all []netip.Addr) {
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

func TestNamesBelowASuffixHaveAnswers(t *testing.T) {
	l := lab.ForTest(t)
	var mu sync.Mutex
	var names []string
	say := func(addr string) func(string) lab.Answer {
		return func(name string) lab.Answer {
			mu.Lock()
			defer mu.Unlock()
			names = append(names, name)
			return lab.Answer{Addrs: addrs(addr)}
		}
	}
	l.DNS.SetBelow("Below.Example", say("203.0.113.1"))
	l.DNS.SetBelow("deep.below.example.", say("203.0.113.2"))
	l.DNS.Set("own.below.example", addrs("203.0.113.3")...)
	for name, want := range map[string][]netip.Addr{
		"a.below.example":        addrs("203.0.113.1"),
		"B.a.BELOW.example":      addrs("203.0.113.1"),
		"deep.below.example":     addrs("203.0.113.1"),
		"a.b.deep.below.example": addrs("203.0.113.2"),
		"own.below.example":      addrs("203.0.113.3"),
		"a.own.below.example":    addrs("203.0.113.1"),
		"below.example":          nil,
		"notbelow.example":       nil,
		"example":                nil,
	} {
		r := host(t, l, "ask", lab.DNSAddr, name)
		if !slices.Equal(r.Addrs, want) || (r.Status == dns.RcodeNameError) != (want == nil) {
			t.Errorf("%s: %+v, want %v", name, r, want)
		}
	}
	mu.Lock()
	got := slices.Sorted(slices.Values(names))
	mu.Unlock()
	want := []string{"a.b.deep.below.example", "a.below.example", "a.own.below.example", "b.a.below.example", "deep.below.example"}
	if !slices.Equal(got, want) {
		t.Errorf("the functions got %q, want %q", got, want)
	}
	l.DNS.SetBelow("", say("203.0.113.4"))
	if r := host(t, l, "ask", lab.DNSAddr, "example"); !slices.Equal(r.Addrs, addrs("203.0.113.4")) {
		t.Errorf("below the root: %+v", r)
	}
}

func TestAnswersAreAsTold(t *testing.T) {
	l := lab.ForTest(t)
	both := addrs("203.0.113.7", "2001:db8:1::7")
	garbage := func([]byte) []byte { return []byte("no DNS message") }
	for name, a := range map[string]lab.Answer{
		"chain.example":   {CNAMEs: []string{"one.example", "two.example", "three.example"}, Addrs: both, HTTPS: both},
		"hints.example":   {HTTPS: both},
		"hint4.example":   {HTTPS: both[:1]},
		"pieces.example":  {Addrs: both, Pieces: 3},
		"garbage.example": {Raw: garbage},
		"nothing.example": {Raw: func([]byte) []byte { return nil }},
		"broken.example":  {Raw: garbage, Pieces: 1},
	} {
		l.DNS.SetAnswer(name, a)
	}
	for act, want := range map[string]lab.Result{
		"chain.example":                          {Addrs: both[:1]},
		"chain.example -type AAAA":               {Addrs: both[1:]},
		"chain.example -type https":              {Addrs: both},
		"hints.example -type HTTPS -size 1232":   {Addrs: both},
		"hint4.example -type HTTPS":              {Addrs: both[:1]},
		"hints.example":                          {},
		"pieces.example":                         {Addrs: both[:1]},
		"pieces.example -proto tcp":              {Addrs: both[:1]},
		"pieces.example -proto tcp -type AAAA":   {Addrs: both[1:]},
		"garbage.example":                        {Outcome: result.Failed},
		"garbage.example -proto tcp":             {Outcome: result.Failed},
		"broken.example -proto tcp":              {Outcome: result.Failed},
		"nothing.example -timeout 100ms":         {Outcome: result.Timeout},
		"nobody.example -proto tcp":              {Status: dns.RcodeNameError},
		"hints.example -proto sctp":              {Outcome: result.Failed},
		"hints.example -type NONSENSE -size 512": {Outcome: result.Failed},
	} {
		if want.Outcome == "" {
			want.Outcome = result.OK
		}
		got := host(t, l, append([]string{"ask", lab.DNSAddr + ":53"}, strings.Fields(act)...)...)
		if got.Outcome != want.Outcome || got.Status != want.Status || !slices.Equal(got.Addrs, want.Addrs) {
			t.Errorf("%s: got %+v, want %+v", act, got, want)
		}
	}
}

// exchange asks from the host for a name's A and returns the reply.
func exchange(t *testing.T, l *lab.Lab, network, name string) *dns.Msg {
	t.Helper()
	conn, err := l.Host.Dial(t.Context(), network, lab.DNSAddr+":53")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	stream := dns.Conn{Conn: conn}
	if err := stream.WriteMsg(new(dns.Msg).SetQuestion(name, dns.TypeA)); err != nil {
		t.Fatal(err)
	}
	reply, err := stream.ReadMsg()
	if err != nil {
		t.Fatalf("%s over %s: %v", name, network, err)
	}
	return reply
}

func TestRecordsStandWhereTheyBelong(t *testing.T) {
	l := lab.ForTest(t)
	l.DNS.SetAnswer("www.example", lab.Answer{CNAME: "one.example", CNAMEs: []string{"two.example"}, TTL: 9,
		Addrs: addrs("203.0.113.7", "2001:db8:1::7"), Additional: addrs("203.0.113.8", "2001:db8:1::8")})
	reply := exchange(t, l, "udp", "wWw.example.")
	var got []string
	for _, record := range slices.Concat(reply.Answer, reply.Extra) {
		got = append(got, strings.ReplaceAll(record.String(), "\t", " "))
	}
	want := []string{
		"wWw.example. 9 IN CNAME one.example.",
		"one.example. 9 IN CNAME two.example.",
		"two.example. 9 IN A 203.0.113.7",
		"additional.example. 9 IN A 203.0.113.8",
		"additional.example. 9 IN AAAA 2001:db8:1::8",
	}
	if !slices.Equal(got, want) || len(reply.Answer) != 3 {
		t.Errorf("%d answers of\n%s\nwant 3 of\n%s", len(reply.Answer), strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestRawRepliesSeeTheRequest(t *testing.T) {
	l := lab.ForTest(t)
	l.DNS.SetAnswer("raw.example", lab.Answer{Raw: func(request []byte) []byte {
		request[2] |= 0x80 // QR
		request[3] |= dns.RcodeRefused
		return append(request, "and more"...)
	}})
	for _, network := range []string{"udp", "tcp"} {
		if reply := exchange(t, l, network, "raw.example."); reply.Rcode != dns.RcodeRefused || !reply.Response {
			t.Errorf("over %s: %v", network, reply)
		}
	}
}

func TestPiecesAreSegments(t *testing.T) {
	l := lab.ForTest(t)
	lab.Nft(t, l.Host, `table inet segments {
		chain count { type filter hook prerouting priority 0; tcp sport 53 tcp flags & psh == psh counter; }
	}`, "-f", "-")
	l.DNS.SetAnswer("www.example", lab.Answer{Pieces: 1, Addrs: addrs("203.0.113.7", "203.0.113.8", "203.0.113.9")})
	reply := exchange(t, l, "tcp", "www.example.")
	bytes := 2 + reply.Len()
	listing := lab.Nft(t, l.Host, "", "list", "table", "inet", "segments")
	if len(reply.Answer) != 3 || !strings.Contains(listing, "counter packets "+itoa(bytes)+" ") {
		t.Errorf("%d bytes with %d answers came in %s", bytes, len(reply.Answer), listing)
	}
}

func TestTheHostServesDNS(t *testing.T) {
	l := lab.ForTest(t)
	d, err := l.NewHostDNS(addrs("127.0.0.1", "::1")...)
	if err != nil {
		t.Fatal(err)
	}
	d.Set("www.example", addrs("203.0.113.7")...)
	for _, act := range []string{"127.0.0.1:53 www.example", "127.0.0.1 www.example -proto tcp", "[::1]:53 www.example"} {
		r := host(t, l, append([]string{"ask"}, strings.Fields(act)...)...)
		if r.Outcome != result.OK || !slices.Equal(r.Addrs, addrs("203.0.113.7")) {
			t.Errorf("%s: %+v", act, r)
		}
	}
	if q := d.Queries(); len(q) != 3 || q[0].From != netip.MustParseAddr("127.0.0.1") || len(l.DNS.Queries()) != 0 {
		t.Errorf("the host was asked %v, the internet %v", q, l.DNS.Queries())
	}
	if _, err := l.NewHostDNS(addrs("203.0.113.1")...); err == nil {
		t.Error("the host serves on an address of the internet")
	}
}
