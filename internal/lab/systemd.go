package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// rootScript makes the files of a machine: those of the cache ($1) with a layer of its own above, in $2. Docker's own
// lie on the tmpfs itself: no overlay can be the upper layer of another.
const rootScript = `set -e
mkdir -p "$2/root" "$2/upper" "$2/work" "$2/docker"
mount -t overlay -o lowerdir="$1",upperdir="$2/upper",workdir="$2/work" overlay "$2/root" 2>/dev/null || cp -a "$1/." "$2/root"
`

// powerScript boots the files in $2 with the systemd-nspawn of $1, in cgroup $3. Both need the unified hierarchy, which the
// machine may have elsewhere or not use. Docker needs bpf for the devices of its containers, and /proc/sys/net; all else
// in /proc/sys and /sys is read-only: it is the machine's own.
const powerScript = `set -e
mount --make-rprivate /
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p "/sys/fs/cgroup$3"
echo 0 >"/sys/fs/cgroup$3/cgroup.procs"
libraries=$(echo "$1"/usr/lib/*-linux-gnu*)
export SYSTEMD_NSPAWN_API_VFS_WRITABLE=network
exec "$4" --library-path "$libraries:$libraries/systemd" "$1/usr/bin/systemd-nspawn" --directory="$2/root" --machine=lab \
	--network-namespace-path=/proc/self/ns/net --boot --register=no --keep-unit --console=pipe \
	--capability=all --drop-capability=CAP_SYS_MODULE,CAP_SYS_TIME,CAP_SYS_RAWIO --system-call-filter="bpf keyctl add_key" \
	--bind="$2/docker:/var/lib/docker" --resolv-conf=off --timezone=off
`

// System is a machine on which a real systemd is the first process: a container of systemd-nspawn in the network of the
// lab's host, with files of its own (see [FetchSystem]) that outlast its reboots. The lab's own dockerd is not to run beside
// it.
type System struct {
	lab    *Lab
	root   string // in the cache
	dir    string // its own
	cmd    *exec.Cmd
	exited chan struct{}
	leader int // the systemd
	booted bool
}

// SystemForTest is a machine that was not booted yet. It ends with the lab; its journal is shown if the test failed.
func (l *Lab) SystemForTest(t testing.TB) *System {
	t.Helper()
	root, err := FetchSystem(t.Context())
	if err != nil {
		Cannot(t, "needs a system to boot ("+err.Error()+")")
	}
	s := &System{lab: l, root: root, dir: filepath.Join(l.dir, "own", "system")}
	if _, err := output(l.machine.command(t.Context(), "sh", "-c", rootScript, "sh", root, s.dir)); err != nil {
		t.Fatal(err)
	}
	if err := s.WriteFile("/etc/resolv.conf", "nameserver "+DNSAddr+"\n", 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			journal, _ := s.Run(context.Background(), "journalctl", "--boot", "--no-pager", "--lines=150", "--output=short-precise",
				"_PID=1", "+", "_SYSTEMD_UNIT=dockerwall.service", "+", "_SYSTEMD_UNIT=dockerwall-restore.service", "+", "_SYSTEMD_UNIT=docker.service")
			t.Logf("the machine's journal:\n%s", journal)
		}
		s.Crash()
	})
	return s
}

// Path is how this process reaches a file of the machine. While it does not run, /run and /tmp are empty.
func (s *System) Path(file string) string {
	if s.leader != 0 {
		return filepath.Join("/proc", strconv.Itoa(s.leader), "root", file)
	}
	return filepath.Join("/proc", strconv.Itoa(s.lab.machine.initPID), "root", s.dir, "root", file)
}

// WriteFile makes a file of the machine, and the directories to it.
func (s *System) WriteFile(file, text string, mode os.FileMode) error {
	path := s.Path(file)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write %s in the machine: %w", file, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) { // a link would lead out of the machine
		return fmt.Errorf("write %s in the machine: %w", file, err)
	}
	return os.WriteFile(path, []byte(text), mode)
}

