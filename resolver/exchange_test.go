package resolver

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/miekg/dns"
)

func TestOneServer(t *testing.T) {
	const a = "www.example.org. 60 IN A 192.0.2.1"
	hundred := make([]string, 100)
	for i := range hundred {
		hundred[i] = fmt.Sprintf("www.example.org. 60 IN A 192.0.2.%d", i+1)
	}
	tests := map[string]struct {
		handle func(w dns.ResponseWriter, q *dns.Msg)
		want   string // addresses
		result Result
		tcp    bool
		wait   bool // the timeout must pass
	}{
		"an address": {handle: func(w dns.ResponseWriter, q *dns.Msg) { write(w, reply(t, q, a)) }, want: "192.0.2.1"},
		"the question is plain, recursive and announces 1232 octets": {handle: func(w dns.ResponseWriter, q *dns.Msg) {
			if opt := q.IsEdns0(); q.RecursionDesired && q.Question[0] == (dns.Question{Name: "www.example.org.", Qtype: dns.TypeA, Qclass: dns.ClassINET}) &&
				opt != nil && opt.UDPSize() == 1232 {
				write(w, reply(t, q, a))
			}
		}, want: "192.0.2.1"},
		"truncated over udp, whole over tcp": {handle: func(w dns.ResponseWriter, q *dns.Msg) {
			m := reply(t, q, a)
			if m.Truncated = !overTCP(w); m.Truncated {
				m.Answer = nil
			}
			write(w, m)
		}, want: "192.0.2.1", tcp: true},
		"truncated and no tcp: what udp brought": {handle: func(w dns.ResponseWriter, q *dns.Msg) {
			m := reply(t, q, a)
			if m.Truncated = true; !overTCP(w) {
				write(w, m)
			}
		}, want: "192.0.2.1", tcp: true, wait: true},
		"silent over udp, answers over tcp": {handle: func(w dns.ResponseWriter, q *dns.Msg) {
			if overTCP(w) {
				write(w, reply(t, q, a))
			}
		}, want: "192.0.2.1", tcp: true, wait: true},
		"silent": {handle: func(dns.ResponseWriter, *dns.Msg) {}, result: Timeout, tcp: true},
		"a reply of more than 4096 octets is asked over tcp": {handle: func(w dns.ResponseWriter, q *dns.Msg) {
			m := reply(t, q, a)
			for range 40 { // the 4096th octet ends a record, so that what is cut looks whole
				m.Extra = append(m.Extra, rrs(t, `www.example.org. 60 IN TXT "`+strings.Repeat("x", 98)+`"`)...)
			}
			if overTCP(w) {
				m.Answer[0].(*dns.A).A = net.IPv4(192, 0, 2, 2)
			}
			write(w, m)
		}, want: "192.0.2.2", tcp: true},
		"100 addresses": {handle: func(w dns.ResponseWriter, q *dns.Msg) { write(w, reply(t, q, hundred...)) },
			want: func() string {
				s := make([]string, 100)
				for i := range s {
					s[i] = fmt.Sprintf("192.0.2.%d", i+1)
				}
				slices.Sort(s)
				return strings.Join(s, " ")
			}()},
		"a chain of CNAMEs": {handle: func(w dns.ResponseWriter, q *dns.Msg) { write(w, reply(t, q, hops(5)...)) }, want: "192.0.2.1"},
		"20 hops":           {handle: func(w dns.ResponseWriter, q *dns.Msg) { write(w, reply(t, q, hops(20)...)) }, result: NoData},
		"a loop of 20": {handle: func(w dns.ResponseWriter, q *dns.Msg) {
			write(w, reply(t, q, append(hops(20)[:20], "h19.example.org. 60 IN CNAME www.example.org.", "h3.example.org. 60 IN A 192.0.2.3")...))
		}, want: "192.0.2.3"},
		"a foreign owner is ignored": {handle: func(w dns.ResponseWriter, q *dns.Msg) {
			write(w, reply(t, q, a, "bank.example.com. 60 IN A 198.51.100.66"))
		}, want: "192.0.2.1"},
		"the additional section is ignored": {handle: func(w dns.ResponseWriter, q *dns.Msg) {
			m := reply(t, q)
			m.Extra = rrs(t, "www.example.org. 60 IN A 198.51.100.66")
			write(w, m)
		}, result: NoData},
		"the other family is ignored": {handle: func(w dns.ResponseWriter, q *dns.Msg) {
			m := reply(t, q)
			m.Answer = rrs(t, "www.example.org. 60 IN AAAA 2001:db8::66")
			write(w, m)
		}, result: NoData},
		"random case comes back": {handle: func(w dns.ResponseWriter, q *dns.Msg) {
			m := reply(t, q, "wWw.Example.ORG. 60 IN A 192.0.2.1")
			m.Question[0].Name = "wwW.eXample.oRG."
			write(w, m)
		}, want: "192.0.2.1"},
		"NXDOMAIN": {handle: func(w dns.ResponseWriter, q *dns.Msg) { write(w, rcode(q, dns.RcodeNameError)) }, result: NXDomain},
		"SERVFAIL": {handle: func(w dns.ResponseWriter, q *dns.Msg) { write(w, rcode(q, dns.RcodeServerFailure)) }, result: ServFail},
		"REFUSED with nothing but a header": {handle: func(w dns.ResponseWriter, q *dns.Msg) {
			m := rcode(q, dns.RcodeRefused)
			m.Question = nil
			write(w, m)
		}, result: Refused},
		"NXDOMAIN without a question is no answer": {handle: func(w dns.ResponseWriter, q *dns.Msg) {
			m := rcode(q, dns.RcodeNameError)
			m.Question = nil
			write(w, m)
		}, result: Timeout, tcp: true},
		"a server that does not recurse": {handle: func(w dns.ResponseWriter, q *dns.Msg) {
			m := reply(t, q)
			m.RecursionAvailable = false
			write(w, m)
		}, result: Broken},
		"a server that knows no EDNS": {handle: func(w dns.ResponseWriter, q *dns.Msg) {
			if q.IsEdns0() != nil {
				write(w, rcode(q, dns.RcodeFormatError))
				return
			}
			write(w, reply(t, q, a))
		}, want: "192.0.2.1"},
		"a wrong ID first, then the right one": {handle: func(w dns.ResponseWriter, q *dns.Msg) {
			m := reply(t, q, "www.example.org. 60 IN A 198.51.100.66")
			m.Id++
			write(w, m)
			write(w, reply(t, q, a))
		}, want: "192.0.2.1"},
		"only wrong IDs": {handle: func(w dns.ResponseWriter, q *dns.Msg) {
			m := reply(t, q, a)
			m.Id++
			write(w, m)
		}, result: Timeout, tcp: true},
		"another question": {handle: func(w dns.ResponseWriter, q *dns.Msg) {
			m := reply(t, q, a)
			m.Question[0].Name = "other.example.org."
			write(w, m)
		}, result: Timeout, tcp: true},
		"another type in the question": {handle: func(w dns.ResponseWriter, q *dns.Msg) {
			m := reply(t, q, a)
			m.Question[0].Qtype = dns.TypeANY
			write(w, m)
		}, result: Timeout, tcp: true},
		"a query in return": {handle: func(w dns.ResponseWriter, q *dns.Msg) {
			m := reply(t, q, a)
			m.Response = false
			write(w, m)
		}, result: Timeout, tcp: true},
		"two questions": {handle: func(w dns.ResponseWriter, q *dns.Msg) {
			m := reply(t, q, a)
			m.Question = append(m.Question, m.Question[0])
			write(w, m)
		}, result: Timeout, tcp: true},
		"a question too few for its count": {handle: func(w dns.ResponseWriter, q *dns.Msg) {
			p, _ := reply(t, q).Pack()
			p[5] = 9 // QDCOUNT
			_, _ = w.Write(p)
		}, result: Malformed, tcp: true},
		"junk with the right ID": {handle: func(w dns.ResponseWriter, q *dns.Msg) {
			_, _ = w.Write([]byte{byte(q.Id >> 8), byte(q.Id), 0x80, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0, 0xc0, 0x0c, 0xff})
		}, result: Malformed, tcp: true},
		"junk, an empty datagram, then the answer": {handle: func(w dns.ResponseWriter, q *dns.Msg) {
			if !overTCP(w) {
				_, _ = w.Write([]byte("UDP PING"))
				_, _ = w.Write(nil)
			}
			write(w, reply(t, q, a))
		}, want: "192.0.2.1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asker := newAsker(plenty, 0)
			if tt.wait || tt.result == Timeout {
				asker = newAsker(patience, 0)
			}
			server := serve(t, tt.handle)
			records, err := asker.family(t.Context(), www, dns.TypeA, []netip.AddrPort{server})
			got := Answered
			if err != nil {
				got = err.Result
			}
			if addrsOf(records) != tt.want || got != tt.result {
				t.Errorf("got %q, %s (%v); want %q, %s", addrsOf(records), got, err, tt.want, tt.result)
			}
			if c := asker.tally.counters(); c.Queries[tt.result] != 1 || c.TCP != count(tt.tcp) {
				t.Errorf("counters %+v", c)
			}
		})
	}
}

func count(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func TestMark(t *testing.T) {
	const mark = 0x2a
	x := newExchanger(patience, mark)
	conn, err := x.dialer.Dial("udp", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err) // EPERM must be tolerated
	}
	defer func() { _ = conn.Close() }()
	raw, err := conn.(*net.UDPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var got, mayMark int
	if err := raw.Control(func(fd uintptr) {
		if syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_PRIORITY, 7) == nil { // needs the same capability
			mayMark = mark
		}
		got, err = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_MARK)
	}); err != nil {
		t.Fatal(err)
	}
	if got != mayMark {
		t.Errorf("mark %#x, want %#x", got, mayMark)
	}
	if newExchanger(patience, 0).dialer.Control != nil {
		t.Error("a mark of 0 touches the socket")
	}
}
