package resolver

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// message is the packed reply to a question ("www.example.org. A"), after change, which may be nil.
func message(tb testing.TB, question string, change func(*dns.Msg), lines ...string) []byte {
	tb.Helper()
	name, qtype, _ := strings.Cut(question, " ")
	m := new(dns.Msg).SetQuestion(name, dns.StringToType[qtype])
	m.Id = 7
	m.Response, m.Compress = true, true
	m.Answer = rrs(tb, lines...)
	if change != nil {
		change(m)
	}
	p, err := m.Pack()
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// spell is a reply as text: its question, then each answer with what it speaks of and its addresses and TTLs in seconds.
func spell(r Reply) string {
	lines := []string{r.Question}
	for _, a := range r.Answers {
		line := a.Name + " " + map[Family]string{IPv4: "v4", IPv6: "v6", both: "both"}[a.Families]
		if a.Hint {
			line += " hint"
		}
		line += ":"
		for _, rec := range a.Addrs {
			line += fmt.Sprintf(" %s/%d", rec.Addr, int(rec.TTL.Seconds()))
		}
		lines = append(lines, line)
	}
	if r.Unread {
		lines = append(lines, "unread")
	}
	return strings.Join(lines, "\n")
}

// chain is a way of three names.
func chain() []string {
	return []string{"www.example.org. 300 IN CNAME a.cdn.example.", "a.cdn.example. 20 IN CNAME b.example.net.",
		"b.example.net. 60 IN A 192.0.2.2", "b.example.net. 60 IN A 192.0.2.1"}
}

func TestReadReplySaysWhatNamesMean(t *testing.T) {
	const address = "www.example.org. 60 IN A 192.0.2.1"
	tests := map[string]struct {
		question string // "www.example.org. A" unless given
		answer   []string
		change   func(*dns.Msg)
		want     []string // after the question
	}{
		"A":    {answer: []string{address}, want: []string{"www.example.org v4: 192.0.2.1/60"}},
		"AAAA": {question: "www.example.org. AAAA", answer: []string{"www.example.org. 60 IN AAAA 2001:db8::1"}, want: []string{"www.example.org v6: 2001:db8::1/60"}},
		"ANY says not all": {question: "www.example.org. ANY", answer: []string{address, "www.example.org. 60 IN AAAA 2001:db8::1", "www.example.org. 60 IN MX 1 mx.example.org."},
			want: []string{"www.example.org both hint: 192.0.2.1/60 2001:db8::1/60"}},
		"HTTPS with hints": {question: "www.example.org. HTTPS", answer: []string{"www.example.org. 60 IN HTTPS 1 . alpn=h2 ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=2001:db8::1"},
			want: []string{"www.example.org both hint: 192.0.2.1/60 192.0.2.2/60 2001:db8::1/60"}},
		"HTTPS without hints": {question: "www.example.org. HTTPS", answer: []string{"www.example.org. 60 IN HTTPS 1 . alpn=h2"}},
		"SVCB with hints": {question: "_dns.example.org. SVCB", answer: []string{"_dns.example.org. 60 IN SVCB 1 dns.example.org. ipv4hint=192.0.2.1"},
			want: []string{"_dns.example.org both hint: 192.0.2.1/60"}},
		"case is folded": {question: "wWw.eXaMple.ORG. A", answer: []string{"WWW.example.org. 60 IN A 192.0.2.1"}, want: []string{"www.example.org v4: 192.0.2.1/60"}},
		"a chain: each name on the way has what is reachable from it, for the least TTL on the way": {answer: chain(), want: []string{
			"www.example.org v4: 192.0.2.2/20 192.0.2.1/20", "a.cdn.example v4: 192.0.2.2/20 192.0.2.1/20", "b.example.net v4: 192.0.2.2/20 192.0.2.1/20"}},
		"a chain in any order, with addresses on the way": {answer: []string{"a.example.net. 60 IN A 192.0.2.2", "www.example.org. 60 IN CNAME a.example.net.", address},
			want: []string{"www.example.org v4: 192.0.2.1/60 192.0.2.2/60", "a.example.net v4: 192.0.2.2/60"}},
		"a DNAME": {answer: []string{"example.org. 60 IN DNAME example.net.", "www.example.org. 0 IN CNAME www.example.net.", "www.example.net. 30 IN A 192.0.2.1"},
			want: []string{"www.example.org v4: 192.0.2.1/0", "www.example.net v4: 192.0.2.1/0"}},
		"a DNAME without the CNAME made of it": {answer: []string{"example.org. 60 IN DNAME example.net.", "www.example.net. 30 IN A 192.0.2.1"},
			want: []string{"www.example.org v4: 192.0.2.1/30", "www.example.net v4: 192.0.2.1/30"}},
		"a foreign owner is ignored": {answer: []string{address, "bank.example.com. 60 IN A 198.51.100.66", "example.org. 60 IN A 198.51.100.67"}, want: []string{"www.example.org v4: 192.0.2.1/60"}},
		"authority and additional sections are ignored": {answer: []string{"www.example.org. 60 IN CNAME a.example.net."}, change: func(m *dns.Msg) {
			m.Ns = rrs(t, address, "a.example.net. 60 IN A 198.51.100.66")
			m.Extra = m.Ns
		}},
		"other classes in the answer are ignored": {answer: []string{"www.example.org. 60 CH A 198.51.100.66", address}, want: []string{"www.example.org v4: 192.0.2.1/60"}},
		"a mapped AAAA is IPv4, and no word on IPv6": {question: "www.example.org. AAAA", answer: []string{"www.example.org. 60 IN AAAA ::ffff:192.0.2.1"},
			want: []string{"www.example.org v6 hint: 192.0.2.1/60"}},
		"the other family only is no word on the one asked for": {answer: []string{"www.example.org. 60 IN AAAA 2001:db8::1"}, want: []string{"www.example.org v4 hint: 2001:db8::1/60"}},
		"the other family besides":                              {answer: []string{address, "www.example.org. 60 IN AAAA 2001:db8::1"}, want: []string{"www.example.org v4: 192.0.2.1/60 2001:db8::1/60"}},
		"a truncated reply says not all, and whoever asked will ask again": {answer: []string{address}, change: func(m *dns.Msg) { m.Truncated = true },
			want: []string{"www.example.org v4 hint: 192.0.2.1/60"}},
		"a way through a name no pattern can mean": {answer: []string{`www.example.org. 60 IN CNAME a\.b.example.org.`, `a\.b.example.org. 60 IN CNAME c.example.org.`, "c.example.org. 60 IN A 192.0.2.1"},
			want: []string{"www.example.org v4: 192.0.2.1/60", "c.example.org v4: 192.0.2.1/60"}},
		"a way to the root": {answer: []string{"www.example.org. 60 IN CNAME .", ". 60 IN A 192.0.2.1"}, want: []string{"www.example.org v4: 192.0.2.1/60"}},
		"a loop ends": {answer: []string{"www.example.org. 60 IN CNAME a.example.org.", "a.example.org. 60 IN CNAME www.example.org.", "a.example.org. 60 IN A 192.0.2.1"},
			want: []string{"www.example.org v4: 192.0.2.1/60", "a.example.org v4: 192.0.2.1/60"}},
		"17 hops are too many": {answer: hops(17)},
		"flags of the resolver do not matter": {answer: []string{address}, change: func(m *dns.Msg) { m.Authoritative, m.AuthenticatedData, m.CheckingDisabled = true, true, true },
			want: []string{"www.example.org v4: 192.0.2.1/60"}},
		"no records": {},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			question := tt.question
			if question == "" {
				question = "www.example.org. A"
			}
			asked, _, _ := strings.Cut(strings.ToLower(question), ". ")
			want := strings.Join(append([]string{asked}, tt.want...), "\n")
			if diff := cmp.Diff(want, spell(ReadReply(message(t, question, tt.change, tt.answer...)))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadReplyLearnsNothing(t *testing.T) {
	rcode := func(code int) func(*dns.Msg) { return func(m *dns.Msg) { m.Rcode = code } }
	class := func(c uint16) func(*dns.Msg) { return func(m *dns.Msg) { m.Question[0].Qclass = c } }
	tests := map[string]struct {
		question string
		change   func(*dns.Msg)
	}{
		"from a query":                  {change: func(m *dns.Msg) { m.Response = false }},
		"from NXDOMAIN":                 {change: rcode(dns.RcodeNameError)},
		"from SERVFAIL":                 {change: rcode(dns.RcodeServerFailure)},
		"from REFUSED":                  {change: rcode(dns.RcodeRefused)},
		"from another opcode":           {change: func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }},
		"from the last opcode":          {change: func(m *dns.Msg) { m.Opcode = 15 }},
		"without a question":            {change: func(m *dns.Msg) { m.Question = nil }},
		"from two questions":            {change: func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }},
		"of class CH":                   {change: class(dns.ClassCHAOS)},
		"of class HS":                   {change: class(dns.ClassHESIOD)},
		"of class ANY":                  {change: class(dns.ClassANY)},
		"about TXT":                     {question: "www.example.org. TXT"},
		"about MX":                      {question: "www.example.org. MX"},
		"about SRV":                     {question: "www.example.org. SRV"},
		"about PTR":                     {question: "www.example.org. PTR"},
		"about SOA":                     {question: "www.example.org. SOA"},
		"about NS":                      {question: "www.example.org. NS"},
		"about CNAME":                   {question: "www.example.org. CNAME"},
		"about the root":                {question: ". A"},
		"about a name with a dot in it": {question: `www\.example.org. A`},
		"about a name with a space":     {question: `a\032b.example.org. A`},
		"about a name with a null byte": {question: `a\000.example.org. A`},
		"about a name beyond ASCII":     {question: `b\195\188cher.example.org. A`},
		"about a name with a backslash": {question: `a\\b.example.org. A`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			question := tt.question
			if question == "" {
				question = "www.example.org. A"
			}
			owner, _, _ := strings.Cut(question, " ")
			if got := ReadReply(message(t, question, tt.change, owner+" 60 IN A 192.0.2.1")); !cmp.Equal(got, Reply{}) {
				t.Errorf("read %q", spell(got))
			}
		})
	}
}

func TestReadReplyReadsWhatItCan(t *testing.T) {
	const one, two = "www.example.org. 60 IN A 192.0.2.1", "www.example.org. 60 IN A 192.0.2.2"
	const first, second = "www.example.org v4: 192.0.2.1/60", "www.example.org v4: 192.0.2.1/60 192.0.2.2/60"
	const firstOnly, secondOnly = "www.example.org v4 hint: 192.0.2.1/60", "www.example.org v4 hint: 192.0.2.1/60 192.0.2.2/60"
	count := func(n uint16) func([]byte) []byte {
		return func(p []byte) []byte { binary.BigEndian.PutUint16(p[6:], n); return p }
	}
	record := func(bytes ...byte) func([]byte) []byte { // one more, at the end
		return func(p []byte) []byte { p[7]++; return append(p, bytes...) }
	}
	tests := map[string]struct {
		mangle func([]byte) []byte
		want   string // after the question; "-" when there is not even that
	}{
		"more counted than there are":       {count(9), secondOnly + "\nunread"},
		"as many counted as can be":         {count(0xffff), secondOnly + "\nunread"},
		"fewer counted than there are":      {count(1), first},
		"none counted":                      {count(0), ""},
		"cut in the last record":            {func(p []byte) []byte { return p[:len(p)-1] }, firstOnly + "\nunread"},
		"cut between records":               {func(p []byte) []byte { return p[:len(p)-16] }, firstOnly + "\nunread"},
		"cut before the first":              {func(p []byte) []byte { return p[:len(p)-32] }, "\nunread"},
		"cut where TC says so":              {func(p []byte) []byte { p[2] |= 2; return p[:len(p)-1] }, firstOnly},
		"cut in the question":               {func(p []byte) []byte { return p[:20] }, "-"},
		"cut in the question's class":       {func(p []byte) []byte { return p[:len(p)-33] }, "-"},
		"the header alone":                  {func(p []byte) []byte { return p[:12] }, "-"},
		"less than a header":                {func(p []byte) []byte { return p[:11] }, "-"},
		"nothing":                           {func([]byte) []byte { return nil }, "-"},
		"junk behind it":                    {func(p []byte) []byte { return append(p, bytes.Repeat([]byte{0xff}, 100)...) }, second},
		"a question that points to itself":  {func(p []byte) []byte { p[12], p[13] = 0xc0, 12; return p }, "-"},
		"a record that points to itself":    {record(0xc0, 65, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 3), secondOnly + "\nunread"},
		"a record that points behind":       {record(0xc0, 0xff, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 3), secondOnly + "\nunread"},
		"an address of three bytes":         {record(0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 3, 192, 0, 2), secondOnly + "\nunread"},
		"an address of no bytes":            {record(0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 0), second},
		"an alias that points to itself":    {record(0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 2, 0xc0, 77), secondOnly + "\nunread"},
		"an unknown type":                   {record(0xc0, 12, 0xff, 0, 0, 1, 0, 0, 0, 60, 0, 2, 1, 2), second},
		"a message of tcp with its length":  {func(p []byte) []byte { return append([]byte{0, byte(len(p))}, p...) }, "-"},
		"the second half of a tcp message":  {func(p []byte) []byte { return p[len(p)/2:] }, "-"},
		"a piece that looks like a header":  {func(p []byte) []byte { return append([]byte{0, 0, 0x80, 0, 0, 1, 0, 9, 0, 0, 0, 0}, p[40:]...) }, "-"},
		"bytes that are all ones":           {func(p []byte) []byte { return bytes.Repeat([]byte{0xff}, len(p)) }, "-"},
		"bytes that are all zero":           {func(p []byte) []byte { return make([]byte, len(p)) }, "-"},
		"a question about no class at all":  {func(p []byte) []byte { p[32] = 0; return p }, "-"},
		"a label longer than there is room": {func(p []byte) []byte { p[12] = 63; return p }, "-"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := message(t, "www.example.org. A", nil, one, two)
			if len(p) != 65 {
				t.Fatalf("the message has %d bytes, the cases are made for 65", len(p))
			}
			want := strings.TrimSuffix(www+"\n"+tt.want, "\n")
			if strings.HasPrefix(tt.want, "\n") {
				want = www + tt.want
			}
			if tt.want == "-" {
				want = ""
			}
			if diff := cmp.Diff(want, spell(ReadReply(tt.mangle(p)))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadReplyOfFourKilobytes(t *testing.T) {
	var lines []string
	for i := range 250 {
		lines = append(lines, fmt.Sprintf("www.example.org. 60 IN A 192.0.2.%d", i))
	}
	p := message(t, "www.example.org. A", func(m *dns.Msg) { m.SetEdns0(4096, true) }, lines...)
	reply := ReadReply(p)
	if len(p) < 4000 || len(reply.Answers) != 1 || len(reply.Answers[0].Addrs) != 250 || reply.Unread || reply.Answers[0].Hint {
		t.Errorf("of %d bytes: %d answers, unread %t", len(p), len(reply.Answers), reply.Unread)
	}
}
