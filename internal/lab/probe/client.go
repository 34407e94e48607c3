package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

func (a act) tcp(*result.Result) error {
	conn, err := net.DialTimeout("tcp", a.args[1], a.timeout)
	if err != nil {
		return err
	}
	return conn.Close()
}

// stream stops at the first answer that does not come in time.
func (a act) stream(r *result.Result) error {
	conn, err := net.DialTimeout("tcp", a.args[1], a.timeout)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	answers := bufio.NewReader(conn)
	for end := time.Now().Add(a.span); time.Now().Before(end); time.Sleep(a.every) {
		_ = conn.SetDeadline(time.Now().Add(a.timeout))
		if _, err := fmt.Fprintf(conn, "%d\n", r.Sent); err != nil {
			return err
		}
		r.Sent++
		if _, err := answers.ReadString('\n'); err != nil {
			return err
		}
		r.Received++
	}
	return nil
}

// udp sends on an unconnected socket, so that ICMP errors do not keep later packets back.
func (a act) udp(r *result.Result) error {
	to, err := net.ResolveUDPAddr("udp", a.args[1])
	if err != nil {
		return err
	}
	conn, err := net.ListenUDP("udp", nil)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	answered := make(chan int)
	go func() { answered <- count(conn, a.count) }()
	lastErr := a.send(conn, to, r)
	_ = conn.SetReadDeadline(time.Now().Add(a.wait))
	r.Received = <-answered
	if r.Sent == 0 {
		return lastErr
	}
	if a.wait > 0 && r.Received == 0 {
		return fmt.Errorf("no answer: %w", errTimeout{})
	}
	return nil
}

// payload is how many bytes a packet carries.
func (a act) payload() int {
	if a.size < 0 {
		return 32
	}
	return a.size
}

func (a act) send(conn *net.UDPConn, to *net.UDPAddr, r *result.Result) (lastErr error) {
	packet := make([]byte, a.payload())
	began := time.Now()
	for i := range a.count {
		if a.rate > 0 {
			time.Sleep(time.Until(began.Add(time.Duration(i) * time.Second / time.Duration(a.rate))))
		}
		if _, err := conn.WriteTo(packet, to); err != nil {
			lastErr = err
			continue
		}
		r.Sent++
	}
	return lastErr
}

// count reads up to most packets, until the deadline.
func count(conn net.PacketConn, most int) (n int) {
	buf := make([]byte, 65536)
	for n < most {
		if _, _, err := conn.ReadFrom(buf); err != nil {
			return n
		}
		n++
	}
	return n
}

// errTimeout is a time that ran out without a system call to say so.
type errTimeout struct{}

func (errTimeout) Error() string   { return "timeout" }
func (errTimeout) Timeout() bool   { return true }
func (errTimeout) Temporary() bool { return true }

func (a act) http(r *result.Result) error {
	client := &http.Client{Timeout: a.timeout}
	response, err := client.Get(a.args[1])
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	r.Status, r.Body = response.StatusCode, string(body)
	return err
}

func (a act) lookup(r *result.Result) error {
	ctx, cancel := a.context()
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", a.args[1])
	for _, addr := range addrs {
		r.Addrs = append(r.Addrs, netip.Addr.Unmap(addr))
	}
	return err
}
