package nft

import (
	"errors"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab/pair"
	"golang.org/x/sys/unix"
)

// serve answers at the server until the benchmark ends, on the CPU that sends: each datagram goes back to where it came
// from, from the address it was sent to.
func (r *road) serve(b *testing.B) {
	b.Helper()
	fd := socketIn(b, r.server, unix.SOCK_DGRAM, echoPort)
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1); err != nil {
		b.Fatal(err)
	}
	var echo sync.WaitGroup
	echo.Go(func() {
		if err := onCPU(false, func() error { return echoUntilShut(fd) }); err != nil {
			b.Error(err)
		}
	})
	b.Cleanup(func() {
		_ = unix.Shutdown(fd, unix.SHUT_RD) // ENOTCONN, and yet it wakes the reader (inet_shutdown)
		echo.Wait()
	})
}

// echoUntilShut sends a datagram's control message back with it: that is the source address then (ip(7), IP_PKTINFO).
func echoUntilShut(fd int) error {
	buf, control := make([]byte, 64), make([]byte, 64)
	for {
		n, c, _, from, err := unix.Recvmsg(fd, buf, control, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil || n == 0:
			return err
		}
		if err := unix.Sendmsg(fd, buf[:n], control[:c], from, 0); err != nil {
			return err
		}
	}
}

// onCPU runs f on a thread that stays on the first CPU of those the process may use, where pin keeps the sender too, or
// on the last.
func onCPU(last bool, f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	for cpu := range 1024 {
		if before.IsSet(cpu) && (last || one.Count() == 0) {
			one.Zero()
			one.Set(cpu)
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return err
	}
	defer func() { _ = unix.SchedSetaffinity(0, &before) }()
	return f()
}

// greet makes an established flow: a datagram there and back.
func (r *road) greet(b *testing.B, socket int, to netip.Addr) {
	b.Helper()
	if err := unix.Sendto(socket, []byte{1}, 0, &unix.SockaddrInet4{Port: echoPort, Addr: to.As4()}); err != nil {
		b.Fatal(err)
	}
	if _, _, err := unix.Recvfrom(socket, make([]byte, 1), 0); err != nil {
		b.Fatalf("no answer from %s: %v", to, err)
	}
}

const pings = 100

// roundTrip is the median time of a slice of datagrams there and back, in microseconds.
func (r *road) roundTrip(b *testing.B) float64 {
	b.Helper()
	took := make(pair.Samples, 0, pings)
	for range pings {
		start := time.Now()
		r.greet(b, r.sockets[0], r.allowed(0))
		took = append(took, float64(time.Since(start).Nanoseconds())/1000)
	}
	return took.Median()
}

// listen is a TCP socket of the server that takes connections to any of its addresses.
func (r *road) listen(b *testing.B, port int) int {
	b.Helper()
	fd := socketIn(b, r.server, unix.SOCK_STREAM, port)
	if err := unix.Listen(fd, 128); err != nil {
		b.Fatal(err)
	}
	return fd
}

// connect opens a connection to a listening socket of the server, from the container's namespace, and gives both ends.
func (r *road) connect(listener, port int) (near, far int, err error) {
	if near, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return 0, 0, err
	}
	if err = unix.Connect(near, &unix.SockaddrInet4{Port: port, Addr: r.allowed(0).As4()}); err == nil {
		far, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
	}
	if err != nil {
		_ = unix.Close(near)
	}
	return near, far, err
}

const connections = 100

// connectRate opens a slice of connections and ends each with a reset, which leaves nothing behind; connections a second.
func (r *road) connectRate(b *testing.B, listener int) float64 {
	b.Helper()
	var took time.Duration
	err := r.container.Do(func() error {
		return onCPU(false, func() error {
			start := time.Now()
			for range connections {
				near, far, err := r.connect(listener, connectPort)
				if err != nil {
					return err
				}
				if err := unix.SetsockoptLinger(near, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
					return err
				}
				if err := errors.Join(unix.Close(near), unix.Close(far)); err != nil {
					return err
				}
			}
			took = time.Since(start)
			return nil
		})
	})
	if err != nil {
		b.Fatal(err)
	}
	return connections / took.Seconds()
}

const bulkSlice = 32 << 20 // bytes

// stream is one connection of which the far end takes all there is, on another CPU, and says so after each bulkSlice.
type stream struct {
	near int
	data []byte
}

func (r *road) stream(b *testing.B) *stream {
	b.Helper()
	s := &stream{data: make([]byte, 1<<20)}
	listener := r.listen(b, bulkPort)
	var far int
	err := r.container.Do(func() (err error) {
		s.near, far, err = r.connect(listener, bulkPort)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	var sink sync.WaitGroup
	sink.Go(func() {
		if err := onCPU(true, func() error { return takeAll(far) }); err != nil {
			b.Error(err)
		}
	})
	b.Cleanup(func() {
		_ = unix.Shutdown(s.near, unix.SHUT_WR)
		sink.Wait()
		_ = errors.Join(unix.Close(s.near), unix.Close(far))
	})
	return s
}

// takeAll throws away what arrives (tcp(7), MSG_TRUNC) until the end of the stream.
func takeAll(fd int) error {
	left, buf := bulkSlice, make([]byte, 1<<20)
	for {
		n, _, err := unix.Recvfrom(fd, buf[:min(left, len(buf))], unix.MSG_TRUNC)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil || n == 0:
			return err
		}
		if left -= n; left > 0 {
			continue
		}
		left = bulkSlice
		if _, err := unix.Write(fd, []byte{1}); err != nil {
			return err
		}
	}
}

// throughput is that of a slice, in gigabits a second.
func (s *stream) throughput(b *testing.B) float64 {
	b.Helper()
	start := time.Now()
	for left := bulkSlice; left > 0; {
		n, err := unix.Write(s.near, s.data[:min(left, len(s.data))])
		if err != nil && !errors.Is(err, unix.EINTR) {
			b.Fatal(err)
		}
		left -= max(n, 0)
	}
	if _, err := unix.Read(s.near, s.data[:1]); err != nil {
		b.Fatal(err)
	}
	return 8 * bulkSlice / float64(time.Since(start).Nanoseconds())
}
