package nft

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	trainSize  = 60 // datagrams of one sendmmsg: three to each address a sender may send to
	sliceTrain = 8  // trains that are timed together: as little as times well, as anything else on this CPU ruins a slice
)

// train is datagrams that one call sends.
type train struct {
	socket   int
	messages []message
	names    []unix.RawSockaddrInet4
	payload  [sunkSize]byte
	piece    unix.Iovec
}

// message is struct mmsghdr of sendmmsg(2).
type message struct {
	header unix.Msghdr
	length uint32
}

// newTrain is of datagrams from a socket to what to says of each; the train may not be copied.
func newTrain(socket int, to func(i int) netip.AddrPort) *train {
	t := &train{socket: socket, messages: make([]message, trainSize), names: make([]unix.RawSockaddrInet4, trainSize)}
	t.piece = unix.Iovec{Base: &t.payload[0]}
	t.piece.SetLen(sunkSize)
	for i := range t.messages {
		h := &t.messages[i].header
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&t.names[i])), unix.SizeofSockaddrInet4
		h.Iov = &t.piece
		h.SetIovlen(1)
	}
	t.aim(to)
	return t
}

func (t *train) aim(to func(i int) netip.AddrPort) {
	for i := range t.names {
		at := to(i)
		t.names[i] = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: networkOrder(at.Port()), Addr: at.Addr().As4()}
	}
}

func networkOrder(port uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, port))
}

// send returns when every datagram is where it ends.
func (t *train) send() error {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(t.socket), uintptr(unsafe.Pointer(&t.messages[0])), trainSize, 0, 0, 0)
	switch {
	case errno != 0:
		return errno
	case n != trainSize:
		return errors.New("sendmmsg sent less")
	}
	return nil
}

// traffic is trains that go one after another, again and again.
type traffic struct {
	road   *road
	trains []*train
	next   func(i int) netip.AddrPort // where the datagrams of each train go; nil leaves them as they are
	sent   int                        // datagrams
	before int                        // had arrived
}

// flowing is traffic of flows that are established: one, or many mixed.
func (r *road) flowing(b *testing.B, many bool) *traffic {
	b.Helper()
	t := &traffic{road: r}
	if !many {
		t.trains = []*train{newTrain(r.sockets[0], func(int) netip.AddrPort { return netip.AddrPortFrom(r.allowed(0), echoPort) })}
	} else {
		for _, socket := range r.sockets {
			t.trains = append(t.trains, newTrain(socket, func(i int) netip.AddrPort { return netip.AddrPortFrom(r.allowed(i), echoPort) }))
		}
	}
	for _, train := range t.trains {
		for i := range train.names {
			r.greet(b, train.socket, netip.AddrFrom4(train.names[i].Addr))
		}
	}
	t.before = r.arrived(b)
	return t
}

// opening is traffic of which each datagram opens a flow.
func (r *road) opening(b *testing.B) *traffic {
	b.Helper()
	n := 0
	next := func(i int) netip.AddrPort {
		n++
		return netip.AddrPortFrom(r.allowed(i), uint16(1024+n/20%60000))
	}
	return &traffic{road: r, trains: []*train{newTrain(r.sockets[0], next)}, next: next, before: r.arrived(b)}
}

// forbidden is traffic that nothing allows, all to one destination or each datagram to another one.
func (r *road) forbidden(b *testing.B, many bool) *traffic {
	b.Helper()
	to := netip.MustParseAddr("10.255.0.0")
	next := func(int) netip.AddrPort {
		if to = to.Next(); !to.Is4() || to.As4()[1] != 255 {
			to = netip.MustParseAddr("10.255.0.1")
		}
		return netip.AddrPortFrom(to, echoPort)
	}
	t := &traffic{road: r, trains: []*train{newTrain(r.sockets[0], next)}, before: r.arrived(b)}
	if many {
		t.next = next
	} else {
		t.trains[0].aim(func(int) netip.AddrPort { return netip.AddrPortFrom(to, echoPort) })
	}
	return t
}

// cost sends a slice of trains and returns what a datagram takes, in nanoseconds.
func (t *traffic) cost(b *testing.B) float64 {
	b.Helper()
	t.send(b, 2) // what others measured between is in the caches
	start := time.Now()
	t.send(b, sliceTrain)
	return float64(time.Since(start).Nanoseconds()) / (sliceTrain * trainSize)
}

// rate is the datagrams a second of a slice.
func (t *traffic) rate(b *testing.B) float64 { return 1e9 / t.cost(b) }

func (t *traffic) send(b *testing.B, trains int) {
	b.Helper()
	for range trains {
		train := t.trains[t.sent/trainSize%len(t.trains)]
		if t.next != nil {
			train.aim(t.next)
		}
		if err := train.send(); err != nil {
			b.Fatal(err)
		}
		t.sent += trainSize
	}
}

// came fails the benchmark if not all datagrams have arrived, or any of what is forbidden: what is dropped on the way is
// quick.
func (t *traffic) came(b *testing.B, all bool) {
	b.Helper()
	want := 0
	if all {
		want = t.sent
	}
	if got := t.road.arrived(b) - t.before; got != want {
		b.Errorf("%d of %d datagrams arrived, not %d", got, t.sent, want)
	}
}
