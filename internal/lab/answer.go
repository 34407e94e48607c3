package lab

import (
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// AdditionalName is whose the addresses of Answer.Additional are: nobody asks for it.
const AdditionalName = "additional.example"

// Answer is what a DNS server says about a name. The zero value is an empty answer (NOERROR, no data).
type Answer struct {
	Addrs      []netip.Addr  // asked for A or AAAA: those of that family
	HTTPS      []netip.Addr  // asked for HTTPS: hints of one record, 1 "." ipv4hint=... ipv6hint=... (RFC 9460)
	CNAME      string        // the answer is said of this name
	CNAMEs     []string      // a chain of further names, after CNAME if there is one: the answer is said of the last
	Additional []netip.Addr  // A and AAAA records of AdditionalName in the additional section, whatever was asked
	TTL        uint32        // seconds; 0 is said as 0
	Rcode      int           // dns.RcodeServerFailure and the like
	Delay      time.Duration // before the answer
	Silent     bool          // no answer at all
	Truncate   bool          // over udp: empty, TC set
	Pieces     int           // over tcp: bytes of a segment, the length in front included; 0 is all at once

	// Raw makes the reply's bytes instead of all of the above but Delay, Silent and Pieces: over udp they are the
	// datagram, over tcp the server puts their length in front. Nil bytes are no answer. The request is the one that
	// came, packed again. It is called from several goroutines.
	Raw func(request []byte) []byte
}

// message is the reply's bytes.
func (a Answer) message(request, reply *dns.Msg) ([]byte, error) {
	if a.Raw == nil {
		return reply.Pack()
	}
	asked, err := request.Pack()
	if err != nil {
		return nil, err
	}
	return a.Raw(asked), nil
}

func (a Answer) fill(reply *dns.Msg) {
	q := reply.Question[0]
	owner := q.Name
	for _, target := range a.chain() {
		reply.Answer = append(reply.Answer, &dns.CNAME{Hdr: a.header(owner, dns.TypeCNAME), Target: dns.Fqdn(target)})
		owner = dns.Fqdn(target)
	}
	for _, addr := range a.Addrs {
		if record := a.address(owner, addr); record.Header().Rrtype == q.Qtype {
			reply.Answer = append(reply.Answer, record)
		}
	}
	if q.Qtype == dns.TypeHTTPS && len(a.HTTPS) > 0 {
		reply.Answer = append(reply.Answer, a.https(owner))
	}
	for _, addr := range a.Additional {
		reply.Extra = append(reply.Extra, a.address(dns.Fqdn(AdditionalName), addr))
	}
	reply.Rcode = a.Rcode
}

func (a Answer) chain() []string {
	if a.CNAME == "" {
		return a.CNAMEs
	}
	return append([]string{a.CNAME}, a.CNAMEs...)
}

func (a Answer) address(owner string, addr netip.Addr) dns.RR {
	if addr.Is4() {
		return &dns.A{Hdr: a.header(owner, dns.TypeA), A: addr.AsSlice()}
	}
	return &dns.AAAA{Hdr: a.header(owner, dns.TypeAAAA), AAAA: addr.AsSlice()}
}

func (a Answer) https(owner string) dns.RR {
	var hints4, hints6 []net.IP
	for _, addr := range a.HTTPS {
		if addr.Is4() {
			hints4 = append(hints4, addr.AsSlice())
		} else {
			hints6 = append(hints6, addr.AsSlice())
		}
	}
	record := &dns.HTTPS{SVCB: dns.SVCB{Hdr: a.header(owner, dns.TypeHTTPS), Priority: 1, Target: "."}}
	if len(hints4) > 0 {
		record.Value = append(record.Value, &dns.SVCBIPv4Hint{Hint: hints4})
	}
	if len(hints6) > 0 {
		record.Value = append(record.Value, &dns.SVCBIPv6Hint{Hint: hints6})
	}
	return record
}

func (a Answer) header(name string, kind uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: a.TTL}
}
