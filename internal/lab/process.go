package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// output runs a command; its standard error is part of the error.
func output(cmd *exec.Cmd) (string, error) {
	var stderr bytes.Buffer
	if cmd.Stderr == nil {
		cmd.Stderr = &stderr
	}
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), err
}

// pids are the processes of the machine.
func pids() []int {
	entries, _ := os.ReadDir("/proc")
	var out []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			out = append(out, pid)
		}
	}
	return out
}

// children are the processes whose parent is pid.
func children(pid int) []int {
	var out []int
	for _, p := range pids() {
		if parentOf(p) == pid {
			out = append(out, p)
		}
	}
	return out
}

// parentOf reads the fourth field of /proc/PID/stat; the second is in parentheses and may hold anything (proc(5)).
func parentOf(pid int) int {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(fields[1])
	return parent
}

// killInside ends the processes, other than this one, that are still in the namespace.
func killInside(ns *Namespace) error {
	var want unix.Stat_t
	if err := unix.Fstat(ns.FD(), &want); err != nil {
		return fmt.Errorf("look at namespace: %w", err)
	}
	for _, pid := range pids() {
		var st unix.Stat_t
		if pid == os.Getpid() || unix.Stat(fmt.Sprintf("/proc/%d/ns/net", pid), &st) != nil {
			continue
		}
		if st.Ino == want.Ino && st.Dev == want.Dev {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	return nil
}

// removeCgroups removes the group's directories from every hierarchy. What was just killed may hold them for a moment.
func removeCgroups(group string) error {
	var left []string
	for range 100 {
		left = nil
		for _, pattern := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
			tops, _ := filepath.Glob(pattern + group)
			for _, top := range tops {
				if !removeTree(top) {
					left = append(left, top)
				}
			}
		}
		if left == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("remove cgroups: busy: %s", strings.Join(left, ", "))
}

// removeTree removes directories only, deepest first: the files of a cgroup go with it.
func removeTree(top string) bool {
	var dirs []string
	_ = filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	for i := len(dirs) - 1; i >= 0; i-- {
		_ = unix.Rmdir(dirs[i])
	}
	_, err := os.Stat(top)
	return errors.Is(err, fs.ErrNotExist)
}

const dirName = "dockerwall-lab-"

func dirPrefix() string { return dirName + strconv.Itoa(os.Getpid()) + "-" }

// sweep removes the directories and empty cgroups of labs whose process was killed: the kernel has ended all else.
func sweep() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), dirName+"*-*"))
	for _, dir := range dirs {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), dirName), "-")
		owner, err := strconv.Atoi(pid)
		if err != nil || !errors.Is(syscall.Kill(owner, 0), syscall.ESRCH) {
			continue
		}
		_ = removeCgroups("/" + filepath.Base(dir))
		_ = os.RemoveAll(dir)
	}
}
