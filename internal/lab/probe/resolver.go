package main

import (
	"errors"
	"net"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

// resolver answers by itself for names whose first label is an address, and passes other questions on.
func (a act) resolver(*result.Result) error {
	address := withPort(a.args[1])
	conn, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	if err := a.ready(); err != nil {
		return err
	}
	ended := make(chan error, 2)
	for _, server := range []*dns.Server{{PacketConn: conn}, {Listener: listener}} {
		server.Handler = dns.HandlerFunc(a.answer)
		go func() { ended <- server.ActivateAndServe() }()
	}
	return <-ended
}

func (a act) answer(w dns.ResponseWriter, request *dns.Msg) {
	reply := new(dns.Msg).SetReply(request)
	if len(request.Question) != 1 {
		_ = w.WriteMsg(reply.SetRcode(request, dns.RcodeFormatError))
		return
	}
	q := request.Question[0]
	addr, err := decode(q.Name)
	switch {
	case err == nil && q.Qtype == addressType(addr):
		reply.Answer = []dns.RR{addressRecord(q.Name, addr)}
	case err == nil: // the name is there, without such data
	case a.upstream != "":
		reply = a.forward(request, w.RemoteAddr().Network())
	default:
		reply.Rcode = dns.RcodeNameError
	}
	reply.RecursionAvailable = true
	_ = w.WriteMsg(reply)
}

// forward asks upstream as it was asked. A reply that was compressed must be so again: it may not fit otherwise.
func (a act) forward(request *dns.Msg, network string) *dns.Msg {
	client := dns.Client{Net: network, Timeout: a.timeout}
	reply, _, err := client.Exchange(request, withPort(a.upstream))
	if err != nil {
		return new(dns.Msg).SetRcode(request, dns.RcodeServerFailure)
	}
	reply.Compress = true
	return reply
}

// decode reads the address that a name's first label is: a-203-0-113-7, aaaa-2001-db8--7.
func decode(name string) (netip.Addr, error) {
	label, _, _ := strings.Cut(strings.ToLower(name), ".")
	family, digits, _ := strings.Cut(label, "-")
	separator, ok := map[string]string{"a": ".", "aaaa": ":"}[family]
	if !ok {
		return netip.Addr{}, errors.New("the label is no address")
	}
	return netip.ParseAddr(strings.ReplaceAll(digits, "-", separator))
}
