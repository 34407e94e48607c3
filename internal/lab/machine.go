package lab

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// bootScript makes the host's own view of the files: a copy of /etc, an empty /run, a /sys of its own network, all in
// a mount namespace that the machine never sees ($1 is the lab's directory, $2 the next script). It ends as the
// parent of a pid namespace in which dockerd and all containers will live: when that parent dies, however it dies,
// the kernel kills them all, and the mounts go with them.
const bootScript = `set -e
mount --make-rprivate /
mkdir "$1/cgroup" "$1/own"
if mountpoint -q /sys/fs/cgroup; then mount --rbind /sys/fs/cgroup "$1/cgroup"; fi
mount -t sysfs sysfs /sys
if mountpoint -q "$1/cgroup"; then
	mount --rbind "$1/cgroup" /sys/fs/cgroup
	umount -l "$1/cgroup"
else
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
mount -t tmpfs -o mode=755 tmpfs "$1/own"
mkdir "$1/own/docker"
cp -a /etc "$1/own/etc"
rm -rf "$1/own/etc/docker" "$1/own/etc/resolv.conf"
mount --bind "$1/own/etc" /etc
mount -t tmpfs -o mode=755 tmpfs /run
mount --make-rshared /
exec unshare --pid --fork --kill-child=KILL unshare --mount --propagation unchanged sh -c "$2"
`

// initScript is the first process of the pid namespace: it has a /proc of that namespace (which the mount namespace
// around it does not see) and collects the dead.
const initScript = `set -e
mount --make-private /proc
mount -t proc proc /proc
echo ready
exec >/dev/null
while :; do sleep 3600 & wait $!; done
`

// machine is the host beyond its network: mounts and pids. Programs of HostCommand see the mounts; dockerd and
// containers also live in the pid namespace.
type machine struct {
	parent  *exec.Cmd
	initPID int
}

func boot(ctx context.Context, host *Namespace, dir string) (*machine, error) {
	cmd := host.Command(context.WithoutCancel(ctx), "unshare", "--mount", "sh", "-c", bootScript, "sh", dir, initScript)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("boot the host: %w", err)
	}
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, fmt.Errorf("boot the host: %s", strings.TrimSpace(said.String()))
	}
	m := &machine{parent: cmd}
	if pids := children(cmd.Process.Pid); len(pids) == 1 {
		m.initPID = pids[0]
		return m, nil
	}
	_ = m.stop()
	return nil, fmt.Errorf("boot the host: its init is not to be found in /proc")
}

// stop kills all that lives in the pid namespace. The parent ends only after the kernel has ended them all.
func (m *machine) stop() error {
	pid := m.initPID
	if pid == 0 {
		pid = m.parent.Process.Pid
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("stop the host: %w", err)
	}
	_ = m.parent.Wait() // killed: that is its answer
	return nil
}

// inside is how this process reaches a file of the host's mounts.
func (m *machine) inside(path string) string {
	return filepath.Join("/proc", strconv.Itoa(m.parent.Process.Pid), "root", path)
}

// command runs a program in the pid namespace too. nsenter stays as its parent.
func (m *machine) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	ns := fmt.Sprintf("/proc/%d/ns/", m.initPID)
	enter := []string{"--net=" + ns + "net", "--mount=" + ns + "mnt", "--pid=" + ns + "pid", name}
	return exec.CommandContext(ctx, "nsenter", append(enter, args...)...)
}

// HostCommand is a program on the host: in its network, with its /etc (resolv.conf says the lab's DNS), its /run and
// the machine's other files and pids. It starts in /. The program replaces nsenter, so that the command's pid is its
// own; it is killed if this process dies, at the latest by Close. Start it from an ordinary goroutine, not in Do.
func (l *Lab) HostCommand(ctx context.Context, name string, args ...string) *exec.Cmd {
	ns := fmt.Sprintf("/proc/%d/ns/", l.machine.parent.Process.Pid)
	if path, err := exec.LookPath(name); err == nil {
		name, _ = filepath.Abs(path)
	}
	enter := []string{"--net=" + ns + "net", "--mount=" + ns + "mnt", name}
	cmd := exec.CommandContext(ctx, "nsenter", append(enter, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// HostSession is HostCommand for a shell and all that it starts: it lives among the host's own pids, as dockerd does, so
// that whatever is left of it ends with the lab. nsenter stays as its parent.
func (l *Lab) HostSession(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := l.machine.command(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// HostProbe runs the probe on the host and returns the last of its results.
func (l *Lab) HostProbe(ctx context.Context, args ...string) (Result, error) {
	path, err := l.probe()
	if err != nil {
		return Result{}, err
	}
	return last(output(l.HostCommand(ctx, path, args...)))
}
