package resolver

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// patience is the asker's timeout where it must pass, plenty where it must not.
const (
	patience = 500 * time.Millisecond
	plenty   = 20 * time.Second
)

// serve runs a DNS server on loopback, udp and tcp on one port, until the test ends.
func serve(t *testing.T, handle func(w dns.ResponseWriter, q *dns.Msg)) netip.AddrPort {
	t.Helper()
	var (
		udp net.PacketConn
		tcp net.Listener
		err error
	)
	for range 10 { // another process may have the port for tcp
		if udp, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if tcp, err = net.Listen("tcp", udp.LocalAddr().String()); err == nil {
			break
		}
		_ = udp.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*dns.Server{{PacketConn: udp}, {Listener: tcp}} {
		s.Handler = dns.HandlerFunc(handle)
		ready := make(chan struct{})
		s.NotifyStartedFunc = func() { close(ready) }
		done := make(chan error, 1)
		go func() { done <- s.ActivateAndServe() }()
		<-ready
		t.Cleanup(func() {
			if err := errors.Join(s.Shutdown(), <-done); err != nil {
				t.Error(err)
			}
		})
	}
	return netip.MustParseAddrPort(udp.LocalAddr().String())
}

// overTCP reports whether the question came over tcp.
func overTCP(w dns.ResponseWriter) bool { return w.RemoteAddr().Network() == "tcp" }

// write sends a reply; the asker may have gone, so a failure is not the test's.
func write(w dns.ResponseWriter, m *dns.Msg) { _ = w.WriteMsg(m) }

// reply is a recursive server's answer of those records that the question asks for, and all aliases.
func reply(t testing.TB, q *dns.Msg, lines ...string) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	for _, rr := range rrs(t, lines...) {
		if isAddress := rr.Header().Rrtype == dns.TypeA || rr.Header().Rrtype == dns.TypeAAAA; !isAddress || rr.Header().Rrtype == q.Question[0].Qtype {
			m.Answer = append(m.Answer, rr)
		}
	}
	return m
}

func rcode(q *dns.Msg, code int) *dns.Msg { return new(dns.Msg).SetRcode(q, code) }

// fixed is a server that always answers with lines.
func fixed(t *testing.T, lines ...string) netip.AddrPort {
	return serve(t, func(w dns.ResponseWriter, q *dns.Msg) { write(w, reply(t, q, lines...)) })
}

func addrsOf(records []Record) string {
	var s []string
	for _, r := range records {
		s = append(s, r.Addr.String())
	}
	slices.Sort(s)
	return strings.Join(s, " ")
}
