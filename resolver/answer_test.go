package resolver

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// rrs parses records in master file form; they are the tests' own.
func rrs(t testing.TB, lines ...string) []dns.RR {
	t.Helper()
	var out []dns.RR
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, rr)
	}
	return out
}

// hops is a chain of n CNAMEs from www.example.org, and the address at its end.
func hops(n int) []string {
	var lines []string
	from := www
	for i := range n {
		to := fmt.Sprintf("h%d.example.org", i)
		lines = append(lines, fmt.Sprintf("%s. 60 IN CNAME %s.", from, to))
		from = to
	}
	return append(lines, from+". 60 IN A 192.0.2.1")
}

func TestCredited(t *testing.T) {
	long := strings.Repeat("a.", 120) + "example.net."
	tests := map[string]struct {
		answer, extra []string
		want          string // address/TTL in seconds
	}{
		"addresses of the name": {
			answer: []string{"www.example.org. 60 IN A 192.0.2.1", "www.example.org. 30 IN AAAA 2001:db8::1"}, want: "192.0.2.1/60 2001:db8::1/30"},
		"case does not matter": {answer: []string{"WwW.eXample.ORG. 60 IN A 192.0.2.1"}, want: "192.0.2.1/60"},
		"a CNAME chain, in any order and case, with its least TTL": {answer: []string{
			"b.example.org. 60 IN A 192.0.2.1", "A.example.org. 20 IN CNAME b.example.org.", "www.example.org. 300 IN CNAME a.EXAMPLE.org."},
			want: "192.0.2.1/20"},
		"a foreign owner is ignored": {answer: []string{"www.example.org. 60 IN A 192.0.2.1", "bank.example.com. 60 IN A 198.51.100.66"},
			want: "192.0.2.1/60"},
		"the parent is a foreign owner":   {answer: []string{"example.org. 60 IN A 198.51.100.66"}},
		"a name below is a foreign owner": {answer: []string{"a.www.example.org. 60 IN A 198.51.100.66"}},
		"a CNAME back to the name does not count for its owner": {answer: []string{
			"evil.example.com. 60 IN CNAME www.example.org.", "evil.example.com. 60 IN A 198.51.100.66"}},
		"the additional section is ignored": {answer: []string{"www.example.org. 60 IN CNAME a.example.org."},
			extra: []string{"a.example.org. 60 IN A 198.51.100.66", "www.example.org. 60 IN A 198.51.100.66"}},
		"other classes are ignored": {answer: []string{"www.example.org. 60 CH A 198.51.100.66",
			"www.example.org. 60 HS CNAME a.example.org.", "a.example.org. 60 IN A 198.51.100.66"}},
		"other types are ignored": {answer: []string{"www.example.org. 60 IN MX 1 a.example.org.",
			"www.example.org. 60 IN SRV 1 1 1 a.example.org.", "a.example.org. 60 IN A 198.51.100.66", `www.example.org. 60 IN TXT "192.0.2.1"`}},
		"a DNAME above the name": {answer: []string{"example.org. 60 IN DNAME example.net.", "www.example.net. 30 IN A 192.0.2.1"},
			want: "192.0.2.1/30"},
		"a DNAME at the root": {answer: []string{". 60 IN DNAME example.net.", "www.example.org.example.net. 30 IN A 192.0.2.1"},
			want: "192.0.2.1/30"},
		"a DNAME of the name itself is not for the name": {answer: []string{
			"www.example.org. 60 IN DNAME example.net.", "example.net. 30 IN A 198.51.100.66"}},
		"a DNAME that makes the name too long": {answer: []string{"example.org. 60 IN DNAME " + long,
			"www.example.org. 30 IN A 192.0.2.1", long + " 30 IN A 198.51.100.66"}, want: "192.0.2.1/30"},
		"a DNAME that feeds itself ends": {answer: []string{"org. 60 IN DNAME example.org."}},
		"an escaped dot is no dot":       {answer: []string{`www\.example.org. 60 IN A 198.51.100.66`}},
		"a TTL with the top bit is zero": {answer: []string{"www.example.org. 2147483648 IN A 192.0.2.1"}, want: "192.0.2.1/0"},
		"a mapped AAAA is IPv4":          {answer: []string{"www.example.org. 60 IN AAAA ::ffff:192.0.2.1"}, want: "192.0.2.1/60"},
		"16 hops":                        {answer: hops(16), want: "192.0.2.1/60"},
		"17 hops are too many":           {answer: hops(17)},
		"a loop of two ends": {answer: []string{"www.example.org. 60 IN CNAME a.example.org.", "a.example.org. 60 IN CNAME www.example.org.",
			"a.example.org. 60 IN A 192.0.2.1"}, want: "192.0.2.1/60"},
		"a CNAME to itself": {answer: []string{"www.example.org. 60 IN CNAME www.example.org."}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := &dns.Msg{Answer: rrs(t, tt.answer...), Extra: rrs(t, tt.extra...), Ns: rrs(t, tt.extra...)}
			var got []string
			for _, r := range credited(m, www) {
				got = append(got, fmt.Sprintf("%s/%d", r.Addr, int(r.TTL.Seconds())))
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("credited %q, want %q", s, tt.want)
			}
		})
	}
}

