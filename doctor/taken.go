package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// What others may have taken: numbers, ports, paths.

// reader is who reads a number of nfnetlink_log or nfnetlink_queue in the network namespace of the calling thread.
// Both files begin with the number and the reader's netlink port (seq_show in net/netfilter/nfnetlink_log.c and
// nfnetlink_queue.c); only root may read them.
func (h files) reader(file string, number uint16) (Reader, error) {
	data, err := h.read("proc/thread-self/net/netfilter/" + file)
	if errors.Is(err, fs.ErrNotExist) {
		return Reader{}, nil // not loaded: nobody has anything
	}
	if err != nil {
		return Reader{}, err
	}
	for line := range strings.Lines(string(data)) {
		if field := strings.Fields(line); len(field) > 1 && field[0] == strconv.Itoa(int(number)) {
			pid, name := h.owner(h.inode(field[1]))
			return Reader{Taken: true, PID: pid, Name: name}, nil
		}
	}
	return Reader{}, nil
}

// inode is that of the netfilter netlink socket with a port: netlink_seq_show in net/netlink/af_netlink.c.
func (h files) inode(port string) string {
	data, _ := h.read("proc/thread-self/net/netlink")
	netfilter := strconv.Itoa(unix.NETLINK_NETFILTER)
	for line := range strings.Lines(string(data)) {
		if field := strings.Fields(line); len(field) > 9 && field[1] == netfilter && field[2] == port {
			return field[9]
		}
	}
	return ""
}

// maxLooked is how many open files of processes are looked at to find a socket's owner.
const maxLooked = 100_000

// owner is the process that has a socket open, 0 when none is seen.
func (h files) owner(inode string) (pid int, name string) {
	if inode == "" {
		return 0, ""
	}
	looked := 0
	processes, _ := fs.Glob(h.root, "proc/[1-9]*")
	for _, dir := range processes {
		open, _ := fs.ReadDir(h.root, dir+"/fd")
		for _, fd := range open {
			if looked++; looked > maxLooked {
				return 0, ""
			}
			if to, err := fs.ReadLink(h.root, dir+"/fd/"+fd.Name()); err == nil && to == "socket:["+inode+"]" {
				pid, _ = strconv.Atoi(strings.TrimPrefix(dir, "proc/"))
				return pid, h.word(dir + "/comm")
			}
		}
	}
	return 0, ""
}

// readMetrics listens for a moment where metrics would be, and if it cannot, asks whether they are there.
func readMetrics(ctx context.Context, o Options) Listener {
	out := Listener{Addr: o.Metrics, Off: o.Metrics == "" || o.Metrics == "off"}
	host, port, err := net.SplitHostPort(o.Metrics)
	n, errPort := strconv.ParseUint(port, 10, 16)
	if out.Off || err != nil || errPort != nil {
		return out
	}
	out.Port = uint16(n)
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", o.Metrics)
	if err == nil {
		_ = listener.Close()
		return out
	}
	out.Error = err.Error()
	if errno, found := errors.AsType[syscall.Errno](err); found {
		out.Error = errno.Error()
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, o.Patience)
	defer cancel()
	out.Ours = servesMetrics(ctx, "http://"+net.JoinHostPort(host, port)+"/metrics")
	return out
}

// servesMetrics says whether a page has a family of ours.
func servesMetrics(ctx context.Context, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	defer func() { _ = response.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(response.Body, maxFile))
	return strings.Contains(string(body), "# HELP dockerwall_")
}

// noSocket is why no socket can be made at a path, "" if one can, as far as this process may tell.
func noSocket(path string) string {
	info, err := os.Lstat(path)
	if err == nil && info.Mode().Type() != fs.ModeSocket {
		return "is not a socket"
	}
	if os.Geteuid() != 0 {
		return ""
	}
	return unusable(filepath.Dir(path))
}

// unusable is why no file can be made in a directory or in one that can be made there, "" if it can.
func unusable(dir string) string {
	for {
		info, err := os.Stat(dir)
		parent := filepath.Dir(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist) && parent != dir:
			dir = parent
			continue
		case err != nil:
			return err.Error()
		case !info.IsDir():
			return dir + " is not a directory"
		}
		if err := unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
			return fmt.Sprintf("nothing can be made in %s: %v", dir, err)
		}
		return ""
	}
}
