// Package lab builds a Docker host and an internet on one machine: two network namespaces joined by a wire, a real
// dockerd in one, DNS and web servers in the other. It serves tests, benchmarks and the demo, and touches nothing of
// the machine's own: not its interfaces, rules, mounts or Docker.
package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Namespace is a network namespace that lives as long as this handle.
type Namespace struct{ file *os.File }

// NewNamespace makes an empty network namespace with lo up. It needs CAP_SYS_ADMIN.
func NewNamespace() (*Namespace, error) {
	n := &Namespace{}
	if err := onOwnThread(n.unshare); err != nil {
		return nil, fmt.Errorf("make network namespace: %w", err)
	}
	if err := n.Do(loopbackUp); err != nil {
		_ = n.Close()
		return nil, fmt.Errorf("bring up lo: %w", err)
	}
	return n, nil
}

// OpenNamespace is the namespace behind a path such as /proc/PID/ns/net.
func OpenNamespace(path string) (*Namespace, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open network namespace: %w", err)
	}
	return &Namespace{file: file}, nil
}

func (n *Namespace) unshare() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	file, err := os.Open("/proc/thread-self/ns/net")
	n.file = file
	return err
}

func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

// onOwnThread runs f on a thread of its own, which afterwards returns to the network namespace it came from. It is not
// simply ended: programs that it once started would be killed with it, because a parent's death (PR_SET_PDEATHSIG) is
// that of a thread. The process's first thread is what /proc/self shows: it is passed over.
func onOwnThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			defer runtime.UnlockOSThread()
			done <- onOwnThread(f)
			return
		}
		own, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			runtime.UnlockOSThread()
			done <- err
			return
		}
		defer func() { _ = own.Close() }()
		err = f()
		if unix.Setns(int(own.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		} // else the runtime ends the thread with this goroutine
		done <- err
	}()
	return <-done
}

// FD is the namespace's file descriptor, open until Close.
func (n *Namespace) FD() int { return int(n.file.Fd()) }

// Path names the namespace for nsenter --net=PATH.
func (n *Namespace) Path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.FD()) }

// Do runs f in the namespace, on a thread of its own. Sockets that f opens stay in the namespace; goroutines and
// programs that f starts do not belong there: use Command.
func (n *Namespace) Do(f func() error) error {
	return onOwnThread(func() error {
		if err := unix.Setns(n.FD(), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace: %w", err)
		}
		return f()
	})
}

// Command is exec.CommandContext in the namespace. The program replaces nsenter, so that the command's pid is its own.
func (n *Namespace) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + n.Path(), name}, args...)...)
}

// Close lets the namespace go once nothing is in it.
func (n *Namespace) Close() error { return n.file.Close() }