// FuzzAnswer reads any bytes as an answer to www.example.org: it never panics, credits no address that an
// independent walk of the records does not, and takes no reply to another question.
func FuzzAnswer(f *testing.F) {
	q := question(www, dns.TypeA, true)
	q.Id = 7
	seeds := [][]string{
		{"www.example.org. 60 IN A 192.0.2.1"},
		hops(3), hops(20),
		{"www.example.org. 60 IN CNAME a.example.org.", "a.example.org. 60 IN CNAME www.example.org.", "b.example.org. 60 IN A 192.0.2.2"},
		{"example.org. 60 IN DNAME example.net.", "www.example.net. 30 IN AAAA 2001:db8::1"},
		{"org. 60 IN DNAME example.org.", "www.example.example.org. 60 IN A 192.0.2.1"},
	}
	for _, lines := range seeds {
		m := new(dns.Msg).SetReply(q)
		m.Answer, m.Extra = rrs(f, lines...), rrs(f, "www.example.org. 60 IN A 198.51.100.66")
		p, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p)
		f.Add(p[:len(p)-5])
	}
	f.Add([]byte{0, 7, 0x80, 0, 0, 2, 0xff, 0xff, 0, 0, 0, 0, 0xc0, 12})
	f.Fuzz(func(t *testing.T, p []byte) {
		m, err := match(p, q)
		if err != nil {
			return
		}
		records, result, _ := judge(m, q.Question[0])
		if result == Answered && (len(m.Question) != 1 || dns.CanonicalName(m.Question[0].Name) != www+".") {
			t.Errorf("took the answer to %v", m.Question)
		}
		owners := reachableNames(m.Answer, www+".")
		for _, r := range records {
			if owners != nil && !owns(m.Answer, owners, r.Addr) {
				t.Errorf("credited %s, reachable: %v, answer: %v", r.Addr, owners, m.Answer)
			}
			if r.TTL < 0 || r.TTL > 1<<31*time.Second {
				t.Errorf("TTL %v", r.TTL)
			}
		}
	})
}

// reachableNames is every name reachable by any hop of any record, found by going on until nothing is new.
func reachableNames(answer []dns.RR, name string) map[string]bool {
	owners := map[string]bool{name: true}
	for range maxHops {
		if len(owners) > 1000 {
			return nil // DNAMEs that feed each other; the walk under test takes one of many ways
		}
		for from := range owners {
			for _, rr := range answer {
				if rr.Header().Class != dns.ClassINET {
					continue
				}
				switch rr := rr.(type) {
				case *dns.CNAME:
					if strings.EqualFold(rr.Hdr.Name, from) {
						owners[dns.CanonicalName(rr.Target)] = true
					}
				case *dns.DNAME:
					owner := dns.CanonicalName(rr.Hdr.Name)
					if n := dns.CountLabel(owner); dns.CountLabel(from) > n && dns.CompareDomainName(owner, from) == n {
						head := strings.Join(dns.SplitDomainName(from)[:dns.CountLabel(from)-n], ".")
						owners[strings.TrimSuffix(head+"."+dns.CanonicalName(rr.Target), "..")] = true
						owners[strings.ReplaceAll(head+"."+dns.CanonicalName(rr.Target), "..", ".")] = true
					}
				}
			}
		}
	}
	return owners
}

func owns(answer []dns.RR, owners map[string]bool, addr netip.Addr) bool {
	for _, rr := range answer {
		a, ok := rr.(*dns.A)
		if ok && owners[dns.CanonicalName(a.Hdr.Name)] && a.Hdr.Class == dns.ClassINET && a.A.String() == addr.String() {
			return true
		}
	}
	return false
}
