package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// want is what is to become of what a line sends.
type want string

const (
	mustArrive want = "allowed"
	mustNot    want = "denied"
	notFenced  want = "unfenced"
)

// line is one kind of packets from one container to one destination.
type line struct {
	box      *box
	act      act
	kind, to string
	want     want

	began  uint64        // what had arrived before
	others atomic.Uint64 // connections and pings that were sent
	again  atomic.Uint64 // segments sent again, and connections that failed
	failed error
	ear    net.PacketConn

	// Of numbered datagrams, by number; to be read when all has stopped.
	sent  []time.Time
	count atomic.Uint64
	heard map[uint32]bool
	hears atomic.Uint64
}

// number is how many datagrams, pings or connections were sent.
func (l *line) number() uint64 { return l.count.Load() + l.others.Load() }

func (l *line) tcp() bool { return l.kind == "tcp" || l.kind == "stream" }

// arrived is how many packets came to the destination so far.
func (l *line) arrived() uint64 {
	switch l.kind {
	case "echo":
		return l.box.w.arrived(act("udp " + l.to))
	case "stream":
		return l.box.w.arrived(act("tcp " + l.to))
	}
	return l.box.w.arrived(l.act)
}

// wrong is how many packets leaked, or were lost or sent again.
func (l *line) wrong() uint64 {
	arrived := l.arrived() - l.began
	switch {
	case l.want == mustNot:
		return arrived
	case l.tcp():
		return l.again.Load()
	}
	return l.number() - min(arrived, l.number())
}

// listen hears numbered datagrams at their destination.
func (l *line) listen(hearing *sync.WaitGroup) (err error) {
	if l.kind != "udp" && l.kind != "echo" {
		return nil
	}
	l.heard = map[uint32]bool{}
	if l.ear, err = l.box.w.Internet.ListenPacket("udp", l.to); err != nil {
		return err
	}
	hearing.Go(func() {
		buf := make([]byte, 64)
		for {
			n, from, err := l.ear.ReadFrom(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil && n == 4 {
				l.heard[binary.BigEndian.Uint32(buf)] = true
				l.hears.Add(1)
			}
			if l.kind == "echo" && from != nil {
				_, _ = l.ear.WriteTo(buf[:n], from)
			}
		}
	})
	return nil
}

// send sends until ctx is done. It is called in the container's network.
func (l *line) send(ctx context.Context) error {
	switch l.kind {
	case "udp", "echo":
		return l.datagrams(ctx)
	case "ping":
		return l.pings(ctx)
	case "tcp":
		return l.connections(ctx)
	case "stream":
		return l.talk(ctx)
	}
	return fmt.Errorf("a prober cannot do %q", l.act)
}

// ticking calls next so many times a second until ctx is done or it fails.
func ticking(ctx context.Context, perSecond int, next func() error) error {
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := next(); err != nil {
				return err
			}
		}
	}
}

func (l *line) datagrams(ctx context.Context) error {
	conn, err := net.ListenPacket("udp", ":0")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	to := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(l.to))
	return ticking(ctx, rate, func() error {
		at := time.Now()
		if _, err := conn.WriteTo(binary.BigEndian.AppendUint32(nil, uint32(len(l.sent))), to); err != nil {
			return err
		}
		l.sent = append(l.sent, at)
		l.count.Add(1)
		return nil
	})
}

func (l *line) pings(ctx context.Context) error {
	to := netip.MustParseAddr(l.to)
	network, request := "ip4:icmp", icmp.Message{Type: ipv4.ICMPTypeEcho}
	if to.Is6() {
		network, request = "ip6:ipv6-icmp", icmp.Message{Type: ipv6.ICMPTypeEchoRequest}
	}
	conn, err := net.Dial(network, l.to)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return ticking(ctx, rate, func() error {
		n := l.others.Load()
		request.Body = &icmp.Echo{ID: int(n>>16) + 1, Seq: int(n & 0xffff)}
		packet, err := request.Marshal(nil) // the kernel writes ICMPv6's checksum
		if err != nil {
			return err
		}
		if _, err := conn.Write(packet); err != nil && !errors.Is(err, unix.EHOSTUNREACH) && !errors.Is(err, unix.EACCES) {
			return err
		}
		l.others.Add(1)
		return nil
	})
}

// connections makes one connection after another; of those that are denied each sends one SYN, for it ends before a second.
func (l *line) connections(ctx context.Context) error {
	dial := net.Dialer{Timeout: patience}
	if l.want == mustNot {
		dial.Timeout = 20 * time.Millisecond
	}
	return ticking(ctx, rate/10, func() error {
		l.others.Add(1)
		conn, err := dial.Dial("tcp", l.to)
		if err != nil {
			l.again.Add(1)
			return nil
		}
		l.again.Add(retransmitted(conn))
		return conn.Close()
	})
}

// talk sends lines to the echo server. A connection that breaks has lost as much as it would have said.
func (l *line) talk(ctx context.Context) error {
	dial := net.Dialer{Timeout: patience}
	conn, err := dial.Dial("tcp", l.to)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	broken := false
	var echoed sync.WaitGroup
	echoed.Go(func() { _, _ = io.Copy(io.Discard, conn) })
	defer echoed.Wait()
	defer func() { _ = conn.Close() }()
	return ticking(ctx, rate/10, func() error {
		if _, err := io.Copy(conn, strings.NewReader("again\n")); err != nil || broken {
			broken = true
			l.again.Add(1)
		}
		l.others.Add(1)
		if !broken {
			l.again.Store(retransmitted(conn))
		}
		return nil
	})
}

// retransmitted is how many segments of a connection were sent again (tcp(7), tcpi_total_retrans) and were not there already,
// as the far side says of those that came twice (RFC 2883): on a loaded machine an answer may be late.
func retransmitted(conn net.Conn) (n uint64) {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return 1
	}
	err = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			n = 1
			return
		}
		n = uint64(info.Total_retrans - min(info.Total_retrans, info.Dsack_dups))
	})
	if err != nil {
		return 1
	}
	return n
}
