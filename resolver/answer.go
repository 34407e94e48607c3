package resolver

import (
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// maxHops bounds a chain of CNAMEs and DNAMEs.
const maxHops = 16

// credited is the addresses that the answer section gives to name: the owner of each is reachable from
// name through CNAME and DNAME records of the same section (RFC 1034 section 3.6.2, RFC 6672). Authority and additional
// sections do not count. name is as in a question, in any case. A record's TTL is the least on its path.
func credited(m *dns.Msg, name string) []Record {
	owners := chain(m.Answer, dns.CanonicalName(name))
	var records []Record
	for _, rr := range m.Answer {
		ttl, ok := owners[owner(rr)]
		if !ok || rr.Header().Class != dns.ClassINET {
			continue
		}
		if addr, ok := address(rr); ok {
			records = append(records, Record{Addr: addr, TTL: min(ttl, lifetime(rr))})
		}
	}
	return records
}

// chain is name and the names it is an alias of, each with the least TTL on the way there.
func chain(answer []dns.RR, name string) map[string]time.Duration {
	owners := map[string]time.Duration{name: maxLife}
	for ttl := maxLife; len(owners) <= maxHops; owners[name] = ttl {
		target, life, ok := follow(answer, name)
		if _, seen := owners[target]; !ok || seen {
			break
		}
		name, ttl = target, min(ttl, life)
	}
	return owners
}

// follow is one hop: the CNAME of name or, without one, the DNAME above it.
func follow(answer []dns.RR, name string) (target string, ttl time.Duration, ok bool) {
	for _, rr := range answer {
		if c, isCNAME := rr.(*dns.CNAME); isCNAME && c.Hdr.Class == dns.ClassINET && owner(rr) == name {
			return dns.CanonicalName(c.Target), lifetime(rr), true
		}
	}
	for _, rr := range answer {
		d, isDNAME := rr.(*dns.DNAME)
		if !isDNAME || d.Hdr.Class != dns.ClassINET || owner(rr) == name || !dns.IsSubDomain(owner(rr), name) {
			continue
		}
		if target, ok := substitute(name, owner(rr), dns.CanonicalName(d.Target)); ok {
			return target, lifetime(rr), true
		}
	}
	return "", 0, false
}

// substitute replaces the suffix from of name by to; ok is false when the result is no name.
func substitute(name, from, to string) (target string, ok bool) {
	labels := dns.SplitDomainName(name)
	head := labels[:len(labels)-dns.CountLabel(from)]
	target = dns.Fqdn(strings.Join(head, ".") + "." + strings.TrimSuffix(to, "."))
	_, ok = dns.IsDomainName(target)
	return target, ok
}

// address is the address of an A or AAAA record.
func address(rr dns.RR) (netip.Addr, bool) {
	switch rr := rr.(type) {
	case *dns.A:
		addr, ok := netip.AddrFromSlice(rr.A)
		return addr.Unmap(), ok
	case *dns.AAAA:
		addr, ok := netip.AddrFromSlice(rr.AAAA)
		return addr.Unmap(), ok
	}
	return netip.Addr{}, false
}

func owner(rr dns.RR) string { return dns.CanonicalName(rr.Header().Name) }

// lifetime is the record's TTL; one with the top bit set is zero (RFC 2181 section 8).
func lifetime(rr dns.RR) time.Duration {
	if rr.Header().Ttl >= 1<<31 {
		return 0
	}
	return time.Duration(rr.Header().Ttl) * time.Second
}
