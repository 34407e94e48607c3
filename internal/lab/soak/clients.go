package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// clients asks all that can be asked, one after the other.
func (s *soak) clients(ctx context.Context) error {
	asks := []struct {
		args []string
		ends int // exit code
	}{
		{[]string{"status", "-o", "json"}, 0},
		{[]string{"status", "flooder"}, 0},
		{[]string{"explain", "flooder", "198.19.1.1:9/udp"}, 10},
		{[]string{"explain", "echoer", "203.0.113.1:7/udp"}, 0},
		{[]string{"suggest", "-o", "json"}, 0},
		{[]string{"watch", "--follow=false", "--last=20"}, 0},
		{[]string{"health"}, 0},
	}
	return each(ctx, 500*time.Millisecond, func(i int) error {
		ask := asks[i%len(asks)]
		out, err := s.command(ctx, ask.args...).CombinedOutput()
		if ctx.Err() != nil {
			return nil
		}
		if code := exitCode(err); code != ask.ends {
			s.amiss("dockerwall %q exits %d: %s", ask.args, code, bytes.TrimSpace(out))
		}
		s.count("questions of clients", 1)
		if i%4 == 0 {
			if _, err := s.Host.Get(ctx, "http://127.0.0.1:50000/"); err != nil && ctx.Err() == nil {
				s.amiss("the page: %v", err)
			}
		}
		return nil
	})
}

func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}

// watch follows denials, each time for some seconds after the first.
func (s *soak) watch(ctx context.Context) error {
	return each(ctx, time.Second, func(int) error {
		some, cancel := context.WithTimeout(ctx, lab.Soon)
		defer cancel()
		cmd := s.command(some, "watch", "-o", "jsonl")
		out, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		n := 0
		for lines := bufio.NewScanner(out); lines.Scan(); n++ {
			if n == 0 {
				defer time.AfterFunc(5*time.Second, cancel).Stop()
			}
		}
		_ = cmd.Wait() // killed: its time is up
		if ctx.Err() == nil && some.Err() == nil {
			s.amiss("watch ends by itself after %d lines", n)
		}
		if ctx.Err() == nil && n == 0 {
			s.amiss("watch says nothing for %v", lab.Soon)
		}
		s.count("denials watched", n)
		return nil
	})
}

// hangup has the daemon read everything anew.
func (s *soak) hangup(ctx context.Context) error {
	return each(ctx, max(time.Second, s.length/60), func(int) error {
		if err := s.daemon.Signal(syscall.SIGHUP); err != nil {
			return fmt.Errorf("send SIGHUP: %w", err)
		}
		s.count("SIGHUPs", 1)
		return nil
	})
}
