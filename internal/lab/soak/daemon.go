package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// soon is how long may pass until something is what was asked for, or gone.
	soon = 30 * time.Second
	// stateDir and decisions are the host's own.
	stateDir  = "/run/dockerwall/state"
	decisions = "/run/dockerwall/decisions"
	metrics   = "http://127.0.0.1:50000/metrics"
)

// daemon is a running `dockerwall run`, or one that has ended.
type daemon struct {
	cmd    *exec.Cmd
	exited chan struct{}

	mu       sync.Mutex
	bytes    int // that it logged
	last     []byte
	warnings int
	warned   []string // the first of them
}

// Write counts what the daemon logs, and keeps the end.
func (d *daemon) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bytes += len(p)
	d.last = append(d.last, p...)
	d.last = d.last[max(0, len(d.last)-4<<10):]
	if line := string(p); strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") { // a write is a line
		if d.warnings++; len(d.warned) < 20 {
			d.warned = append(d.warned, strings.TrimSpace(line))
		}
	}
	return len(p), nil
}

// logged is how many bytes it logged.
func (d *daemon) logged() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.bytes
}

// worries are how many warnings and errors it logged, and the first of them.
func (d *daemon) worries() (int, []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.warnings, d.warned
}

// tail is the end of the log, for a failure.
func (d *daemon) tail() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return "the daemon's last words:\n" + string(d.last)
}

// stop ends the daemon; its table stays.
func (d *daemon) stop() error {
	_ = d.cmd.Process.Signal(syscall.SIGTERM) // an error: it has ended
	select {
	case <-d.exited:
		return nil
	case <-time.After(soon):
		_ = d.cmd.Process.Kill()
		<-d.exited
		return fmt.Errorf("stop dockerwall: it went on for %v; %s", soon, d.tail())
	}
}

// command is dockerwall on the lab's host, with none of this shell's settings.
func (s *soak) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := s.HostCommand(ctx, s.binary, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "DOCKER_HOST=unix:///run/docker.sock", "DOCKERWALL_STATE_DIR=" + stateDir}, s.settings...)
	cmd.WaitDelay = time.Second
	return cmd
}

// start runs a daemon and waits until it is healthy.
func (s *soak) start(ctx context.Context) error {
	d := &daemon{cmd: s.command(context.WithoutCancel(ctx), "run", "--decision-log="+decisions), exited: make(chan struct{})}
	d.cmd.Stderr = d
	if err := d.cmd.Start(); err != nil {
		return fmt.Errorf("start dockerwall: %w", err)
	}
	s.daemon = d
	go func() {
		_ = d.cmd.Wait()
		close(d.exited)
	}()
	err := until(ctx, func() error {
		select {
		case <-d.exited:
			return hopeless{errors.New("it ended")}
		default:
		}
		if said, err := s.command(ctx, "health").CombinedOutput(); err != nil {
			return fmt.Errorf("health: %w: %s", err, bytes.TrimSpace(said))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("start dockerwall: %w; %s", err, d.tail())
	}
	return nil
}

// hopeless is an error that waiting does not mend.
type hopeless struct{ error }

// until tries again until f succeeds.
func until(ctx context.Context, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, soon)
	defer cancel()
	for {
		err := f()
		if err == nil || errors.As(err, new(hopeless)) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// version is what a program says of itself.
func (s *soak) version(ctx context.Context) (string, error) {
	out, err := s.command(ctx, "version").Output()
	if err != nil {
		return "", fmt.Errorf("dockerwall version: %w", err)
	}
	return strings.TrimPrefix(string(bytes.TrimSpace(out)), "dockerwall "), nil
}
