package hold

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/florianl/go-nfqueue/v2"
	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/nfgroup"
)

const (
	// batchMost is how many replies share a commit.
	batchMost = 128
	beatEvery = time.Second
)

// running is a Holder that runs.
type running struct {
	*Holder
	con      *nfqueue.Nfqueue
	cancel   context.CancelFunc // ends the library's receiver
	reader   reader
	items    chan *item
	failed   chan error
	stopped  chan struct{} // closed when all packets pass
	newest   atomic.Uint32 // the last packet's number
	releases sync.WaitGroup
}

// item is a packet that waits.
type item struct {
	id       uint32
	came     time.Time
	messages []Message
	timer    *time.Timer
	once     sync.Once
	gone     chan struct{} // closed when it waits no longer
}

// bind has packets sent to receive. What rules queued meanwhile passes.
func (r *running) bind(ctx context.Context) error {
	err := nfgroup.Undisturbed(r.con.Con, func() error {
		return r.con.RegisterWithErrorFunc(ctx, r.receive, r.receiveError)
	})
	if err == nil {
		r.passWaiting()
	}
	return err
}

// receive takes a packet from the kernel, on the library's goroutine. One that carries no message goes on at once.
func (r *running) receive(a nfqueue.Attribute) int {
	if a.PacketID == nil {
		return 0
	}
	now := time.Now()
	it := &item{id: *a.PacketID, came: now, gone: make(chan struct{})}
	r.newest.Store(it.id)
	r.counts.packets.Add(1)
	if a.Payload != nil {
		it.messages = r.read(*a.Payload, now)
	}
	if len(it.messages) == 0 {
		r.accept(it, &r.counts.empty)
		return 0
	}
	it.timer = time.AfterFunc(r.opt.Limit, func() { r.accept(it, &r.counts.late) })
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
	r.passAll() // the library is about to unbind, and the kernel to drop what waits
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

// commit has a batch learned and lets each item go when all of its messages may. One that makes Learn panic spoils
// it for itself only.
func (r *running) commit(batch []*item) {
	var messages []Message
	for _, it := range batch {
		messages = append(messages, it.messages...)
	}
	waits := r.learn(messages)
	if len(waits) != len(messages) {
		if len(batch) > 1 {
			for i := range batch {
				r.commit(batch[i : i+1])
			}
			return
		}
		waits = make([]<-chan struct{}, len(messages))
	}
	for _, it := range batch {
		n := len(it.messages)
		r.releaseAfter(it, waits[:n])
		waits = waits[n:]
	}
}

// learn is Options.Learn, nothing after a panic.
func (r *running) learn(messages []Message) []<-chan struct{} {
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
	r.releases.Go(func() {
		for _, w := range open {
			select {
			case <-w:
			case <-it.gone:
				return
			case <-r.stopped:
				r.release(it, &r.counts.late)
				return
			}
		}
		r.release(it, &r.counts.released)
	})
}