// Boot starts the machine and waits until systemd has started what it is to start, or knows that it cannot. Each boot
// but the first is in a network of its own, as after a reboot: nothing in the kernel is left of the last. What the lab's Host
// was is gone then.
func (s *System) Boot(ctx context.Context) error {
	if s.booted {
		if err := s.lab.rewire(); err != nil {
			return fmt.Errorf("boot the machine: %w", err)
		}
	}
	s.booted = true
	if err := removeCgroups(s.lab.cgroup()); err != nil {
		return fmt.Errorf("boot the machine: %w", err)
	}
	log, err := os.OpenFile(filepath.Join(s.lab.dir, "console.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("boot the machine: %w", err)
	}
	defer func() { _ = log.Close() }()
	loader, err := loader(filepath.Join(s.root, "usr/bin/systemd-nspawn"))
	if err != nil {
		return fmt.Errorf("boot the machine: %w", err)
	}
	ns := fmt.Sprintf("/proc/%d/ns/", s.lab.machine.initPID)
	s.cmd = exec.CommandContext(context.WithoutCancel(ctx), "nsenter", "--net="+s.lab.Host.Path(), "--mount="+ns+"mnt", "--pid="+ns+"pid",
		"unshare", "--mount", "sh", "-c", powerScript, "sh", s.root, s.dir, s.lab.cgroup(), filepath.Join(s.root, loader))
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("boot the machine: %w", err)
	}
	s.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan<- struct{}) {
		_ = cmd.Wait()
		close(exited)
	}(s.cmd, s.exited)
	return s.up(ctx)
}

// up waits for the end of the boot, for at most two minutes.
func (s *System) up(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		if s.leader = s.findLeader(); s.leader != 0 {
			// "running", or "degraded" when a unit failed: then it exits 1. Until systemd listens it cannot connect.
			if state, _ := s.Run(ctx, "systemctl", "is-system-running", "--wait"); state == "running" || state == "degraded" {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("boot the machine: %w; its console:\n%s", ctx.Err(), s.console())
		case <-s.exited:
			return fmt.Errorf("boot the machine: it went down; its console:\n%s", s.console())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *System) console() string {
	text, _ := os.ReadFile(filepath.Join(s.lab.dir, "console.log"))
	return string(text[max(0, len(text)-4000):])
}

// findLeader is the process that is the first of its pid namespace, two below this one: nsenter has a child in the lab's,
// systemd-nspawn, and that one in the machine's. 0 is none yet.
func (s *System) findLeader() int {
	for _, spawn := range children(s.cmd.Process.Pid) {
		for _, pid := range children(spawn) {
			status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			for line := range strings.Lines(string(status)) {
				if ids := strings.Fields(line); ids[0] == "NSpid:" && len(ids) > 3 && ids[len(ids)-1] == "1" {
					return pid
				}
			}
		}
	}
	return 0
}

// Command is a program of the machine, in all of its namespaces.
func (s *System) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--all", "--target=" + strconv.Itoa(s.leader), "--wd", name}, args...)...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8"}
	return cmd
}

// Run runs a program of the machine and returns its standard output without the last line's end.
func (s *System) Run(ctx context.Context, name string, args ...string) (string, error) {
	out, err := output(s.Command(ctx, name, args...))
	return strings.TrimRight(out, "\n"), err
}

// PowerOff ends the machine as an administrator would.
func (s *System) PowerOff(ctx context.Context) error {
	if _, err := s.Run(ctx, "systemctl", "poweroff"); err != nil {
		return fmt.Errorf("power the machine off: %w", err)
	}
	select {
	case <-s.exited:
		s.cmd, s.leader = nil, 0
		return nil
	case <-ctx.Done():
		return fmt.Errorf("power the machine off: %w; its console:\n%s", ctx.Err(), s.console())
	}
}

// Crash ends the machine as a power cut does. It may be called twice.
func (s *System) Crash() {
	if s.cmd == nil {
		return
	}
	if s.leader != 0 {
		_ = syscall.Kill(s.leader, syscall.SIGKILL) // the first process of a pid namespace takes all others with it
	}
	for _, spawn := range children(s.cmd.Process.Pid) {
		_ = syscall.Kill(spawn, syscall.SIGKILL)
	}
	<-s.exited
	s.cmd, s.leader = nil, 0
}

// rewire gives the host a new network, empty but for the wire.
func (l *Lab) rewire() error {
	err := l.Host.Do(func() error {
		link, err := netlink.LinkByName(uplink)
		if err != nil {
			return err
		}
		return netlink.LinkDel(link)
	})
	if err != nil {
		return fmt.Errorf("cut the wire: %w", err)
	}
	if err := l.Host.Close(); err != nil {
		return err
	}
	if l.Host, err = NewNamespace(); err != nil {
		return err
	}
	return join(l.Host, l.Internet)
}
