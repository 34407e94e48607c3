package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/internal/lab/pair"
)

// The benchmarks BenchmarkBudget… measure what DESIGN.md section 10 bounds, of the whole program:
//
//	go test -run '^$' -bench '^BenchmarkBudget' -benchtime 1x ./cmd/dockerwall

// commits hears what the kernel tells of the host's tables: when an address got into one, in whatever set or map. The
// kernel tells it at the end of a commit, when packets see it already (nf_tables_commit, Linux 6.18).
type commits struct {
	conn *netlink.Conn

	mu     sync.Mutex
	heard  time.Time // of anything
	wanted []byte    // an address
	got    chan time.Time
}

func (w *world) commits(tb testing.TB) *commits {
	tb.Helper()
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: w.Host.FD()})
	if err != nil {
		tb.Fatal(err)
	}
	c := &commits{conn: conn, heard: time.Now()}
	ended := make(chan struct{})
	tb.Cleanup(func() { _ = conn.Close(); <-ended })
	if err := conn.SetReadBuffer(64 << 20); err != nil {
		tb.Fatal(err)
	}
	if err := conn.JoinGroup(unix.NFNLGRP_NFTABLES); err != nil {
		tb.Fatal(err)
	}
	go func() {
		defer close(ended)
		for {
			messages, err := conn.Receive()
			if err != nil {
				return // what is awaited then does not come
			}
			c.take(messages, time.Now())
		}
	}()
	return c
}

func (c *commits) take(messages []netlink.Message, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = now
	for _, m := range messages {
		if c.wanted != nil && m.Header.Type == unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWSETELEM && bytes.Contains(m.Data, c.wanted) {
			c.wanted = nil
			c.got <- now
		}
	}
}

// of is told when the address is in a table, once.
func (c *commits) of(a netip.Addr) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wanted, c.got = a.AsSlice(), make(chan time.Time, 1)
	return c.got
}

// quiet waits until nothing was committed for a while.
func (c *commits) quiet(tb testing.TB) {
	tb.Helper()
	eventually(tb, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if age := time.Since(c.heard); age < 150*time.Millisecond {
			return fmt.Errorf("the last commit is %v ago", age)
		}
		return nil
	})
}

// before gives up on what does not come.
func before[T any](tb testing.TB, c <-chan T, what string) T {
	tb.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		tb.Fatalf("%s: nothing in %v", what, patience)
		panic("unreachable")
	}
}

// publish makes a benchmark of each figure: one has room for one.
func publish(b *testing.B, figures ...pair.Figure) {
	b.Helper()
	for _, f := range figures {
		name := f.Case
		if f.N > 0 {
			name += "/" + strconv.Itoa(f.N)
		}
		b.Run(name, f.Report)
	}
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

// processTime is what a process has run since it began, all threads, those that ended included (clock_getcpuclockid(3)).
func processTime(tb testing.TB, pid int) time.Duration {
	tb.Helper()
	var t unix.Timespec
	const scheduler = 2 // CPUCLOCK_SCHED of include/linux/posix-timers_types.h
	if err := unix.ClockGettime(int32(^pid)<<3|scheduler, &t); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(t.Nano())
}

// memory is a line of /proc/PID/status in MB of 10⁶ bytes: VmRSS, or RssAnon, which has nothing of the program's file.
func memory(tb testing.TB, pid int, line string) float64 {
	tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		tb.Fatal(err)
	}
	for l := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(l, ":"); name == line {
			kB, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			if err != nil {
				tb.Fatal(err)
			}
			return float64(kB) * 1024 / 1e6
		}
	}
	tb.Fatalf("no %s", line)
	return 0
}
