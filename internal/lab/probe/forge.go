package main

import (
	"fmt"
	"net/netip"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

// forge sends a DNS reply that nobody gave.
func (a act) forge(r *result.Result) error {
	from, err := netip.ParseAddrPort(a.args[1])
	if err != nil {
		return err
	}
	to, err := netip.ParseAddrPort(a.args[2])
	if err != nil {
		return err
	}
	if from.Addr().Is4() != to.Addr().Is4() {
		return fmt.Errorf("forge from %s to %s: two families", from, to)
	}
	payload, err := a.forgedReply()
	if err != nil {
		return err
	}
	return a.sendRaw(packet(from, to, unix.IPPROTO_UDP, datagram(payload)), to.Addr(), r)
}

func (a act) forgedReply() ([]byte, error) {
	addr, err := netip.ParseAddr(a.args[4])
	if err != nil {
		return nil, err
	}
	owner := dns.Fqdn(a.args[3])
	asked := owner
	if a.qname != "" {
		asked = dns.Fqdn(a.qname)
	}
	reply := new(dns.Msg).SetQuestion(asked, addressType(addr))
	reply.Id = uint16(a.id)
	reply.Response, reply.RecursionAvailable = true, true
	reply.Answer = []dns.RR{addressRecord(owner, addr)}
	return reply.Pack()
}
