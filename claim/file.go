package claim

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// SocketLock is the file that stands for a socket: one cannot lock that itself.
func SocketLock(socket string) string { return socket + ".lock" }

// File locks a file, which is made if need be, until it is closed; it stays then, for a lock on a removed file would be no
// lock. The error is [ErrRunning] when another process has it. Links are not followed.
func File(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = running(locker(f), "")
	} else {
		err = fmt.Errorf("lock %s: %w", path, err)
	}
	_ = f.Close()
	return nil, err
}

// locker is the process that has a file locked, 0 if it is not to be seen.
func locker(f *os.File) int {
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil {
		return 0
	}
	text, _ := os.ReadFile("/proc/locks")
	return lockerIn(string(text), fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino))
}

// lockerIn reads /proc/locks (proc_locks(5)): "1: FLOCK  ADVISORY  WRITE 123 fe:01:456 0 EOF". Waiting ones have an arrow.
func lockerIn(text, file string) int {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[1] != "FLOCK" || fields[5] != file {
			continue
		}
		if pid, err := strconv.Atoi(fields[4]); err == nil && pid > 0 {
			return pid
		}
	}
	return 0
}
