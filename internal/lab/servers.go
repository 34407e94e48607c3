package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// WebPorts are the TCP ports on which every far address answers in HTTP.
func WebPorts() []uint16 { return []uint16{80, 443, 5432, 8080} }

// EchoPort is the TCP port on which every far address sends back what it gets.
const EchoPort = 7

// EchoPorts are the UDP ports on which every far address sends back what it gets. Others answer port unreachable;
// arrivals are counted on all of them.
func EchoPorts() []uint16 { return []uint16{7, 443, 5000} }

// servers are the lab's sockets and the goroutines that serve them.
type servers struct {
	mu      sync.Mutex
	closers []io.Closer
	running sync.WaitGroup
}

func (s *servers) run(c io.Closer, serve func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closers = append(s.closers, c)
	s.running.Go(serve)
}

func (s *servers) close() error {
	s.mu.Lock()
	closers := s.closers
	s.closers = nil
	s.mu.Unlock()
	var errs []error
	for _, c := range closers {
		errs = append(errs, c.Close())
	}
	s.running.Wait()
	return errors.Join(errs...)
}

// Listen opens a TCP listener in the namespace.
func (n *Namespace) Listen(address string) (l net.Listener, err error) {
	err = n.Do(func() error { l, err = net.Listen("tcp", address); return err })
	return l, err
}

// ListenPacket opens a socket (network udp, udp4, udp6) in the namespace.
func (n *Namespace) ListenPacket(network, address string) (c net.PacketConn, err error) {
	err = n.Do(func() error { c, err = net.ListenPacket(network, address); return err })
	return c, err
}

// Dial connects from the namespace, with three seconds of patience.
func (n *Namespace) Dial(ctx context.Context, network, address string) (c net.Conn, err error) {
	d := net.Dialer{Timeout: 3 * time.Second}
	err = n.Do(func() error {
		if _, err := netip.ParseAddrPort(address); err != nil {
			return fmt.Errorf("dial %s: an address is wanted: names would be asked outside the namespace", address)
		}
		c, err = d.DialContext(ctx, network, address)
		return err
	})
	return c, err
}

func (l *Lab) serveWeb() error {
	for _, port := range WebPorts() {
		listener, err := l.Internet.Listen(":" + strconv.Itoa(int(port)))
		if err != nil {
			return fmt.Errorf("serve the web: %w", err)
		}
		server := &http.Server{Handler: http.HandlerFunc(sayWho), ReadHeaderTimeout: time.Minute}
		l.servers.run(server, func() { _ = server.Serve(listener) })
	}
	return nil
}

// serveEchoTCP leaves its connections to their peers: they end when the namespaces do.
func (l *Lab) serveEchoTCP() error {
	listener, err := l.Internet.Listen(":" + strconv.Itoa(EchoPort))
	if err != nil {
		return fmt.Errorf("serve echo: %w", err)
	}
	l.servers.run(listener, func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			l.servers.run(conn, func() { _, _ = io.Copy(conn, conn) })
		}
	})
	return nil
}

// sayWho answers with the address reached and the peer's.
func sayWho(w http.ResponseWriter, r *http.Request) {
	reached, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	_, _ = fmt.Fprintf(w, "reached %s from %s\n", plain(reached.String()), plain(r.RemoteAddr))
}

// plain writes an IPv4 peer of a dual-stack socket as IPv4.
func plain(text string) netip.AddrPort {
	ap, _ := netip.ParseAddrPort(text)
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

func (l *Lab) serveEcho() error {
	if err := l.serveEchoTCP(); err != nil {
		return err
	}
	for _, port := range EchoPorts() {
		for network, echo := range map[string]func(net.PacketConn){"udp4": echo4, "udp6": echo6} {
			conn, err := l.Internet.ListenPacket(network, ":"+strconv.Itoa(int(port)))
			if err != nil {
				return fmt.Errorf("serve echo: %w", err)
			}
			l.servers.run(conn, func() { echo(conn) })
		}
	}
	return nil
}

// echo4 answers from the address that was reached: a socket on the wildcard would pick the wire's.
func echo4(conn net.PacketConn) {
	p := ipv4.NewPacketConn(conn)
	_ = p.SetControlMessage(ipv4.FlagDst, true)
	buf := make([]byte, 65536)
	for {
		n, cm, from, err := p.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil && cm != nil {
			_, _ = p.WriteTo(buf[:n], &ipv4.ControlMessage{Src: cm.Dst}, from)
		}
	}
}

func echo6(conn net.PacketConn) {
	p := ipv6.NewPacketConn(conn)
	_ = p.SetControlMessage(ipv6.FlagDst, true)
	buf := make([]byte, 65536)
	for {
		n, cm, from, err := p.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil && cm != nil {
			_, _ = p.WriteTo(buf[:n], &ipv6.ControlMessage{Src: cm.Dst}, from)
		}
	}
}

// Get fetches a page of a literal address from the namespace.
func (n *Namespace) Get(ctx context.Context, url string) (string, error) {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: n.Dial}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return strings.TrimSpace(string(body)), err
}
