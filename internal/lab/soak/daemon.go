package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
)

const (
	// stateDir and decisions are the host's own.
	stateDir  = "/run/dockerwall/state"
	decisions = "/run/dockerwall/decisions"
	metrics   = "http://127.0.0.1:50000/metrics"
)

// daemon is a running `dockerwall run`, or one that has ended.
type daemon struct {
	*lab.Daemon

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
	return string(d.last)
}

// command is dockerwall on the lab's host, with none of this shell's settings.
func (s *soak) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := s.HostCommand(ctx, s.binary, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "DOCKER_HOST=unix:///run/docker.sock", "DOCKERWALL_STATE_DIR=" + stateDir}, s.settings...)
	cmd.WaitDelay = time.Second
	return cmd
}

// start runs a daemon and waits until it is healthy.
func (s *soak) start(ctx context.Context) (err error) {
	d := &daemon{}
	cmd := s.command(context.WithoutCancel(ctx), "run", "--decision-log="+decisions)
	cmd.Stderr = d
	if d.Daemon, err = lab.StartDaemon(cmd, d.tail); err != nil {
		return err
	}
	s.daemon = d
	return d.Becomes(ctx, func() error { return lab.Succeeds(s.command(ctx, "health")) })
}

// version is what a program says of itself.
func (s *soak) version(ctx context.Context) (string, error) {
	out, err := s.command(ctx, "version").Output()
	if err != nil {
		return "", fmt.Errorf("dockerwall version: %w", err)
	}
	return strings.TrimPrefix(string(bytes.TrimSpace(out)), "dockerwall "), nil
}
