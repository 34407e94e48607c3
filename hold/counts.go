package hold

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Bounds are the upper bounds of [Counts.Held], in seconds.
func Bounds() []float64 {
	return []float64{0.0001, 0.0002, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1}
}

// Counts are since New. Each packet is counted once in Empty, Released or Late.
type Counts struct {
	Packets  uint64 // that came from the queue, or as copies
	Empty    uint64 // those without a DNS message: handshakes, first pieces of tcp
	Released uint64 // those that went on when they were learned
	Late     uint64 // those that went on because the limit was over or too many waited
	Overruns uint64 // times that the socket was full; packets passed unread
	Errors   uint64 // verdicts that could not be given
	Panics   uint64 // packets passed unread because of an internal error

	Held    []uint64      // packets by how long they waited: a histogram by Bounds, cumulative, without the infinite one
	HeldSum time.Duration // of all
}

// counts is Counts, safe for concurrent use.
type counts struct {
	packets, empty, released, late, overruns, errors, panics atomic.Uint64

	held [10]atomic.Uint64 // by bound, not cumulative
	sum  atomic.Int64
}

func (c *counts) observe(d time.Duration) {
	c.sum.Add(int64(d))
	for i, bound := range Bounds() {
		if d.Seconds() <= bound {
			c.held[i].Add(1)
			return
		}
	}
}

func (c *counts) now() Counts {
	out := Counts{
		Packets: c.packets.Load(), Empty: c.empty.Load(), Released: c.released.Load(), Late: c.late.Load(),
		Overruns: c.overruns.Load(), Errors: c.errors.Load(), Panics: c.panics.Load(), HeldSum: time.Duration(c.sum.Load()),
	}
	var n uint64
	for i := range c.held {
		n += c.held[i].Load()
		out.Held = append(out.Held, n)
	}
	return out
}

// Counts is what was counted since New.
func (h *Holder) Counts() Counts { return h.counts.now() }

// Queue is what the kernel says of a queue.
type Queue struct {
	Waiting     uint64 // packets without a verdict
	Dropped     uint64 // because the queue was full; with fail-open they passed and are not counted here
	UserDropped uint64 // because the reader's socket was full, likewise
}

// ReadQueue reads the statistics of a queue of the calling process's network namespace. It reports false if nobody
// reads that queue.
func ReadQueue(number uint16) (Queue, bool, error) {
	f, err := os.Open("/proc/net/netfilter/nfnetlink_queue")
	if err != nil {
		return Queue{}, false, fmt.Errorf("read statistics of queue %d: %w", number, err)
	}
	defer func() { _ = f.Close() }()
	q, found := findQueue(f, number)
	return q, found, nil
}

// findQueue reads lines of seq_show in nfnetlink_queue.c: number, reader's netlink port, waiting, copy mode, copy range,
// dropped, dropped by user, last id, 1.
func findQueue(r io.Reader, number uint16) (Queue, bool) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var n [7]uint64
		fields := strings.Fields(lines.Text())
		if len(fields) < len(n) {
			continue
		}
		for i := range n {
			n[i], _ = strconv.ParseUint(fields[i], 10, 64)
		}
		if n[0] == uint64(number) {
			return Queue{Waiting: n[2], Dropped: n[5], UserDropped: n[6]}, true
		}
	}
	return Queue{}, false
}
