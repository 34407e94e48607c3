package hold

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/florianl/go-nfqueue/v2"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// farAhead is more packets than can wait in the queue unread.
const farAhead = 1 << 20

// release lets an item go before its limit is over. It returns when the verdict is given, if not here.
func (r *running) release(it *item, as *atomic.Uint64) {
	it.timer.Stop()
	r.accept(it, as)
}

// accept gives the verdict, once.
func (r *running) accept(it *item, as *atomic.Uint64) {
	it.once.Do(func() {
		defer close(it.gone)
		r.verdict(it.id)
		as.Add(1)
		if as != &r.counts.empty {
			r.counts.observe(time.Since(it.came))
		}
	})
}

func (r *running) verdict(id uint32) {
	select {
	case <-r.stopped: // passAll gives it
		return
	default:
	}
	if err := r.con.SetVerdict(id, nfqueue.NfAccept); err != nil {
		r.counts.errors.Add(1)
		r.opt.Logger.Debug("no verdict", "err", err)
	}
}

// close gives the queue back. When it returns, every packet has its verdict and no goroutine is left.
func (r *running) close() {
	close(r.stopped)
	r.passAll()
	r.cancel()
	_ = r.con.Close() // waits for the receiver
	for waiting := true; waiting; {
		select {
		case it := <-r.items:
			r.release(it, &r.counts.late)
		default:
			waiting = false
		}
	}
	r.releases.Wait()
}

// passAll lets go what waits, and has pass what comes until the queue is gone: by fail-open, a queue that is full is
// passed by. The kernel would drop it. If it fails, it is asked for again.
func (r *running) passAll() {
	_, _ = r.con.Con.Send(lengthZero(r.opt.Number))
	r.passWaiting()
}

// passWaiting lets go what waits in the kernel, read or unread.
func (r *running) passWaiting() {
	_ = r.con.SetVerdictBatch(r.newest.Load()+farAhead, nfqueue.NfAccept)
}

// lengthZero is the request that a queue's length be 0 (linux/netfilter/nfnetlink_queue.h), which the library knows
// only of a queue not yet read.
func lengthZero(queue uint16) netlink.Message {
	const (
		config    = 2                     // NFQNL_MSG_CONFIG
		maxLength = 3                     // NFQA_CFG_QUEUE_MAXLEN
		attribute = unix.SizeofNlAttr + 4 // its header and 32 bits
	)
	data := []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, 0}
	binary.BigEndian.PutUint16(data[2:], queue)
	data = binary.NativeEndian.AppendUint16(data, attribute)
	data = binary.NativeEndian.AppendUint16(data, maxLength)
	data = append(data, 0, 0, 0, 0)
	return netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_QUEUE<<8 | config, Flags: netlink.Request},
		Data:   data,
	}
}
