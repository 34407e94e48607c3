package resolver

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/miekg/dns"
)

// FuzzReadReply reads any bytes as a reply: it never panics, credits no address that an independent walk of the records
// does not, and reads nothing that the header denies. What is read can be learned.
func FuzzReadReply(f *testing.F) {
	truncate := func(m *dns.Msg) { m.Truncated = true }
	fail := func(m *dns.Msg) { m.Rcode = dns.RcodeNameError }
	for _, p := range [][]byte{
		message(f, "www.example.org. A", nil, "www.example.org. 60 IN A 192.0.2.1", "bank.example.com. 60 IN A 198.51.100.66"),
		message(f, "wWw.example.org. AAAA", nil, "www.example.org. 60 IN AAAA 2001:db8::1", "www.example.org. 60 IN AAAA ::ffff:192.0.2.1"),
		message(f, "www.example.org. A", truncate, chain()...), message(f, "www.example.org. A", fail, chain()...),
		message(f, "www.example.org. ANY", nil, hops(3)...), message(f, "www.example.org. A", nil, hops(17)...),
		message(f, "www.example.org. A", nil, "org. 60 IN DNAME example.org.", "www.example.example.org. 60 IN A 192.0.2.1"),
		message(f, "www.example.org. HTTPS", nil, "www.example.org. 60 IN HTTPS 1 . alpn=h2 ipv4hint=192.0.2.1 ipv6hint=2001:db8::1"),
		message(f, `a\.b.example.org. SVCB`, nil, `a\.b.example.org. 60 IN SVCB 1 dns.example.org. ipv4hint=192.0.2.1`),
		message(f, "www.example.org. TXT", nil, `www.example.org. 60 IN TXT "192.0.2.1"`),
		bulky(f, 2, 20),
		{0, 7, 0x80, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0, 1, 'a', 0, 0, 1, 0, 1, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 192, 0, 2, 1},
	} {
		f.Add(p)
		f.Add(p[:len(p)-5])
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		reply := ReadReply(p)
		if !cmp.Equal(reply, ReadReply(p), cmpopts.EquateComparable(netip.Addr{})) {
			t.Error("the same bytes say something else the second time")
		}
		if reply.Question == "" {
			if len(reply.Answers) > 0 || reply.Unread {
				t.Errorf("%q about no name", spell(reply))
			}
			return
		}
		if p[2]&0xf8 != 0x80 || p[3]&0x0f != 0 || binary.BigEndian.Uint16(p[4:]) != 1 {
			t.Errorf("read %q from a message with header % x", spell(reply), p[:12])
		}
		checkAnswers(t, reply, p)
		learnFrom(t, reply)
	})
}

// checkAnswers compares an answer for each name with the records of the message.
func checkAnswers(t *testing.T, reply Reply, p []byte) {
	records := readable(p)
	for i, a := range reply.Answers {
		if i == 0 && a.Name != reply.Question || a.Name != strings.ToLower(a.Name) || strings.ContainsAny(a.Name, `\`) || a.Name == "" {
			t.Errorf("answer %d to %q is about %q", i, reply.Question, a.Name)
		}
		reachable := reachableNames(records, reply.Question+".")
		if reachable == nil {
			return // too many ways; the walk under test takes one
		}
		if !reachable[a.Name+"."] {
			t.Errorf("%q is not reachable from %q: %v", a.Name, reply.Question, records)
		}
		reachable = reachableNames(records, a.Name+".")
		for _, r := range a.Addrs {
			if !r.Addr.IsValid() || r.Addr.Is4In6() || r.TTL < 0 || !tells(records, reachable, r.Addr) {
				t.Errorf("%q is credited with %s for %v: %v", a.Name, r.Addr, r.TTL, records)
			}
		}
	}
}

// readable is the answer section, as far as it goes.
func readable(p []byte) (records []dns.RR) {
	_, off, err := dns.UnpackDomainName(p, 12)
	if err != nil {
		return nil
	}
	off += 4
	for range binary.BigEndian.Uint16(p[6:]) {
		var rr dns.RR
		if rr, off, err = dns.UnpackRR(p, off); err != nil {
			break
		}
		records = append(records, rr)
	}
	return records
}

// tells says whether one of owners has a record that names addr.
func tells(records []dns.RR, owners map[string]bool, addr netip.Addr) bool {
	return owners == nil || slices.ContainsFunc(records, func(rr dns.RR) bool {
		return owners[dns.CanonicalName(rr.Header().Name)] && rr.Header().Class == dns.ClassINET && strings.Contains(textOf(rr), addr.String())
	})
}

// textOf is the addresses of a record as text.
func textOf(rr dns.RR) string {
	switch rr := rr.(type) {
	case *dns.A:
		return rr.A.String()
	case *dns.AAAA:
		addr, _ := netip.AddrFromSlice(rr.AAAA)
		return addr.String()
	case *dns.HTTPS, *dns.SVCB:
		return rr.String()
	}
	return ""
}

// learnFrom has wildcards of every kind hear the reply.
func learnFrom(t *testing.T, reply Reply) {
	b := newBelow(Limits{})
	b.want([]string{"org", "example.org"}, []string{"example.org", "net"}, new(Cache))
	for _, a := range reply.Answers {
		for _, found := range b.hear(a, epoch) {
			if !slices.IsSortedFunc(found.Addrs, netip.Addr.Compare) || !strings.HasSuffix(found.Name, "."+found.Below) {
				t.Errorf("found %+v", found)
			}
		}
	}
	b.fit(reply.Answers...)
	checkBelow(t, b)
}
