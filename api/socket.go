package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/claim"
)

// ErrDaemonRunning says that another daemon listens on the socket.
var ErrDaemonRunning = claim.ErrRunning

// SocketGroup is the group that may use the socket, if the host has one of that name; else root's has it.
const SocketGroup = "dockerwall"

const (
	socketMode    = 0o660
	directoryMode = 0o750
	probeTimeout  = 2 * time.Second
)

// socket is a listening unix socket and the lock that says it is ours.
type socket struct {
	net.Listener
	lock *os.File
	kept error // why it is not the group's
}

// MakeDirectory makes the directory of the socket at path, if there is none, and shares it as the socket will be. The
// server does it too; it is for a daemon that loses the right before.
func MakeDirectory(path string) error {
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, directoryMode); err != nil {
		return fmt.Errorf("make the socket's directory: %w", err)
	}
	_ = share(dir, SocketGroup) // the socket will have the same trouble, and tell
	return nil
}

// listen makes the socket at path. A lock beside it, which the kernel takes away from the dead,
// keeps two daemons that start together from replacing each other's socket; the caller may have it already.
func listen(ctx context.Context, path string, locked bool) (*socket, error) {
	if err := MakeDirectory(path); err != nil {
		return nil, err
	}
	var lock *os.File
	if !locked {
		var err error
		if lock, err = lockFile(path); err != nil {
			return nil, err
		}
	}
	listener, err := replace(ctx, path)
	if err != nil {
		_ = lock.Close() // nil has nothing to close
		return nil, err
	}
	kept := share(path, SocketGroup)
	if filepath.Dir(path) == filepath.Dir(DefaultPath) {
		kept = errors.Join(kept, share(filepath.Dir(path), SocketGroup))
	}
	return &socket{listener, lock, kept}, nil
}

// share gives the socket, or the directory of ours that it is in, to a group. Where there is no such group, or we may
// not, which is an error, it stays with the group that made it: fewer may use it then.
func share(path, name string) error {
	group, err := user.LookupGroup(name)
	if err != nil {
		return nil
	}
	gid, err := strconv.Atoi(group.Gid)
	if err != nil {
		return nil
	}
	var is unix.Stat_t
	if unix.Stat(path, &is) == nil && int(is.Gid) == gid {
		return nil // a unit's filter may refuse the call even so
	}
	return os.Chown(path, -1, gid)
}

// Close stops listening, removes the socket, then lets the lock go.
func (s *socket) Close() error {
	err := s.Listener.Close()
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

func lockFile(path string) (*os.File, error) {
	lock, err := claim.File(claim.SocketLock(path))
	if err != nil {
		return nil, fmt.Errorf("lock the socket %s: %w", path, err)
	}
	return lock, nil
}

// replace listens on path, in place of the socket of a dead daemon.
func replace(ctx context.Context, path string) (net.Listener, error) {
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, socketMode); err != nil {
		_ = listener.Close()
		return nil, err
	}
	return listener, nil
}

// removeStale removes a socket nobody answers on, and nothing else.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the socket: %w", err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is not a socket; remove it or choose another path", path)
	}
	dialer := net.Dialer{Timeout: probeTimeout}
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	switch {
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return fmt.Errorf("ask who listens on %s: %w: raise the limit of open files (LimitNOFILE of the unit, ulimit -n)", path, err)
	case !errors.Is(err, unix.ECONNREFUSED):
		// It answers, or its queue is full: somebody is there.
		return fmt.Errorf("%w: it listens on %s", ErrDaemonRunning, path)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove the socket of a dead daemon: %w", err)
	}
	return nil
}
