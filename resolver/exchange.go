package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

// Sizes of udp replies: what we ask for (the size that passes everywhere without fragments, DNS flag day
// 2020), and what we read from servers that send more. What is longer still is asked again over tcp.
const (
	askSize  = 1232
	readSize = 4096
)

var (
	errUnrelated = errors.New("reply to another question")
	errCut       = errors.New("reply cut or unreadable")
	errLame      = errors.New("server does not recurse")
)

// exchanger asks one question of one server.
type exchanger struct {
	dialer  net.Dialer
	timeout time.Duration // of one try over one transport
}

// newExchanger returns an exchanger whose sockets carry mark (0 = none). A process without CAP_NET_ADMIN cannot
// mark and asks unmarked: the mark only keeps our own answers out of the queue.
func newExchanger(timeout time.Duration, mark uint32) exchanger {
	x := exchanger{timeout: timeout}
	if mark == 0 {
		return x
	}
	x.dialer.Control = func(_, _ string, conn syscall.RawConn) error {
		var err error
		if cerr := conn.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_MARK, int(mark))
		}); cerr != nil {
			return cerr
		}
		if err != nil && !errors.Is(err, syscall.EPERM) {
			return fmt.Errorf("mark socket: %w", err)
		}
		return nil
	}
	return x
}

// question is one question as a message: recursion desired, EDNS (RFC 6891) unless the server knows none.
func question(name string, qtype uint16, edns bool) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), qtype)
	if edns {
		m.SetEdns0(askSize, false)
	}
	return m
}

// ask asks server over udp and, when that is cut or stays silent, over tcp; retried counts the latter.
// A server that does not understand EDNS is asked again without (RFC 6891 section 7). Where tcp fails, what
// udp brought stands: the addresses of a truncated reply, or the silence.
func (x exchanger) ask(ctx context.Context, server netip.AddrPort, q *dns.Msg) (reply *dns.Msg, retried bool, err error) {
	reply, err = x.exchange(ctx, "udp", server, q)
	if err == nil && (reply.Rcode == dns.RcodeFormatError || reply.Rcode == dns.RcodeNotImplemented) {
		q = question(q.Question[0].Name, q.Question[0].Qtype, false)
		reply, err = x.exchange(ctx, "udp", server, q)
	}
	if again := err == nil && reply.Truncated || errors.Is(err, errCut) || isTimeout(err); !again || ctx.Err() != nil {
		return reply, false, err
	}
	if whole, terr := x.exchange(ctx, "tcp", server, q); terr == nil {
		return whole, true, nil
	}
	return reply, true, err
}

// exchange sends q over network ("udp" or "tcp") and returns the reply to it.
func (x exchanger) exchange(ctx context.Context, network string, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, x.timeout)
	defer cancel()
	conn, err := x.dialer.DialContext(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	c := &dns.Conn{Conn: conn, UDPSize: readSize}
	if err := c.WriteMsg(q); err != nil {
		return nil, err
	}
	for {
		p, err := c.ReadMsgHeader(nil)
		if err != nil && !errors.Is(err, dns.ErrShortRead) {
			return nil, err
		}
		reply, err := match(p, q)
		switch {
		case network == "udp" && errors.Is(err, errUnrelated):
			continue // late or forged: the real one may still come
		case network == "udp" && len(p) == readSize:
			return nil, errCut
		}
		return reply, err
	}
}

// match unpacks a reply and checks that it answers q: ID, QR, opcode and question, names compared without case. A reply of
// which only the header is readable may still say that the server failed.
func match(p []byte, q *dns.Msg) (*dns.Msg, error) {
	var m dns.Msg
	err := m.Unpack(p)
	if len(p) < 12 || m.Id != q.Id || !m.Response || m.Opcode != dns.OpcodeQuery {
		return nil, errUnrelated
	}
	if err != nil {
		return nil, errCut
	}
	refusal := len(m.Question) == 0 && m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError
	if !refusal && !sameQuestion(m.Question, q.Question[0]) {
		return nil, errUnrelated
	}
	return &m, nil
}

func sameQuestion(questions []dns.Question, want dns.Question) bool {
	return len(questions) == 1 && questions[0].Qtype == want.Qtype && questions[0].Qclass == want.Qclass &&
		dns.CanonicalName(questions[0].Name) == dns.CanonicalName(want.Name)
}

// judge turns a reply into records of the question's type and a result; err is the cause beneath some results.
func judge(reply *dns.Msg, q dns.Question) ([]Record, Result, error) {
	switch reply.Rcode {
	case dns.RcodeSuccess:
	case dns.RcodeNameError:
		return nil, NXDomain, nil
	case dns.RcodeServerFailure:
		return nil, ServFail, nil
	case dns.RcodeRefused:
		return nil, Refused, nil
	default:
		return nil, Broken, fmt.Errorf("rcode %d", reply.Rcode)
	}
	var records []Record
	for _, r := range credited(reply, q.Name) {
		if r.Addr.Is4() == (q.Qtype == dns.TypeA) {
			records = append(records, r)
		}
	}
	switch {
	case len(records) > 0:
		return records, Answered, nil
	case len(reply.Answer) == 0 && !reply.Authoritative && !reply.RecursionAvailable:
		return nil, Broken, errLame
	}
	return nil, NoData, nil
}

// classify names the result of an exchange that brought no reply.
func classify(err error) Result {
	switch {
	case isTimeout(err):
		return Timeout
	case errors.Is(err, errCut), errors.Is(err, errUnrelated):
		return Malformed
	}
	return Broken
}

func isTimeout(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}
