package resolver

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestNextServer(t *testing.T) {
	good := fixed(t, "www.example.org. 60 IN A 192.0.2.1")
	closed := func() netip.AddrPort { // a port nobody listens on
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		return netip.MustParseAddrPort(c.LocalAddr().String())
	}()
	code := func(c int) netip.AddrPort {
		return serve(t, func(w dns.ResponseWriter, q *dns.Msg) { write(w, rcode(q, c)) })
	}
	tests := map[string]struct {
		first netip.AddrPort
		want  string
		count Result
	}{
		"after SERVFAIL":         {code(dns.RcodeServerFailure), "192.0.2.1", ServFail},
		"after REFUSED":          {code(dns.RcodeRefused), "192.0.2.1", Refused},
		"after NOTIMP":           {code(dns.RcodeNotImplemented), "192.0.2.1", Broken},
		"after a refused socket": {closed, "192.0.2.1", Broken},
		"after silence":          {serve(t, func(dns.ResponseWriter, *dns.Msg) {}), "192.0.2.1", Timeout},
		"not after NXDOMAIN":     {code(dns.RcodeNameError), "", NXDomain},
		"not after NODATA":       {fixed(t), "", NoData},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			asker := newAsker(patience, 0)
			records, _ := asker.family(t.Context(), www, dns.TypeA, []netip.AddrPort{tt.first, good})
			if got := addrsOf(records); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if c := asker.tally.counters(); c.Queries[tt.count] != 1 {
				t.Errorf("counters %+v", c)
			}
		})
	}
}

func TestSilentServerIsAskedLastForAWhile(t *testing.T) {
	var asked atomic.Int32
	silent := serve(t, func(dns.ResponseWriter, *dns.Msg) { asked.Add(1) })
	servers := []netip.AddrPort{silent, fixed(t, "www.example.org. 60 IN A 192.0.2.1")}
	asker := newAsker(patience, 0)
	for range 3 {
		if records, err := asker.family(t.Context(), www, dns.TypeA, servers); err != nil || len(records) != 1 {
			t.Fatal(records, err)
		}
	}
	if n := asked.Load(); n != 2 { // udp, then tcp
		t.Errorf("the silent server was asked %d times", n)
	}
	now := time.Now()
	if got := asker.order(servers, now.Add(avoided)); got[0] != silent {
		t.Errorf("order after a while: %v", got)
	}
	asker.note(silent, false, now)
	if got := asker.order(servers, now); got[0] != silent {
		t.Errorf("order after a reply: %v", got)
	}
}

func TestLookup(t *testing.T) {
	server := serve(t, func(w dns.ResponseWriter, q *dns.Msg) {
		name, v6 := q.Question[0].Name, q.Question[0].Qtype == dns.TypeAAAA
		switch {
		case name == "nx.example.org.", name == "odd.example.org." && v6:
			write(w, rcode(q, dns.RcodeNameError))
		case name == "half.example.org." && v6, name == "none4.example.org." && !v6, name == "none6.example.org." && v6:
			write(w, rcode(q, dns.RcodeServerFailure))
		case name == "empty.example.org.", strings.HasPrefix(name, "none"):
			write(w, reply(t, q))
		default:
			write(w, reply(t, q, name+" 60 IN A 192.0.2.1", name+" 60 IN AAAA 2001:db8::1"))
		}
	})
	tests := map[string]struct {
		addrs    string
		families Family
		failed   Family
		empty    Family // of what failed
		err      string
		partial  uint64
	}{
		"www.example.org":   {addrs: "192.0.2.1 2001:db8::1", families: both},
		"odd.example.org":   {addrs: "192.0.2.1", families: both},
		"half.example.org":  {addrs: "192.0.2.1", families: IPv4, failed: IPv6, err: "resolve half.example.org: SERVFAIL from %s", partial: 1},
		"nx.example.org":    {failed: both, empty: both, err: "nx.example.org does not exist (NXDOMAIN from %s)"},
		"empty.example.org": {failed: both, empty: both, err: "empty.example.org has no addresses (NODATA from %s)"},
		"none4.example.org": {failed: both, empty: IPv6, err: "resolve none4.example.org: SERVFAIL from %s"},
		"none6.example.org": {failed: both, empty: IPv4, err: "resolve none6.example.org: SERVFAIL from %s"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			asker := newAsker(patience, 0)
			out := asker.lookup(t.Context(), name, []netip.AddrPort{server})
			var answer Answer
			if out.answer != nil {
				answer = *out.answer
			}
			var failure Failure
			var text string
			if out.failure != nil {
				failure, text = *out.failure, out.failure.Err.Error()
			}
			want := strings.ReplaceAll(tt.err, "%s", server.String())
			if addrsOf(answer.Addrs) != tt.addrs || answer.Families != tt.families || failure.Families != tt.failed || failure.Empty != tt.empty || text != want {
				t.Errorf("answer %+v, failure %+v, want %+v", answer, failure, tt)
			}
			if c := asker.tally.counters(); c.Partial != tt.partial {
				t.Errorf("%d partial", c.Partial)
			}
		})
	}
}

func TestLookupWithoutServers(t *testing.T) {
	out := newAsker(patience, 0).lookup(t.Context(), www, nil)
	if out.failure == nil || out.failure.Err.Error() != "resolve www.example.org: ask any resolver: no resolver is known" {
		t.Errorf("%+v", out.failure)
	}
}

func TestCancelEndsALookupAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := serve(t, func(dns.ResponseWriter, *dns.Msg) { cancel() })
	asker := newAsker(time.Minute, 0)
	start := time.Now()
	asker.lookup(ctx, www, []netip.AddrPort{server, server})
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
	if c := asker.tally.counters(); c.Queries[Timeout] != 0 {
		t.Errorf("counted what we gave up ourselves: %+v", c)
	}
}

// over is a context that has just ended: what waits for it has not heard of it yet.
type over struct{ context.Context }

func (over) Err() error { return context.Canceled }

// TestAnAnswerThatComesAtTheEndIsOne though nobody waits for it any more.
func TestAnAnswerThatComesAtTheEndIsOne(t *testing.T) {
	for name, test := range map[string]struct {
		answer []string
		want   string
	}{
		"with addresses": {[]string{"www.example.org. 60 IN A 192.0.2.1"}, "192.0.2.1"},
		"without":        {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			out := newAsker(patience, 0).lookup(over{t.Context()}, www, []netip.AddrPort{fixed(t, test.answer...)})
			var got string
			if out.answer != nil {
				got = addrsOf(out.answer.Addrs)
			}
			if got != test.want {
				t.Errorf("%q, want %q: %+v", got, test.want, out)
			}
		})
	}
}
