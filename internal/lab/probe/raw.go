package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

func (a act) ping(r *result.Result) error {
	to, err := netip.ParseAddr(a.args[1])
	if err != nil {
		return err
	}
	network, kind, reply := "ip4:icmp", icmp.Type(ipv4.ICMPTypeEcho), icmp.Type(ipv4.ICMPTypeEchoReply)
	if to.Is6() {
		network, kind, reply = "ip6:ipv6-icmp", ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply
	}
	conn, err := icmp.ListenPacket(network, "")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for seq := range a.count {
		echo := &icmp.Echo{ID: os.Getpid() & 0xffff, Seq: seq, Data: []byte("probe")}
		packet, err := (&icmp.Message{Type: kind, Body: echo}).Marshal(nil)
		if err != nil {
			return err
		}
		if _, err := conn.WriteTo(packet, &net.IPAddr{IP: to.AsSlice(), Zone: to.Zone()}); err != nil {
			return err
		}
		r.Sent++
		if err := a.awaitEcho(conn, reply, seq); err != nil {
			return err
		}
		r.Received++
	}
	return nil
}

// awaitEcho skips what else arrives on a raw socket.
func (a act) awaitEcho(conn *icmp.PacketConn, kind icmp.Type, seq int) error {
	_ = conn.SetReadDeadline(time.Now().Add(a.timeout))
	buf := make([]byte, 2048)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return err
		}
		message, err := icmp.ParseMessage(protocolOf(kind), buf[:n])
		if err != nil {
			continue
		}
		echo, ok := message.Body.(*icmp.Echo)
		if ok && message.Type == kind && echo.Seq == seq && from.String() == a.args[1] {
			return nil
		}
	}
}

func protocolOf(kind icmp.Type) int {
	if _, ok := kind.(ipv6.ICMPType); ok {
		return unix.IPPROTO_ICMPV6
	}
	return unix.IPPROTO_ICMP
}

// spoof forges whole IP packets on a raw socket: the kernel routes them by their destination and keeps their source.
func (a act) spoof(r *result.Result) error {
	from, err := netip.ParseAddr(a.args[1])
	if err != nil {
		return err
	}
	to, err := netip.ParseAddrPort(a.args[2])
	if err != nil {
		return err
	}
	if from.Is4() != to.Addr().Is4() {
		return fmt.Errorf("spoof %s to %s: two families", from, to)
	}
	packet, err := a.forge(from, to)
	if err != nil {
		return err
	}
	family, target := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Addr: as4(to.Addr())})
	if to.Addr().Is6() {
		family, target = unix.AF_INET6, &unix.SockaddrInet6{Addr: to.Addr().As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW) // raw(7): the header is ours
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	for range a.count {
		if err := unix.Sendto(fd, packet, 0, target); err != nil {
			return err
		}
		r.Sent++
	}
	return nil
}

func as4(addr netip.Addr) (b [4]byte) {
	if addr.Is4() {
		b = addr.As4()
	}
	return b
}

func (a act) forge(from netip.Addr, to netip.AddrPort) ([]byte, error) {
	var protocol byte
	var segment []byte
	switch a.proto {
	case "udp":
		protocol, segment = unix.IPPROTO_UDP, make([]byte, 8+a.size)
		binary.BigEndian.PutUint16(segment[4:], uint16(len(segment)))
	case "tcp":
		protocol, segment = unix.IPPROTO_TCP, make([]byte, 20)
		segment[12], segment[13] = 5<<4, byte(a.flags)
		binary.BigEndian.PutUint16(segment[14:], 65535)
	default:
		return nil, errors.New("spoof: -proto is udp or tcp")
	}
	binary.BigEndian.PutUint16(segment[0:], uint16(a.sport))
	binary.BigEndian.PutUint16(segment[2:], to.Port())
	at := map[byte]int{unix.IPPROTO_UDP: 6, unix.IPPROTO_TCP: 16}[protocol]
	binary.BigEndian.PutUint16(segment[at:], checksum(from, to.Addr(), protocol, segment))
	return append(header(from, to.Addr(), protocol, len(segment)), segment...), nil
}

// header leaves IPv4's checksum and identification to the kernel, which fills them in where they are zero.
func header(from, to netip.Addr, protocol byte, length int) []byte {
	if from.Is6() {
		h := make([]byte, 8, 40)
		h[0], h[6], h[7] = 6<<4, protocol, 64
		binary.BigEndian.PutUint16(h[4:], uint16(length))
		return append(append(h, from.AsSlice()...), to.AsSlice()...)
	}
	h := make([]byte, 12, 20)
	h[0], h[8], h[9] = 4<<4|5, 64, protocol
	binary.BigEndian.PutUint16(h[2:], uint16(20+length))
	return append(append(h, from.AsSlice()...), to.AsSlice()...)
}

// checksum is RFC 1071's over pseudo-header and segment.
func checksum(from, to netip.Addr, protocol byte, segment []byte) uint16 {
	data := append(from.AsSlice(), to.AsSlice()...)
	data = append(data, 0, protocol)
	data = binary.BigEndian.AppendUint16(data, uint16(len(segment)))
	data = append(data, segment...)
	if len(data)%2 == 1 {
		data = append(data, 0)
	}
	var sum uint32
	for i := 0; i < len(data); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(data[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
