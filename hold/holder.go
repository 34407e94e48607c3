package hold

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/florianl/go-nfqueue/v2"
	"golang.org/x/sys/unix"
)

const (
	// queueLength is how many packets wait in the kernel at most. A reader that hangs keeps as many from their
	// clients; one that works has few. More than it pass unread.
	queueLength = 256
	// wholePacket is how much of each is copied: conntrack has put fragments together.
	wholePacket = 0xffff
	readBuffer  = 4 << 20
	// batchMost is how many replies share a commit.
	batchMost = 128
	beatEvery = time.Second
	// farAhead is more packets than can wait in the queue unread.
	farAhead = 1 << 20
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
	// on, else one that is closed then. It may take its time, but holds up others. Required.
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
	con, err := nfqueue.Open(&nfqueue.Config{
		NetNS: h.opt.NetNS, NfQueue: h.opt.Number, MaxQueueLen: queueLength, MaxPacketLen: wholePacket,
		Copymode: nfqueue.NfQnlCopyPacket, AfFamily: unix.AF_UNSPEC,
		// Without GSO the kernel would cut what its receiver has merged; without fail-open a full queue drops.
		Flags: nfqueue.NfQaCfgFlagFailOpen | nfqueue.NfQaCfgFlagGSO,
	})
	if err != nil {
		return fmt.Errorf("read queue %d: %w", h.opt.Number, err)
	}
	_ = con.Con.SetReadBuffer(readBuffer) // a smaller one is full sooner; then packets pass
	r := &running{Holder: h, con: con, items: make(chan *item, 2*queueLength), failed: make(chan error, 1), stopped: make(chan struct{})}
	lasting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	if err := con.RegisterWithErrorFunc(lasting, r.receive, r.receiveError); err != nil {
		cancel()
		_ = con.Close()
		return fmt.Errorf("read queue %d: %w", h.opt.Number, bindError(err))
	}
	h.opt.Logger.Debug("holding DNS replies", "queue", h.opt.Number)
	h.opt.Bound(true)
	err = r.work(ctx)
	h.opt.Bound(false)
	close(r.stopped)
	r.letGo()
	cancel()
	_ = con.Close() // waits for the receiver
	r.releases.Wait()
	if err != nil {
		return fmt.Errorf("read queue %d: %w", h.opt.Number, err)
	}
	return nil
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

// running is a Holder that runs.
type running struct {
	*Holder
	con      *nfqueue.Nfqueue
	reader   reader
	items    chan *item
	failed   chan error
	stopped  chan struct{}
	newest   atomic.Uint32 // the last packet's number
	releases sync.WaitGroup
}

// item is a packet that waits.
type item struct {
	id       uint32
	came     time.Time
	messages []Message
	once     sync.Once
	timer    *time.Timer
}

// receive takes a packet from the kernel, on the library's goroutine. One that carries no message goes on at once.
func (r *running) receive(a nfqueue.Attribute) int {
	if a.PacketID == nil {
		return 0
	}
	now := time.Now()
	it := &item{id: *a.PacketID, came: now}
	r.newest.Store(it.id)
	r.counts.packets.Add(1)
	if a.Payload != nil {
		it.messages = r.read(*a.Payload, now)
	}
	if len(it.messages) == 0 {
		r.release(it, &r.counts.empty)
		return 0
	}
	it.timer = time.AfterFunc(r.opt.Limit, func() { r.release(it, &r.counts.late) })
	select {
	case r.items <- it:
	default:
		r.release(it, &r.counts.late)
	}
	return 0
}

// read is the packet's messages. A packet that makes it panic has none.
func (r *running) read(payload []byte, now time.Time) (messages []Message) {
	defer survive(r.opt.Logger, &r.counts, "read a DNS reply")
	return r.reader.messages(payload, now)
}

// survive keeps what a packet has brought about from ending the daemon, which would be its sender's to choose.
func survive(logger *slog.Logger, c *counts, doing string) {
	if cause := recover(); cause != nil {
		logger.Error("internal error; the reply goes on unread", "doing", doing, "cause", cause)
		c.panics.Add(1)
	}
}

// receiveError says whether reading goes on (0). A full socket lets packets pass; the verdict of one that the
// kernel has dropped meanwhile, because a hook went away, is answered ENOENT.
func (r *running) receiveError(err error) int {
	switch {
	case errors.Is(err, unix.ENOBUFS):
		r.counts.overruns.Add(1)
		return 0
	case errors.Is(err, unix.ENOENT):
		return 0
	}
	r.failed <- err
	return 1
}

// work commits what messages name, many at a time.
func (r *running) work(ctx context.Context) error {
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-r.failed:
			return err
		case <-beat.C:
			r.opt.Beat()
		case it := <-r.items:
			r.commit(r.gather(it))
		}
	}
}

// gather is the first item and those that have come meanwhile.
func (r *running) gather(first *item) []*item {
	batch := []*item{first}
	for len(batch) < batchMost {
		select {
		case it := <-r.items:
			batch = append(batch, it)
		default:
			return batch
		}
	}
	return batch
}

// commit has a batch learned and lets each item go when all of its messages may.
func (r *running) commit(batch []*item) {
	var messages []Message
	for _, it := range batch {
		messages = append(messages, it.messages...)
	}
	waits := r.learn(messages)
	for _, it := range batch {
		n := len(it.messages)
		r.releaseAfter(it, waits[:n])
		waits = waits[n:]
	}
}

// learn is Options.Learn; after a panic nothing waits.
func (r *running) learn(messages []Message) (waits []<-chan struct{}) {
	defer func() {
		if len(waits) != len(messages) {
			waits = make([]<-chan struct{}, len(messages))
		}
	}()
	defer survive(r.opt.Logger, &r.counts, "learn from DNS replies")
	return r.opt.Learn(messages)
}

func (r *running) releaseAfter(it *item, waits []<-chan struct{}) {
	var open []<-chan struct{}
	for _, w := range waits {
		if w != nil {
			open = append(open, w)
		}
	}
	if len(open) == 0 {
		r.release(it, &r.counts.released)
		return
	}
	limit := time.NewTimer(r.opt.Limit) // the item's own lets it go
	r.releases.Go(func() {
		defer limit.Stop()
		for _, w := range open {
			select {
			case <-w:
			case <-limit.C:
				return
			case <-r.stopped:
				return
			}
		}
		r.release(it, &r.counts.released)
	})
}

// release gives the verdict, once.
func (r *running) release(it *item, as *atomic.Uint64) {
	it.once.Do(func() {
		if it.timer != nil {
			it.timer.Stop()
		}
		if err := r.con.SetVerdict(it.id, nfqueue.NfAccept); err != nil {
			r.counts.errors.Add(1)
			r.opt.Logger.Debug("no verdict", "err", err)
		}
		as.Add(1)
		if as != &r.counts.empty {
			r.counts.observe(time.Since(it.came))
		}
	})
}

// letGo accepts all that waits, in our hand or in the socket.
func (r *running) letGo() {
	_ = r.con.SetVerdictBatch(r.newest.Load()+farAhead, nfqueue.NfAccept) // if it fails they are asked again
	for {
		select {
		case it := <-r.items:
			r.release(it, &r.counts.late)
		default:
			return
		}
	}
}
