package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

// stream is a connection to the echo server, which sends a line twenty times a second until it breaks.
type stream struct {
	conn   net.Conn
	echoed atomic.Int64
}

// stream connects from the container.
func (b *box) stream(t *testing.T, to string) *stream {
	t.Helper()
	conn, err := b.ns.Dial(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{conn: conn}
	t.Cleanup(func() { _ = conn.Close() })
	go s.run()
	return s
}

func (s *stream) run() {
	answers := bufio.NewReader(s.conn)
	for {
		if _, err := s.conn.Write([]byte("again\n")); err != nil {
			return
		}
		if _, err := answers.ReadString('\n'); err != nil {
			return
		}
		s.echoed.Add(1)
		time.Sleep(50 * time.Millisecond)
	}
}

// flows fails unless answers go on coming.
func (s *stream) flows(t *testing.T) {
	t.Helper()
	before := s.echoed.Load()
	eventually(t, func() error {
		if s.echoed.Load() < before+3 {
			return errors.New("the connection stands still")
		}
		return nil
	})
}

// flood is a run of the probe in a container that goes on beside the test.
type flood struct {
	t    *testing.T
	done chan lab.Result
}

// flood sends packets, a thousand a second, to an address's UDP port.
func (b *box) flood(t *testing.T, to string, packets int) *flood {
	t.Helper()
	f := &flood{t, make(chan lab.Result, 1)}
	cmd := b.ns.Command(context.WithoutCancel(t.Context()), b.w.probe, "udp", to, "-count", fmt.Sprint(packets), "-rate", "1000", "-wait", "1s")
	go func() {
		out, _ := cmd.Output()
		results, err := lab.Results(string(out))
		if err != nil || len(results) != 1 {
			results = []lab.Result{{Outcome: result.Failed, Error: fmt.Sprintf("%q: %v", out, err)}}
		}
		f.done <- results[0]
	}()
	return f
}

// received waits for the end and fails unless so many of the packets were answered.
func (f *flood) received(want int) {
	f.t.Helper()
	if r := <-f.done; r.Received != want {
		f.t.Errorf("%d sent, %d answered, want %d: %s", r.Sent, r.Received, want, r.Error)
	}
}
