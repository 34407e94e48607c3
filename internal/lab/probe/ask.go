package main

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

// ask puts one question to one server, once. Any reply that can be read is an answer: its response code is the status.
func (a act) ask(r *result.Result) error {
	kind, ok := dns.StringToType[strings.ToUpper(a.kind)]
	if !ok || (a.proto != "udp" && a.proto != "tcp") || a.size > dns.MaxMsgSize {
		return fmt.Errorf("ask: cannot ask for %s over %s with a size of %d", a.kind, a.proto, a.size)
	}
	question := new(dns.Msg).SetQuestion(dns.Fqdn(a.args[2]), kind)
	if a.size > 0 {
		question.SetEdns0(uint16(a.size), false)
	}
	client := dns.Client{Net: a.proto, Timeout: a.timeout}
	reply, _, err := client.Exchange(question, withPort(a.args[1]))
	if err != nil {
		return err
	}
	r.Status = reply.Rcode
	for _, record := range reply.Answer {
		r.Addrs = append(r.Addrs, addresses(record)...)
	}
	return nil
}

// addresses are those a record speaks of: A, AAAA, and the hints of HTTPS.
func addresses(record dns.RR) []netip.Addr {
	switch record := record.(type) {
	case *dns.A:
		return plain(record.A)
	case *dns.AAAA:
		return plain(record.AAAA)
	case *dns.HTTPS:
		var all []netip.Addr
		for _, pair := range record.Value {
			switch pair := pair.(type) {
			case *dns.SVCBIPv4Hint:
				all = append(all, plain(pair.Hint...)...)
			case *dns.SVCBIPv6Hint:
				all = append(all, plain(pair.Hint...)...)
			}
		}
		return all
	}
	return nil
}

func plain(ips ...net.IP) (addrs []netip.Addr) {
	for _, ip := range ips {
		if addr, ok := netip.AddrFromSlice(ip); ok {
			addrs = append(addrs, addr.Unmap())
		}
	}
	return addrs
}

// withPort gives an address without a port that of DNS.
func withPort(address string) string {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return net.JoinHostPort(address, "53")
	}
	return address
}

// addressRecord is an A or AAAA record.
func addressRecord(owner string, addr netip.Addr) dns.RR {
	h := dns.RR_Header{Name: owner, Rrtype: addressType(addr), Class: dns.ClassINET, Ttl: 60}
	if addr.Is4() {
		return &dns.A{Hdr: h, A: addr.AsSlice()}
	}
	return &dns.AAAA{Hdr: h, AAAA: addr.AsSlice()}
}

func addressType(addr netip.Addr) uint16 {
	if addr.Is4() {
		return dns.TypeA
	}
	return dns.TypeAAAA
}
