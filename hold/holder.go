package hold

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/florianl/go-nfqueue/v2"
	"golang.org/x/sys/unix"
)

const (
	// queueLength is how many packets wait in the kernel at most. A reader that hangs keeps as many from their
	// clients; one that works has few. More than it pass unread.
	queueLength = 1024
	// wholePacket is how much of each is copied: conntrack has put fragments together.
	wholePacket = 0xffff
	readBuffer  = 4 << 20
)

// Errors of [Holder.Run] and [Copier.Run].
var (
	// ErrTaken says that another program reads the queue, or the nflog group.
	ErrTaken = errors.New("another program reads it; choose a free number with --dns-queue or DOCKERWALL_DNS_QUEUE")
	// ErrNoQueue says that the kernel has no nfnetlink_queue.
	ErrNoQueue = errors.New("this kernel has no nfnetlink_queue (CONFIG_NETFILTER_NETLINK_QUEUE)")
)

// Options of a [Holder] or [Copier].
type Options struct {
	Number uint16 // of the queue, or the nflog group
	NetNS  int    // file descriptor of the network namespace, which stays open; 0 is the caller's own
	// Limit is how long a packet waits at most; default 1 s.
	Limit time.Duration
	// Learn is given messages in the order of their arrival, and returns a channel for each: nil if it may go
	// on, else one that is closed then. It may take its time, but holds up others, and the end of Run. After a
	// panic it is given the same messages again, packet by packet. Required.
	Learn func([]Message) []<-chan struct{}
	// Bound is told when packets are read, and when they are no longer; nil = nobody is.
	Bound func(bool)
	// Beat is called every second while replies are handled: rules may stop sending them without; nil = nobody is.
	Beat   func()
	Logger *slog.Logger // nil discards
}

func (o *Options) check() error {
	if o.Learn == nil {
		return errors.New("hold: Options.Learn is required")
	}
	if o.Limit == 0 {
		o.Limit = time.Second
	}
	if o.Bound == nil {
		o.Bound = func(bool) {}
	}
	if o.Beat == nil {
		o.Beat = func() {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Holder reads an nfqueue queue of DNS replies. It needs CAP_NET_ADMIN.
type Holder struct {
	opt    Options
	counts counts
}

// New checks opt; it opens nothing yet.
func New(opt Options) (*Holder, error) {
	if err := opt.check(); err != nil {
		return nil, err
	}
	return &Holder{opt: opt}, nil
}

// Run holds replies until ctx is done, then lets go those in its hand and returns nil. It returns [ErrTaken] or
// [ErrNoQueue] if the queue cannot be read. Run may be called again after it returned.
func (h *Holder) Run(ctx context.Context) error {
	r, err := h.open(ctx)
	if err != nil {
		return fmt.Errorf("read queue %d: %w", h.opt.Number, err)
	}
	h.opt.Logger.Debug("holding DNS replies", "queue", h.opt.Number)
	h.opt.Bound(true)
	err = r.work(ctx)
	h.opt.Bound(false)
	r.close()
	if err != nil {
		return fmt.Errorf("read queue %d: %w", h.opt.Number, err)
	}
	return nil
}

func (h *Holder) open(ctx context.Context) (*running, error) {
	con, err := nfqueue.Open(h.config())
	if err != nil {
		return nil, err
	}
	_ = con.Con.SetReadBuffer(readBuffer) // a smaller one is full sooner; then packets pass
	lasting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &running{
		Holder: h, con: con, cancel: cancel,
		items: make(chan *item, 2*queueLength), failed: make(chan error, 1), stopped: make(chan struct{}),
	}
	if err := r.bind(lasting); err != nil {
		r.close()
		return nil, bindError(err)
	}
	return r, nil
}

func (h *Holder) config() *nfqueue.Config {
	return &nfqueue.Config{
		NetNS: h.opt.NetNS, NfQueue: h.opt.Number, MaxQueueLen: queueLength, MaxPacketLen: wholePacket,
		Copymode: nfqueue.NfQnlCopyPacket, AfFamily: unix.AF_UNSPEC,
		// Without GSO the kernel would cut what its receiver has merged; without fail-open a full queue drops.
		Flags: nfqueue.NfQaCfgFlagFailOpen | nfqueue.NfQaCfgFlagGSO,
	}
}

// bindError names what of the library's errors means something to a person. The first request fails without
// the right, the one for the queue when somebody else has it (nfqnl_recv_config: EPERM; two binds race to EBUSY).
func bindError(err error) error {
	queue := strings.HasPrefix(err.Error(), "could not bind to requested queue")
	switch {
	case queue && (errors.Is(err, unix.EPERM) || errors.Is(err, unix.EBUSY)):
		return ErrTaken
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("CAP_NET_ADMIN is missing: %w", unix.EPERM)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.ENOTSUP):
		return ErrNoQueue
	}
	return err
}
