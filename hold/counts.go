package hold

import (
	"fmt"
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

// Counts are since New. Each packet is counted once in Empty, Released or Late when it goes on.
type Counts struct {
	Packets  uint64 // that came from the queue, or as copies
	Empty    uint64 // those without a DNS message: handshakes, first pieces of tcp
	Released uint64 // those that went on when they were learned
	Late     uint64 // those that went on because the limit was over or too many waited
	Overruns uint64 // times that the socket was full; packets passed unread
	Errors   uint64 // verdicts that could not be given
	Panics   uint64 // internal errors, because of which packets passed unread

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

// ReadQueue reads the statistics of a queue of the calling thread's network namespace. It reports false if nobody
// reads that queue.
func ReadQueue(number uint16) (Queue, bool, error) {
	text, err := os.ReadFile("/proc/thread-self/net/netfilter/nfnetlink_queue")
	if err != nil {
		return Queue{}, false, fmt.Errorf("read statistics of queue %d: %w", number, err)
	}
	q, found := findQueue(string(text), number)
	return q, found, nil
}

// findQueue reads lines of seq_show in nfnetlink_queue.c: number, reader's netlink port, waiting, copy mode, copy range,
// dropped, dropped by user, last id, 1.
func findQueue(text string, number uint16) (Queue, bool) {
	for line := range strings.Lines(text) {
		n, ok := numbers(strings.Fields(line))
		if ok && n[0] == uint64(number) {
			return Queue{Waiting: n[2], Dropped: n[5], UserDropped: n[6]}, true
		}
	}
	return Queue{}, false
}

// numbers are the first of a line's fields. It reports false if they are fewer, or no numbers.
func numbers(fields []string) (n [7]uint64, ok bool) {
	if len(fields) < len(n) {
		return n, false
	}
	for i := range n {
		var err error
		if n[i], err = strconv.ParseUint(fields[i], 10, 64); err != nil {
			return n, false
		}
	}
	return n, true
}
