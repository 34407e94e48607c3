package droplog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/florianl/go-nflog/v2"
	"golang.org/x/sys/unix"
)

// hooks are what a subscription calls, on one goroutine.
type hooks struct {
	packet  func(nflog.Attribute)
	overrun func() // the socket's buffer was full
}

// subscription is one bound nflog socket. The library's receiving goroutine gives no sign when it
// ends on a cancelled context, so it is given one that lasts, and is woken by a read deadline.
type subscription struct {
	con    *nflog.Nflog
	ended  chan error // the receiver's last error
	cancel context.CancelFunc
}

// open binds the group; prepare is called before the first packet.
func open(ctx context.Context, config *nflog.Config, h *hooks, prepare func(*subscription)) (*subscription, error) {
	con, err := nflog.Open(config)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	_ = con.Con.SetReadBuffer(readBuffer) // a smaller buffer loses earlier, and says so
	lasting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &subscription{con: con, ended: make(chan error, 1), cancel: cancel}
	prepare(s)
	err = con.RegisterWithErrorFunc(lasting,
		func(a nflog.Attribute) int { h.packet(a); return 0 },
		func(err error) int { return s.failed(ctx, err, h.overrun) })
	if err != nil {
		s.close()
		return nil, bindError(err)
	}
	return s, nil
}

// failed decides whether receiving goes on (0) after an error.
func (s *subscription) failed(ctx context.Context, err error, overrun func()) int {
	if errors.Is(err, unix.ENOBUFS) && ctx.Err() == nil {
		overrun()
		return 0
	}
	s.ended <- err
	return 1
}

// wait blocks until ctx is done (nil) or receiving failed. No hook is called after it returned.
func (s *subscription) wait(ctx context.Context) error {
	select {
	case err := <-s.ended:
		return err
	case <-ctx.Done():
	}
	// The deadline fails the receiver's next read, however much is queued.
	if err := s.con.Con.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return fmt.Errorf("stop receiving: %w", err)
	}
	<-s.ended
	return nil
}

func (s *subscription) close() {
	s.cancel()
	_ = s.con.Close() // gives the group back; nothing can be done about an error
}

func (s *subscription) interfaceName(index uint32) string {
	socket, err := s.con.Con.SyscallConn()
	if err != nil {
		return ""
	}
	return interfaceName(socket, index)
}

// bindError makes errors out of the library's texts (go-nflog v2.3.0 formats causes with %v). EPERM
// on the group alone means that it has a reader; without CAP_NET_ADMIN the first request fails.
func bindError(err error) error {
	text := err.Error()
	switch {
	case !strings.HasSuffix(text, unix.EPERM.Error()):
		return err
	case strings.HasPrefix(text, "could not bind to requested group"):
		return ErrGroupTaken
	default:
		return fmt.Errorf("CAP_NET_ADMIN is missing: %w", unix.EPERM)
	}
}
