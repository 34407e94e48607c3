package resolver

import (
	"iter"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// maxHops bounds a chain of CNAMEs and DNAMEs.
const maxHops = 16

// stop is a name on the way of aliases: the addresses that its own records give it, and the least TTL on the
// way there.
type stop struct {
	name    string // fully qualified, lower case
	ttl     time.Duration
	records []Record
}

// credited is the addresses that the answer section gives to name: the owner of each is reachable from
// name through CNAME and DNAME records of the same section (RFC 1034 section 3.6.2, RFC 6672). Authority and additional
// sections do not count. name is as in a question, in any case. A record's TTL is the least on its path.
func credited(m *dns.Msg, name string) []Record {
	var records []Record
	for _, s := range way(m.Answer, dns.CanonicalName(name)) {
		records = append(records, s.records...)
	}
	return records
}

// way is name and the names it is an alias of, in that order.
func way(answer []dns.RR, name string) []stop {
	owned := byOwner(answer)
	stops := []stop{{name: name, ttl: maxLife}}
	seen := map[string]bool{name: true}
	for {
		here := &stops[len(stops)-1]
		for _, r := range owned.addrs[here.name] {
			here.records = append(here.records, Record{Addr: r.Addr, TTL: min(here.ttl, r.TTL)})
		}
		next, ok := owned.follow(here.name)
		if !ok || seen[next.target] || len(stops) > maxHops {
			return stops
		}
		seen[next.target] = true
		stops = append(stops, stop{name: next.target, ttl: min(here.ttl, next.ttl)})
	}
}

// alias is where a CNAME or DNAME leads.
type alias struct {
	target string
	ttl    time.Duration
}

// owned is an answer section by owner: an attacker's may have thousands of records.
type owned struct {
	addrs          map[string][]Record
	cnames, dnames map[string]alias // the first one of each
}

func byOwner(answer []dns.RR) owned {
	out := owned{map[string][]Record{}, map[string]alias{}, map[string]alias{}}
	first := func(aliases map[string]alias, name, target string, ttl time.Duration) {
		if _, ok := aliases[name]; !ok {
			aliases[name] = alias{dns.CanonicalName(target), ttl}
		}
	}
	for _, rr := range answer {
		name := dns.CanonicalName(rr.Header().Name)
		switch rr := rr.(type) {
		case *dns.CNAME:
			if rr.Hdr.Class == dns.ClassINET {
				first(out.cnames, name, rr.Target, lifetime(rr))
			}
		case *dns.DNAME:
			if rr.Hdr.Class == dns.ClassINET {
				first(out.dnames, name, rr.Target, lifetime(rr))
			}
		default:
			for _, a := range addresses(rr) {
				out.addrs[name] = append(out.addrs[name], Record{Addr: a, TTL: lifetime(rr)})
			}
		}
	}
	return out
}

// follow is one hop: the CNAME of name or, without one, the nearest DNAME above it.
func (o owned) follow(name string) (alias, bool) {
	if a, ok := o.cnames[name]; ok {
		return a, true
	}
	for parent := range parents(name) {
		if d, ok := o.dnames[parent]; ok {
			target, ok := substitute(name, parent, d.target)
			return alias{target, d.ttl}, ok
		}
	}
	d, ok := o.dnames["."]
	if !ok || name == "." {
		return alias{}, false
	}
	target, ok := substitute(name, ".", d.target)
	return alias{target, d.ttl}, ok
}

// substitute replaces the suffix from of name by to; ok is false when the result is no name.
func substitute(name, from, to string) (target string, ok bool) {
	labels := dns.SplitDomainName(name)
	head := labels[:len(labels)-dns.CountLabel(from)]
	target = dns.Fqdn(strings.Join(head, ".") + "." + strings.TrimSuffix(to, "."))
	_, ok = dns.IsDomainName(target)
	return target, ok
}

// addresses are those of an A or AAAA record, or the hints of an HTTPS or SVCB record (RFC 9460 section 7.3).
func addresses(rr dns.RR) []netip.Addr {
	if rr.Header().Class != dns.ClassINET {
		return nil
	}
	switch rr := rr.(type) {
	case *dns.A:
		return plainAddrs(rr.A)
	case *dns.AAAA:
		return plainAddrs(rr.AAAA)
	case *dns.HTTPS:
		return hints(rr.Value)
	case *dns.SVCB:
		return hints(rr.Value)
	}
	return nil
}

func hints(values []dns.SVCBKeyValue) []netip.Addr {
	var out []netip.Addr
	for _, v := range values {
		switch v := v.(type) {
		case *dns.SVCBIPv4Hint:
			out = append(out, plainAddrs(v.Hint...)...)
		case *dns.SVCBIPv6Hint:
			out = append(out, plainAddrs(v.Hint...)...)
		}
	}
	return out
}

func plainAddrs(addrs ...net.IP) []netip.Addr {
	var out []netip.Addr
	for _, a := range addrs {
		if addr, ok := netip.AddrFromSlice(a); ok {
			out = append(out, addr.Unmap())
		}
	}
	return out
}

// parents are what stands behind each dot of a name, the longest first.
func parents(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, parent, ok := strings.Cut(name, "."); ok && parent != "" && yield(parent); _, parent, ok = strings.Cut(parent, ".") {
		}
	}
}

// lifetime is the record's TTL; one with the top bit set is zero (RFC 2181 section 8).
func lifetime(rr dns.RR) time.Duration {
	if rr.Header().Ttl >= 1<<31 {
		return 0
	}
	return time.Duration(rr.Header().Ttl) * time.Second
}
