package nft

import (
	"cmp"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// dial opens a socket of a process of the host, marked if mark is not 0, and says hello.
func (p *paths) dial(t *testing.T, network, server string, mark int) net.Conn {
	t.Helper()
	dialer := net.Dialer{Timeout: 5 * time.Second, Control: func(_, _ string, c syscall.RawConn) (err error) {
		failed := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, mark) })
		if failed != nil {
			return failed
		}
		return err
	}}
	var conn net.Conn
	err := p.host.Do(func() (err error) {
		conn, err = dialer.Dial(network, server)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := conn.Write(text("a question")); err != nil {
		t.Fatal(err)
	}
	return conn
}

// serve is a resolver on the host, which gives one answer; it says when that was sent.
func (p *paths) serve(t *testing.T, network, at, answer string) (sent <-chan error) {
	t.Helper()
	done := make(chan error, 1)
	err := p.host.Do(func() error {
		if network == "tcp" {
			l, err := net.Listen(network, at)
			if err != nil {
				return err
			}
			t.Cleanup(func() { _ = l.Close() })
			go func() { done <- answerStream(l, answer) }()
			return nil
		}
		l, err := net.ListenPacket(network, at)
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() { done <- answerPacket(l, answer) }()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// hear waits for an answer.
func hear(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
}

func answerPacket(l net.PacketConn, answer string) error {
	_, from, err := l.ReadFrom(make([]byte, 100))
	if err == nil {
		_, err = l.WriteTo(text(answer), from)
	}
	return err
}

func answerStream(l net.Listener, answer string) error {
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err = conn.Read(make([]byte, 100)); err == nil {
		_, err = conn.Write(text(answer))
	}
	return err
}

func await(t *testing.T, what <-chan error) {
	t.Helper()
	select {
	case err := <-what:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("nothing came")
	}
}

func TestATapTakesAnswersToTheHost(t *testing.T) {
	const trusted, contained, own = "198.51.100.53:53", "172.17.0.53:53", 0x6477
	tests := map[string]struct {
		server string
		from   string // wire
		mark   int
		tapped bool
	}{
		"of its resolver":                             {trusted, "wan", 0, true},
		"of its resolver, IPv6":                       {"[2001:db8:ffff::53]:53", "wan", 0, true},
		"to somebody who marks what he sends":         {trusted, "wan", own + 1, true},
		"to the daemon":                               {trusted, "wan", own, false},
		"to the daemon, IPv6":                         {"[2001:db8:ffff::53]:53", "wan", own, false},
		"of a resolver that only containers ask":      {"198.51.100.55:53", "wan", 0, false},
		"of another port":                             {"198.51.100.53:5353", "wan", 0, false},
		"forged on a fenced bridge":                   {trusted, "blue", 0, false},
		"forged on a free bridge, IPv6":               {"[2001:db8:ffff::53]:53", "free", 0, false},
		"forged on a bridge nobody knows":             {trusted, "unkn", 0, false},
		"of a resolver in a container":                {contained, "dock", 0, true},
		"of a resolver in a container, to the daemon": {contained, "dock", own, false},
		"of a container that is no resolver":          {"172.17.0.54:53", "dock", 0, false},
		"in a container's name, on a fenced bridge":   {contained, "blue", 0, false},
	}
	p, c := newPaths(t, redirected)
	want := map[string]int{}
	for name, test := range tests {
		conn := p.dial(t, "udp", test.server, test.mark)
		here, server := netip.MustParseAddrPort(conn.LocalAddr().String()), netip.MustParseAddrPort(test.server)
		p.id++
		p.send(t, test.from, frame{ID: p.id, Src: server.Addr(), Dst: here.Addr(), Proto: UDP, Sport: server.Port(), Dport: here.Port(), Payload: text(name)})
		if test.tapped {
			want[name] = 1
		}
	}
	if diff := gocmp.Diff(want, p.finish(t, c)); diff != "" {
		t.Errorf("answers tapped (-want +got):\n%s", diff)
	}
}

func TestATapTakesAnswersOfResolversOnTheHost(t *testing.T) {
	tests := map[string]struct {
		network, at string
		asker       string // wire and address of a container, "" for a process of the host
		server      string // what it asks, if that is not where the resolver is
		mark        int
		tapped      bool
	}{
		"on loopback, once":                     {"udp", "127.0.0.53:53", "", "", 0, true},
		"on loopback, IPv6":                     {"udp", "[::1]:53", "", "", 0, true},
		"on loopback, over tcp":                 {"tcp", "127.0.0.53:53", "", "", 0, true},
		"on loopback, to the daemon":            {"udp", "127.0.0.53:53", "", "", 0x6477, false},
		"on loopback, over tcp, to the daemon":  {"tcp", "127.0.0.53:53", "", "", 0x6477, false},
		"on an address of loopback not named":   {"udp", "127.0.0.54:53", "", "", 0, false},
		"on the host's own address":             {"udp", "192.0.2.1:53", "", "", 0, true},
		"on the bridge, once":                   {"udp", "172.18.0.1:53", "blue 172.18.0.2", "", 0, true},
		"on the bridge, IPv6":                   {"udp", "[fd00:2::1]:53", "blue fd00:2::2", "", 0, true},
		"on the bridge of others":               {"udp", "172.18.0.1:53", "dock 172.17.0.2", "", 0, false},
		"on an address not named":               {"udp", "172.17.0.1:53", "blue 172.18.0.2", "", 0, false},
		"on a free bridge":                      {"udp", "172.21.0.1:53", "free 172.21.0.2", "", 0, false},
		"where the host stands in for a server": {"udp", "172.18.0.1:53", "blue 172.18.0.2", "198.51.100.55:53", 0, true},
	}
	p, c := newPaths(t, redirected)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := cmp.Or(test.server, test.at)
			sent := p.serve(t, test.network, test.at, name)
			if wire, addr, ok := strings.Cut(test.asker, " "); ok {
				p.send(t, wire, p.frame(addr, server, UDP))
			} else {
				hear(t, p.dial(t, test.network, server, test.mark))
			}
			await(t, sent)
			want := map[string]int{}
			if test.tapped {
				want[name] = 1
			}
			if diff := gocmp.Diff(want, p.finish(t, c)); diff != "" {
				t.Errorf("answers tapped (-want +got):\n%s", diff)
			}
		})
	}
}
