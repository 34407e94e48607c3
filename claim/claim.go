// Package claim keeps a second daemon away from what the first one has: the fence of a network namespace, a state directory,
// a socket. What is claimed is the process's: the kernel takes it back when that ends, however it ends.
//
// A network namespace is claimed by an nflog group, which has one reader in each namespace. It takes CAP_NET_ADMIN, with which
// one could remove the table as well; a port, an abstract socket or a netlink port would be anybody's who shares the
// namespace, as containers in host mode do, and could keep the daemon from starting. Where the table has an owner
// (Linux 5.12), who owns it is asked too. Files are claimed by flock(2).
package claim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/dockerwall/dockerwall/nfgroup"
)

// ErrRunning is of what another daemon has.
var ErrRunning = errors.New("another dockerwall daemon is running")

// Group is the nflog group that claims a network namespace. No rule logs to it.
const Group = 53367

// wait is for the end of a daemon that is about to end; between is how long until it is looked again.
const (
	wait    = 3 * time.Second
	between = 50 * time.Millisecond
)

// Options say what to claim.
type Options struct {
	StateDir string // "" is none
	Socket   string // path of the socket that the daemon will make; "" is none
	// Owner is the netlink port of another process that owns the table, 0 when nobody does; nil is not asked.
	Owner  func() (uint32, error)
	Wait   time.Duration // for another daemon's end; default three seconds
	Logger *slog.Logger  // nil discards
}

// Claims are what this process has.
type Claims struct {
	group  *nfgroup.Group
	files  []*os.File
	socket bool
	lacks  []error // why the rest is not claimed
}

// Take claims all of it, and waits a little for a daemon that is about to end. The error is [ErrRunning] with what the other
// one has, and its process where that can be seen. What cannot be claimed for other reasons is logged and done without: a
// fence is worth more than that it is alone.
func Take(ctx context.Context, o Options) (*Claims, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Wait == 0 {
		o.Wait = wait
	}
	end := time.Now().Add(o.Wait)
	for first := true; ; first = false {
		c, err := take(ctx, o)
		if err == nil {
			for _, lack := range c.lacks {
				o.Logger.Warn("a second daemon would not be kept away", "err", lack)
			}
			return c, nil
		}
		if !errors.Is(err, ErrRunning) || time.Now().After(end) {
			return nil, err
		}
		if first {
			o.Logger.Info("waiting for the end of another daemon", "for", o.Wait, "err", err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(between):
		}
	}
}

// Socket says whether the lock of Options.Socket is had.
func (c *Claims) Socket() bool { return c.socket }

// Close gives back what was claimed.
func (c *Claims) Close() {
	if c.group != nil {
		c.group.Close()
	}
	for _, f := range c.files {
		_ = f.Close() // nothing was written
	}
}

// take claims all of it, or nothing with an error.
func take(ctx context.Context, o Options) (*Claims, error) {
	c := &Claims{}
	for _, claim := range []func(context.Context, Options) error{c.namespace, c.stateDir, c.socketOf} {
		err := claim(ctx, o)
		switch {
		case errors.Is(err, ErrRunning):
			c.Close()
			return nil, err
		case err != nil:
			c.lacks = append(c.lacks, err)
		}
	}
	return c, nil
}

// namespace claims the network namespace of the calling thread.
func (c *Claims) namespace(ctx context.Context, o Options) (err error) {
	c.group, err = nfgroup.Open(ctx, nfgroup.Options{Number: Group, Packet: ignore, Overrun: func() {}})
	port, known := uint32(0), false
	switch {
	case errors.Is(err, nfgroup.ErrTaken):
		port, known = reader(Group), true
	case o.Owner != nil:
		owner, failed := o.Owner()
		err = errors.Join(err, failed)
		port, known = owner, owner != 0
	}
	if known {
		return running(processOf(port), "it fences this network namespace; stop it first")
	}
	if err != nil {
		return fmt.Errorf("claim the network namespace: %w", err)
	}
	return nil
}

// stateDir claims a directory, which is made if need be.
func (c *Claims) stateDir(_ context.Context, o Options) error {
	if o.StateDir == "" {
		return nil
	}
	if err := os.MkdirAll(o.StateDir, 0o700); err != nil {
		return fmt.Errorf("make --state-dir: %w", err)
	}
	f, err := File(filepath.Join(o.StateDir, "lock"))
	if errors.Is(err, ErrRunning) {
		return fmt.Errorf("%w: it keeps its state in %s; stop it first, or give this one another --state-dir", err, o.StateDir)
	}
	if err != nil {
		return fmt.Errorf("claim --state-dir: %w", err)
	}
	c.files = append(c.files, f)
	return nil
}

// socketOf claims the path of a socket. Without its directory there is nothing to claim yet: the socket's maker does.
func (c *Claims) socketOf(_ context.Context, o Options) error {
	if o.Socket == "" {
		return nil
	}
	f, err := File(SocketLock(o.Socket))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case errors.Is(err, ErrRunning):
		return fmt.Errorf("%w: it listens on %s; stop it first, or give this one another --socket", err, o.Socket)
	case err != nil:
		return fmt.Errorf("claim --socket: %w", err)
	}
	c.files, c.socket = append(c.files, f), true
	return nil
}

// running is [ErrRunning] of a process, 0 for one that is not known.
func running(pid int, what string) error {
	err := ErrRunning
	if pid != 0 {
		err = fmt.Errorf("%w, process %d", ErrRunning, pid)
	}
	if what != "" {
		err = fmt.Errorf("%w: %s", err, what)
	}
	return err
}
