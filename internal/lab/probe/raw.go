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
	protocol, segment, err := a.segment()
	if err != nil {
		return err
	}
	source := netip.AddrPortFrom(from, uint16(a.sport))
	return a.sendRaw(packet(source, to, protocol, segment), to.Addr(), r)
}

// sendRaw sends a packet with its IP header, count times.
func (a act) sendRaw(packet []byte, to netip.Addr, r *result.Result) error {
	family, target := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Addr: as4(to)})
	if to.Is6() {
		family, target = unix.AF_INET6, &unix.SockaddrInet6{Addr: to.As16()}
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

// segment is a udp datagram of zeros or an empty tcp segment, without ports and checksum.
func (a act) segment() (protocol byte, segment []byte, err error) {
	switch a.proto {
	case "udp":
		return unix.IPPROTO_UDP, datagram(make([]byte, a.payload())), nil
	case "tcp":
		segment = make([]byte, 20)
		segment[12], segment[13] = 5<<4, byte(a.flags)
		binary.BigEndian.PutUint16(segment[14:], 65535)
		return unix.IPPROTO_TCP, segment, nil
	}
	return 0, nil, errors.New("spoof: -proto is udp or tcp")
}

// datagram puts a udp header before the payload, without ports and checksum.
func datagram(payload []byte) []byte {
	d := append(make([]byte, 8, 8+len(payload)), payload...)
	binary.BigEndian.PutUint16(d[4:], uint16(len(d)))
	return d
}

// packet puts an IP header before a segment, see ported.
func packet(from, to netip.AddrPort, protocol byte, segment []byte) []byte {
	return append(header(from.Addr(), to.Addr(), protocol, len(segment)), ported(from, to, protocol, segment)...)
}

// ported puts ports and checksum into a segment.
func ported(from, to netip.AddrPort, protocol byte, segment []byte) []byte {
	binary.BigEndian.PutUint16(segment[0:], from.Port())
	binary.BigEndian.PutUint16(segment[2:], to.Port())
	at := map[byte]int{unix.IPPROTO_UDP: 6, unix.IPPROTO_TCP: 16}[protocol]
	binary.BigEndian.PutUint16(segment[at:], checksum(from.Addr(), to.Addr(), protocol, segment))
	return segment
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
