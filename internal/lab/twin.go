package lab

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// twinScript lays a file system that nobody else sees over the machine's own ($1 is an empty directory) and makes it
// the root. No service manager runs there, /run, /tmp and the directory /share are its own.
const twinScript = `set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
cd "$1/root"
mkdir -p share old-root
mount --bind "$2" share
mount -t proc proc proc
mount -t sysfs sysfs sys
mount --rbind /dev dev
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
pivot_root . old-root
cd /
umount -l old-root
echo ready
exec >/dev/null
while :; do sleep 3600 & wait $!; done
`

// Twin is a copy of the machine in which packages can be installed and removed: files, processes and network are its
// own, and all of it ends with it.
type Twin struct{ init *exec.Cmd }

// TwinForTest starts a twin that ends with the test. What is in dir is in /share there.
func TwinForTest(t testing.TB, dir string) *Twin {
	t.Helper()
	Require(t)
	root := t.TempDir()
	cmd := exec.Command("sh", "-c", twinScript, "twin", root, dir)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL,
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || strings.TrimSpace(line) != "ready" {
		t.Fatalf("start a twin of the machine: %q: %v", line, err)
	}
	return &Twin{init: cmd}
}

// Command is exec.CommandContext in the twin.
func (w *Twin) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	enter := []string{"--target=" + strconv.Itoa(w.init.Process.Pid), "--mount", "--pid", "--net", "--", name}
	cmd := exec.CommandContext(ctx, "nsenter", append(enter, args...)...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=/root", "DEBIAN_FRONTEND=noninteractive"}
	return cmd
}

// Path names a file of the twin for this process.
func (w *Twin) Path(file string) string {
	return filepath.Join(fmt.Sprintf("/proc/%d/root", w.init.Process.Pid), file)
}
