// Package nfgroup reads nflog groups: what rules log is copied to whoever reads the group.
package nfgroup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/florianl/go-nflog/v2"
	"golang.org/x/sys/unix"
)

// readBuffer is in bytes; the default loses 6 % at 100,000 packets a second.
const readBuffer = 8 << 20

// ErrTaken says that another program reads the group: the kernel gives a group to one reader in each network
// namespace.
var ErrTaken = errors.New("another program reads it")

// Options of a [Group].
type Options struct {
	Number    uint16
	NetNS     int    // file descriptor of the network namespace, 0 for the caller's own; it stays open
	CopyRange uint32 // bytes of each packet
	// Prepare is called before the first packet; nil = nothing.
	Prepare func(*Group)
	Packet  func(nflog.Attribute) // every packet, one at a time, on one goroutine
	Overrun func()                // the socket's buffer was full; on the same goroutine
}

// Group is one bound group. The library's receiving goroutine gives no sign when it ends on a cancelled context, so
// it is given one that lasts, and is woken by a read deadline.
type Group struct {
	con    *nflog.Nflog
	bound  bool          // there is a receiver
	ended  chan struct{} // closed with the receiver's end
	err    error         // its last; read it when ended is closed
	cancel context.CancelFunc
}

// Open binds a group; it needs CAP_NET_ADMIN, and it is [ErrTaken] when somebody else reads the group.
func Open(ctx context.Context, opt Options) (*Group, error) {
	con, err := nflog.Open(&nflog.Config{
		NetNS: opt.NetNS, Group: opt.Number, Copymode: nflog.CopyPacket, Bufsize: opt.CopyRange,
		QThresh: 1, // at once: the kernel's default holds packets for up to a second
		Flags:   nflog.FlagSeq,
	})
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	_ = con.Con.SetReadBuffer(readBuffer) // a smaller buffer loses earlier, and says so
	lasting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	g := &Group{con: con, ended: make(chan struct{}), cancel: cancel}
	if opt.Prepare != nil {
		opt.Prepare(g)
	}
	err = Undisturbed(con.Con, func() error {
		return con.RegisterWithErrorFunc(lasting,
			func(a nflog.Attribute) int { opt.Packet(a); return 0 },
			func(err error) int { return g.failed(ctx, err, opt.Overrun) })
	})
	if err != nil {
		g.Close()
		return nil, bindError(err)
	}
	g.bound = true
	return g, nil
}

// failed decides whether receiving goes on (0) after an error.
func (g *Group) failed(ctx context.Context, err error, overrun func()) int {
	if errors.Is(err, unix.ENOBUFS) && ctx.Err() == nil {
		overrun()
		return 0
	}
	g.err = err
	close(g.ended)
	return 1
}

// Wait blocks until ctx is done (nil) or receiving failed. Nothing of Options is called after it returned.
func (g *Group) Wait(ctx context.Context) error {
	select {
	case <-g.ended:
		return g.err
	case <-ctx.Done():
		return g.stop()
	}
}

// stop ends the receiver: the deadline fails its next read, however much is queued.
func (g *Group) stop() error {
	if err := g.con.Con.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return fmt.Errorf("stop receiving: %w", err)
	}
	<-g.ended
	return nil
}

// Close gives the group back. Nothing of Options is called after it returned.
func (g *Group) Close() {
	if g.bound {
		_ = g.stop() // as below; the library's Close is not to meet its receiver's beginning
	}
	g.cancel()
	_ = g.con.Close() // nothing can be done about an error
}

// Socket is the netlink socket, for requests about interfaces of its namespace; nil if it is closed.
func (g *Group) Socket() syscall.RawConn {
	socket, err := g.con.Con.SyscallConn()
	if err != nil {
		return nil
	}
	return socket
}

// bindError makes errors out of the library's texts (go-nflog v2.3.0 formats causes with %v). EPERM
// on the group alone means that it has a reader; without CAP_NET_ADMIN the first request fails.
func bindError(err error) error {
	text := err.Error()
	switch {
	case !strings.HasSuffix(text, unix.EPERM.Error()):
		return err
	case strings.HasPrefix(text, "could not bind to requested group"):
		return ErrTaken
	default:
		return fmt.Errorf("CAP_NET_ADMIN is missing: %w", unix.EPERM)
	}
}
