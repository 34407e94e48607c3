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
	below   map[string]func(name string) Answer
	queries []Query
}

// NewDNS starts a server on port 53 of addresses of the internet (the wire's or far ones), udp and tcp.
func (l *Lab) NewDNS(addrs ...netip.Addr) (*DNS, error) { return l.newDNS(l.Internet, addrs) }

// NewHostDNS starts a server on port 53 of addresses of the host (127.0.0.1, a bridge's gateway), udp and tcp.
func (l *Lab) NewHostDNS(addrs ...netip.Addr) (*DNS, error) { return l.newDNS(l.Host, addrs) }

func (l *Lab) newDNS(side *Namespace, addrs []netip.Addr) (*DNS, error) {
	d := &DNS{names: map[string]Answer{}, below: map[string]func(string) Answer{}}
	for _, addr := range addrs {
		if err := d.serve(l, side, netip.AddrPortFrom(addr, 53).String()); err != nil {
			return nil, fmt.Errorf("serve DNS on %s: %w", addr, err)
		}
	}
	return d, nil
}

func (d *DNS) serve(l *Lab, side *Namespace, address string) error {
	conn, err := side.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	l.run(conn, &dns.Server{PacketConn: conn, Handler: d})
	listener, err := side.Listen(address)
	if err != nil {
		return err
	}
	l.run(listener, &dns.Server{Listener: streams{listener}, Handler: d})
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

// SetBelow makes every name one or more labels below suffix, other than those with an answer of their own, have the
// answer that the function gives; of several suffixes the longest counts, "" is the root. The name comes in lower case
// and without the last dot. The function is called from several goroutines.
func (d *DNS) SetBelow(suffix string, answer func(name string) Answer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.below[dns.CanonicalName(suffix)] = answer
}

// Delete takes back what Set or SetAnswer said of a name, which then does not exist (NXDOMAIN), unless SetBelow says so.
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
	message, err := a.message(request, fit(w, request, reply))
	if err != nil {
		_ = w.WriteMsg(new(dns.Msg).SetRcode(request, dns.RcodeServerFailure))
		return
	}
	send(w, message, a.Pieces)
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

// ask notes the question. What SetBelow was given runs unlocked, so that it may set other names.
func (d *DNS) ask(from net.Addr, q dns.Question) (Answer, bool) {
	name := dns.CanonicalName(q.Name)
	bare := name[:len(name)-1]
	d.mu.Lock()
	d.queries = append(d.queries, Query{
		Name: bare, Type: q.Qtype, Network: from.Network(), From: plain(from.String()).Addr(), At: time.Now(),
	})
	a, found := d.names[name]
	below := d.nearest(name)
	d.mu.Unlock()
	if found || below == nil {
		return a, found
	}
	return below(bare), true
}

// nearest is what SetBelow was given for the longest suffix above the name, nil if there is none.
func (d *DNS) nearest(name string) func(name string) Answer {
	if name == "." {
		return nil
	}
	for at, root := dns.NextLabel(name, 0); !root; at, root = dns.NextLabel(name, at) {
		if answer := d.below[name[at:]]; answer != nil {
			return answer
		}
	}
	return d.below["."]
}

// String says the query as a person would.
func (q Query) String() string {
	kind := dns.TypeToString[q.Type]
	if kind == "" {
		kind = "TYPE" + strconv.Itoa(int(q.Type))
	}
	return fmt.Sprintf("%s %s over %s from %s", q.Name, kind, q.Network, q.From)
}
