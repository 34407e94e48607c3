package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lack is something that this process may not do, though a setting or the host asks for it. The fence stands without.
type lack struct {
	what   string // that is lost
	path   string
	remedy string
	usual  bool // so it is wherever the daemon is not root
}

// probeRights says once, at the start, what the daemon lacks the rights for; nf_tables, the Engine and ports tell for
// themselves.
func (f *fence) probeRights(s settings) {
	for _, l := range lacking(s) {
		level := slog.LevelWarn
		if l.usual {
			level = slog.LevelInfo
		}
		f.logger.Log(context.Background(), level, "a right is missing", "lost", l.what, "path", l.path, "remedy", l.remedy)
	}
}

// lacking looks with the rights that count when files are opened: those of the effective user.
func lacking(s settings) (out []lack) {
	if dir := s.directory(); dir != "" && unwritable(dir) {
		out = append(out, lack{"what was denied is not kept on disk, for `dockerwall suggest`", dir, "give the directory to the daemon's user, or another with --state-dir", false})
	}
	if file := s.decisionLog; file != "" && (refused(file, unix.W_OK) || absent(file) && unwritable(filepath.Dir(file))) {
		out = append(out, lack{"decisions are not written down", file, "let the daemon's user write there, or give another --decision-log", false})
	}
	if dir := filepath.Dir(s.socket); unwritable(dir) {
		out = append(out, lack{"no API: commands and health do not reach this daemon", dir, "give the directory to the daemon's user, or another with --socket", false})
	}
	for _, file := range []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf", "/etc/docker/daemon.json"} {
		if refused(file, unix.R_OK) {
			out = append(out, lack{"DNS servers that it names are not known", file, "let the daemon's user read it, or name them in DOCKERWALL_RESOLVERS", false})
		}
	}
	const queue = "/proc/thread-self/net/netfilter/nfnetlink_queue" // mode 0440 and root's
	if s.dnsHold != "off" && refused(queue, unix.R_OK) {
		out = append(out, lack{"dockerwall_dns_queue_packets and dockerwall_dns_queue_dropped_total stay 0", queue, "none as this user: only root reads it; the other dockerwall_dns_* metrics are whole", true})
	}
	return out
}

// refused says that something is there, and that this process may not do that with it.
func refused(path string, mode uint32) bool {
	err := unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS)
	return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EROFS)
}

// unwritable says that nothing can be made in a directory, or that the directory cannot be made.
func unwritable(dir string) bool {
	for absent(dir) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
	}
	return refused(dir, unix.W_OK|unix.X_OK)
}

func absent(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}
