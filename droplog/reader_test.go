package droplog

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/packet"
)

const (
	logged   = "c_3f2a91b0c4d5 denied drop" // packets to port 4242, as they come in
	outgoing = "- unknown drop"             // packets to port 4243, as they go out
)

// logging is a namespace whose packets to ports 4242 and 4243 are denied and logged.
func logging(t *testing.T) *lab.Namespace {
	t.Helper()
	ns := lab.NamespaceForTest(t)
	lab.Nft(t, ns, `table inet test {
		chain input { type filter hook input priority 0; udp dport 4242 log prefix "`+logged+`" group 32 drop; }
		chain output { type filter hook output priority 0; udp dport 4243 log prefix "`+outgoing+`" group 32 drop; }
	}`, "-f", "-")
	return ns
}

// udp is a socket in the namespace that sends to addr.
func udp(t *testing.T, ns *lab.Namespace, addr string) *net.UDPConn {
	t.Helper()
	var con *net.UDPConn
	err := ns.Do(func() (err error) {
		con, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = con.Close() })
	return con
}

// send sends n packets, not minding that a drop on output is an error of the sender.
func send(con *net.UDPConn, n int) {
	for range n {
		_, _ = con.Write([]byte("x"))
	}
}

// announce is a slog.Handler that closes the channel with the first record: the reader is bound.
type announce struct {
	slog.Handler
	bound chan struct{}
}

func (a announce) Enabled(context.Context, slog.Level) bool { return true }

func (a announce) Handle(context.Context, slog.Record) error { close(a.bound); return nil }

// reading runs a reader in the namespace until the test ends or stop is called, which waits for it.
func reading(t *testing.T, ns *lab.Namespace, opt Options) (stop func()) {
	t.Helper()
	bound := make(chan struct{})
	opt.NetNS, opt.Logger = ns.FD(), slog.New(announce{slog.DiscardHandler, bound})
	r, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	select {
	case <-bound:
	case err := <-done:
		cancel()
		t.Fatalf("Run: %v", err)
	}
	stopped := false
	stop = func() {
		t.Helper()
		cancel()
		if stopped {
			return
		}
		stopped = true
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func next(t *testing.T, drops <-chan Drop) Drop {
	t.Helper()
	select {
	case d := <-drops:
		return d
	case <-time.After(10 * time.Second):
		t.Fatal("no packet arrived")
		return Drop{}
	}
}

func TestReaderTellsWhatTheKernelDenied(t *testing.T) {
	ns := logging(t)
	drops := make(chan Drop, 16)
	reading(t, ns, Options{Handle: func(d Drop) { drops <- d }})
	tests := map[string]struct{ to, prefix, in, out string }{
		"v4 coming in":  {"127.0.0.1:4242", logged, "lo", ""},
		"v6 coming in":  {"[::1]:4242", logged, "lo", ""},
		"v4 going out":  {"127.0.0.1:4243", outgoing, "", "lo"},
		"v6 going out":  {"[::1]:4243", outgoing, "", "lo"},
		"other address": {"127.9.9.9:4242", logged, "lo", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			con := udp(t, ns, tt.to)
			send(con, 1)
			d := next(t, drops)
			to, from := netip.MustParseAddrPort(tt.to), con.LocalAddr().(*net.UDPAddr).AddrPort()
			want := packet.Packet{Src: from.Addr().Unmap(), Dst: to.Addr(), Proto: packet.ProtoUDP, SrcPort: from.Port(), DstPort: to.Port()}
			if d.Packet != want || d.Prefix != tt.prefix || d.In != tt.in || d.Out != tt.out {
				t.Errorf("got  %+v\nwant %+v, prefix %q, in %q, out %q", d, want, tt.prefix, tt.in, tt.out)
			}
			if age := time.Since(d.Time); age < -time.Minute || age > time.Minute {
				t.Errorf("arrived %v ago", age)
			}
			if _, ours := ParsePrefix(d.Prefix); !ours {
				t.Errorf("prefix %q is not ours", d.Prefix)
			}
		})
	}
}

func TestAGroupHasOneReader(t *testing.T) {
	ns := logging(t)
	stop := reading(t, ns, Options{Handle: func(Drop) {}})
	second, err := New(Options{NetNS: ns.FD(), Handle: func(Drop) {}})
	if err != nil {
		t.Fatal(err)
	}
	err = second.Run(t.Context())
	if !errors.Is(err, ErrGroupTaken) {
		t.Fatalf("second reader: %v", err)
	}
	for _, word := range []string{"group 32", "--nflog-group", "DOCKERWALL_NFLOG_GROUP"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
	stop()
	reading(t, ns, Options{Handle: func(Drop) {}}) // given back
}

func TestEveryPacketOfAFloodArrives(t *testing.T) {
	ns := logging(t)
	var arrived, lost atomic.Uint64
	all := make(chan struct{})
	const packets = 10_000
	reading(t, ns, Options{
		Handle: func(Drop) {
			if arrived.Add(1) == packets {
				close(all)
			}
		},
		Lost: func(n uint64) { lost.Add(n) },
	})
	con := udp(t, ns, "127.0.0.1:4242")
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range packets / 10 { // 10,000 a second
		<-tick.C
		send(con, 10)
	}
	select {
	case <-all:
	case <-time.After(20 * time.Second):
	}
	if a, l := arrived.Load(), lost.Load(); a != packets || l != 0 {
		t.Errorf("%d of %d arrived, %d lost", a, packets, l)
	}
}

func TestWhatASlowHandlerLosesIsCounted(t *testing.T) {
	ns := logging(t)
	var arrived, lost atomic.Uint64
	var ended sync.Once
	blocked, last := make(chan struct{}), make(chan struct{})
	reading(t, ns, Options{
		Handle: func(d Drop) {
			<-blocked
			arrived.Add(1)
			if d.DstPort == 4243 {
				ended.Do(func() { close(last) })
			}
		},
		Lost: func(n uint64) { lost.Add(n) },
	})
	const packets = 100_000
	send(udp(t, ns, "127.0.0.1:4242"), packets)
	close(blocked)
	end := udp(t, ns, "127.0.0.1:4243")
	sent := uint64(packets)
	for over := false; !over; {
		send(end, 1) // lost itself while the buffer is full
		sent++
		select {
		case <-last:
			over = true
		case <-time.After(50 * time.Millisecond):
		}
	}
	if a, l := arrived.Load(), lost.Load(); l == 0 || a+l > sent || a+l <= packets {
		t.Errorf("%d arrived, %d lost of %d", a, l, sent)
	}
}

func TestReaderStartsAndStopsUnderAFlood(t *testing.T) {
	ns := logging(t)
	con := udp(t, ns, "127.0.0.1:4242")
	ctx, cancel := context.WithCancel(t.Context())
	flooding := make(chan struct{})
	go func() {
		defer close(flooding)
		for ctx.Err() == nil {
			send(con, 100)
		}
	}()
	before := descriptors(t)
	for range 20 {
		first := make(chan Drop, 1)
		stop := reading(t, ns, Options{Handle: func(d Drop) {
			select {
			case first <- d:
			default:
			}
		}})
		next(t, first)
		stop()
	}
	cancel()
	<-flooding
	if after := descriptors(t); after > before+5 {
		t.Errorf("%d descriptors open, %d before", after, before)
	}
}

// descriptors is how many files this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

func TestNewWantsAHandler(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("accepted")
	}
}
