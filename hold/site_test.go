package hold

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/nft"
)

const (
	queueNumber = 5300
	patience    = 20 * time.Second // of what should come, on a busy machine
	moment      = 150 * time.Millisecond
)

// site is a namespace whose lo is on the way from a DNS server to those who ask it.
type site struct {
	*lab.Namespace
	echoed atomic.Int64
}

// newSite makes one whose replies are sent to a queue, or copied.
func newSite(t *testing.T, queued bool) *site {
	t.Helper()
	ns := lab.NamespaceForTest(t)
	s := &site{Namespace: ns}
	s.tap(t, queued)
	for _, addr := range servers() {
		con, err := ns.ListenPacket("udp", net.JoinHostPort(addr, "53"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = con.Close() })
		go s.echo(con)
	}
	return s
}

// servers are the DNS server's addresses.
func servers() []string { return []string{"127.0.0.1", "::1"} }

// tap has replies stopped, in the best way that the kernel knows, for as long as the test runs.
func (s *site) tap(t *testing.T, queued bool) {
	t.Helper()
	k, err := nft.Open(nft.Options{NetNS: s.FD()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	i := slices.IndexFunc(k.Features().Taps, func(m nft.TapMode) bool { return (m != nft.TapCopy) == queued })
	if i < 0 {
		lab.Cannot(t, "needs a kernel with nf_tables' queue, log, fib and conntrack marks")
	}
	tap := nft.Tap{Mode: k.Features().Taps[i], Queue: queueNumber}
	for _, addr := range servers() {
		tap.Host = append(tap.Host, parseAddr(addr))
	}
	if err := k.ApplyTap(tap); err != nil {
		t.Fatal(err)
	}
	beat := time.NewTicker(250 * time.Millisecond)
	done, ended := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(done); <-ended; beat.Stop() })
	go func() {
		defer close(ended)
		for {
			select {
			case <-beat.C:
				if err := k.Beat(); err != nil {
					t.Errorf("replies are not stopped any more: %v", err)
				}
			case <-done:
				return
			}
		}
	}()
}

// echo sends back what comes.
func (s *site) echo(con net.PacketConn) {
	buffer := make([]byte, 1<<16)
	for {
		n, from, err := con.ReadFrom(buffer)
		if err != nil {
			return
		}
		_, _ = con.WriteTo(buffer[:n], from)
		s.echoed.Add(1)
	}
}

// waiting is how many packets wait in the queue for their verdict.
func (s *site) waiting(t *testing.T) (n uint64, bound bool) {
	t.Helper()
	err := s.Do(func() error {
		q, found, err := ReadQueue(queueNumber)
		n, bound = q.Waiting, found
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n, bound
}

// client is a socket that asks the server.
type client struct {
	t    *testing.T
	site *site
	net.Conn
}

func (s *site) client(t *testing.T, server string) *client {
	t.Helper()
	con, err := s.Dial(t.Context(), "udp", net.JoinHostPort(server, "53"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = con.Close() })
	return &client{t, s, con}
}

// ask sends a question and returns when it is answered, delivered or not.
func (c *client) ask(question []byte) {
	c.t.Helper()
	before := c.site.echoed.Load()
	if _, err := c.Write(question); err != nil {
		c.t.Fatal(err)
	}
	eventually(c.t, "the server does not answer", func() bool { return c.site.echoed.Load() > before })
}

// reply is the next one that is delivered within d, nil if there is none.
func (c *client) reply(d time.Duration) []byte {
	c.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(d)); err != nil {
		c.t.Fatal(err)
	}
	buffer := make([]byte, 1<<16)
	n, err := c.Read(buffer)
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return nil
	case err != nil:
		c.t.Fatal(err)
	}
	return buffer[:n]
}

// replies fails unless so many are delivered.
func (c *client) replies(n int) {
	c.t.Helper()
	for i := range n {
		if c.reply(patience) == nil {
			c.t.Fatalf("%d of %d replies are delivered", i, n)
		}
	}
}

// count counts what is delivered from now on.
func (c *client) count() *atomic.Int64 {
	c.t.Helper()
	socket, err := c.Conn.(*net.UDPConn).SyscallConn()
	if err != nil {
		c.t.Fatal(err)
	}
	if control := socket.Control(func(fd uintptr) { // what comes all at once is to find room
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20)
	}); control != nil || err != nil {
		c.t.Fatal(control, err)
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		c.t.Fatal(err)
	}
	var n atomic.Int64
	go func() {
		for buffer := make([]byte, 1<<16); ; n.Add(1) {
			if _, err := c.Read(buffer); err != nil {
				return
			}
		}
	}()
	return &n
}

// stream is a tcp connection between a client and the server.
func (s *site) stream(t *testing.T, server string) (asks, answers net.Conn) {
	t.Helper()
	l, err := s.Listen(net.JoinHostPort(server, "53"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if asks, err = s.Dial(t.Context(), "tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = asks.Close() })
	if answers, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answers.Close() })
	return asks, answers
}

// read is the next n bytes of a stream, fewer if d is over before.
func read(t *testing.T, con net.Conn, n int, d time.Duration) []byte {
	t.Helper()
	if err := con.SetReadDeadline(time.Now().Add(d)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, n)
	n, err := io.ReadFull(con, b)
	var timeout net.Error
	if err != nil && !(errors.As(err, &timeout) && timeout.Timeout()) {
		t.Fatal(err)
	}
	return b[:n]
}

// runner is a Holder or a Copier.
type runner interface {
	Run(ctx context.Context) error
	Counts() Counts
}

// start runs r until stop is called, which fails unless Run then returns nil, or until the test ends. bound is what
// its Options.Bound sends to.
func start(t *testing.T, r runner, bound <-chan bool) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	select {
	case <-bound:
	case err := <-done:
		cancel()
		t.Fatalf("Run: %v", err)
	case <-time.After(patience):
		cancel()
		t.Fatal("Run does not bind")
	}
	stopped := false
	stop = func() {
		t.Helper()
		cancel()
		if stopped {
			return
		}
		stopped = true
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run does not return")
		}
	}
	t.Cleanup(stop)
	return stop
}

// holding runs a Holder at the site.
func (s *site) holding(t *testing.T, opt Options) (h *Holder, stop func()) {
	t.Helper()
	bound := make(chan bool, 8)
	opt.Number, opt.NetNS, opt.Bound = queueNumber, s.FD(), func(b bool) { bound <- b }
	h, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return h, start(t, h, bound)
}

func eventually(t *testing.T, complaint string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !is(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal(complaint)
		}
	}
}
