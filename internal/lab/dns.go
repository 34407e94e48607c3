package lab

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Answer is what a DNS server says about a name. The zero value is an empty answer (NOERROR, no data).
type Answer struct {
	Addrs    []netip.Addr
	CNAME    string        // the addresses are said of this name
	TTL      uint32        // seconds; 0 is said as 0
	Rcode    int           // dns.RcodeServerFailure and the like
	Delay    time.Duration // before the answer
	Silent   bool          // no answer at all
	Truncate bool          // over udp: empty, TC set
}

// Query is a question that a DNS server got.
type Query struct {
	Name    string // lower case, without the last dot
	Type    uint16 // dns.TypeA and the like
	Network string // "udp" or "tcp"
	From    netip.Addr
	At      time.Time
}

// DNS is an authoritative server for whatever it was told; other names do not exist.
type DNS struct {
	mu      sync.Mutex
	names   map[string]Answer
	queries []Query
}

// NewDNS starts a server on port 53 of addresses of the internet (the wire's or far ones), udp and tcp.
func (l *Lab) NewDNS(addrs ...netip.Addr) (*DNS, error) {
	d := &DNS{names: map[string]Answer{}}
	for _, addr := range addrs {
		if err := d.serve(l, netip.AddrPortFrom(addr, 53).String()); err != nil {
			return nil, fmt.Errorf("serve DNS on %s: %w", addr, err)
		}
	}
	return d, nil
}

func (d *DNS) serve(l *Lab, address string) error {
	conn, err := l.Internet.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	l.run(conn, &dns.Server{PacketConn: conn, Handler: d})
	listener, err := l.Internet.Listen(address)
	if err != nil {
		return err
	}
	l.run(listener, &dns.Server{Listener: listener, Handler: d})
	return nil
}

func (l *Lab) run(socket io.Closer, server *dns.Server) {
	l.servers.run(socket, func() { _ = server.ActivateAndServe() })
}

// Set makes a name have these addresses, for 60 seconds at a time. No addresses: the name is there, without any.
func (d *DNS) Set(name string, addrs ...netip.Addr) { d.SetAnswer(name, Answer{Addrs: addrs, TTL: 60}) }

// SetAnswer makes a name have this answer.
func (d *DNS) SetAnswer(name string, a Answer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names[dns.CanonicalName(name)] = a
}

// Delete makes a name not exist (NXDOMAIN).
func (d *DNS) Delete(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.names, dns.CanonicalName(name))
}

// Queries are all questions so far, in the order of their arrival.
func (d *DNS) Queries() []Query {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]Query(nil), d.queries...)
}

// ServeDNS implements dns.Handler.
func (d *DNS) ServeDNS(w dns.ResponseWriter, request *dns.Msg) {
	reply := new(dns.Msg).SetReply(request)
	if len(request.Question) != 1 {
		_ = w.WriteMsg(reply.SetRcode(request, dns.RcodeFormatError))
		return
	}
	a, found := d.ask(w.RemoteAddr(), request.Question[0])
	time.Sleep(a.Delay)
	switch {
	case a.Silent:
		return
	case !found:
		reply.Rcode = dns.RcodeNameError
	case a.Truncate && w.RemoteAddr().Network() == "udp":
		reply.Truncated = true
	default:
		a.fill(reply)
	}
	reply.RecursionAvailable = true
	_ = w.WriteMsg(fit(w, request, reply))
}

// fit cuts a udp answer to what the asker takes.
func fit(w dns.ResponseWriter, request, reply *dns.Msg) *dns.Msg {
	size := dns.MaxMsgSize
	if w.RemoteAddr().Network() == "udp" {
		size = dns.MinMsgSize
	}
	if opt := request.IsEdns0(); opt != nil {
		reply.SetEdns0(dns.DefaultMsgSize, opt.Do())
		size = max(size, int(opt.UDPSize()))
	}
	reply.Truncate(size)
	return reply
}

func (d *DNS) ask(from net.Addr, q dns.Question) (Answer, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	name := dns.CanonicalName(q.Name)
	d.queries = append(d.queries, Query{
		Name: name[:len(name)-1], Type: q.Qtype, Network: from.Network(), From: plain(from.String()).Addr(), At: time.Now(),
	})
	a, found := d.names[name]
	return a, found
}

func (a Answer) fill(reply *dns.Msg) {
	q := reply.Question[0]
	owner := q.Name
	if a.CNAME != "" {
		owner = dns.Fqdn(a.CNAME)
		reply.Answer = append(reply.Answer, &dns.CNAME{Hdr: a.header(q.Name, dns.TypeCNAME), Target: owner})
	}
	for _, addr := range a.Addrs {
		switch {
		case q.Qtype == dns.TypeA && addr.Is4():
			reply.Answer = append(reply.Answer, &dns.A{Hdr: a.header(owner, dns.TypeA), A: addr.AsSlice()})
		case q.Qtype == dns.TypeAAAA && addr.Is6():
			reply.Answer = append(reply.Answer, &dns.AAAA{Hdr: a.header(owner, dns.TypeAAAA), AAAA: addr.AsSlice()})
		}
	}
	reply.Rcode = a.Rcode
}

func (a Answer) header(name string, kind uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: a.TTL}
}

// String says the query as a person would.
func (q Query) String() string {
	kind := dns.TypeToString[q.Type]
	if kind == "" {
		kind = "TYPE" + strconv.Itoa(int(q.Type))
	}
	return fmt.Sprintf("%s %s over %s from %s", q.Name, kind, q.Network, q.From)
}
