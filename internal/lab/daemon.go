package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// Soon is how long may pass until something is what was asked for, or gone.
const Soon = 30 * time.Second

// Daemon is a program that runs until it is told to end, or has ended.
type Daemon struct {
	Exited <-chan struct{} // closed when it has ended
	cmd    *exec.Cmd
	tail   func() string
}

// StartDaemon starts a program. Tail is the end of what it says, for errors.
func StartDaemon(cmd *exec.Cmd, tail func() string) (*Daemon, error) {
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd, err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	return &Daemon{Exited: exited, cmd: cmd, tail: tail}, nil
}

// Signal sends it a signal; it is an error that it has ended.
func (d *Daemon) Signal(s syscall.Signal) error { return d.cmd.Process.Signal(s) }

// Becomes waits until ready is nil, or the program ends, which is an error.
func (d *Daemon) Becomes(ctx context.Context, ready func() error) error {
	err := Until(ctx, func() error {
		select {
		case <-d.Exited:
			return Hopeless{errors.New("it ended")}
		default:
			return ready()
		}
	})
	if err != nil {
		return fmt.Errorf("%w; its last words:\n%s", err, d.tail())
	}
	return nil
}

// Stop ends it with SIGTERM; one that goes on for too long is killed, which is an error.
func (d *Daemon) Stop() error {
	_ = d.Signal(syscall.SIGTERM) // an error: it has ended
	select {
	case <-d.Exited:
		return nil
	case <-time.After(Soon):
		_ = d.Signal(syscall.SIGKILL)
		<-d.Exited
		return fmt.Errorf("stop %s: it went on for %v; its last words:\n%s", d.cmd, Soon, d.tail())
	}
}

// Hopeless is an error that waiting does not mend.
type Hopeless struct{ Err error }

func (h Hopeless) Error() string { return h.Err.Error() }

// Unwrap returns the error itself.
func (h Hopeless) Unwrap() error { return h.Err }

// Until tries again until f succeeds, for a while; an error is the last one of f.
func Until(ctx context.Context, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, Soon)
	defer cancel()
	for {
		err := f()
		if err == nil || errors.As(err, new(Hopeless)) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Succeeds is nil when a command does; what it said is part of the error.
func Succeeds(cmd *exec.Cmd) error {
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", cmd, err, bytes.TrimSpace(said))
	}
	return nil
}
