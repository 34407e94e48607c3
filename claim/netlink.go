package claim

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/florianl/go-nflog/v2"
	"golang.org/x/sys/unix"
)

func ignore(nflog.Attribute) {}

// reader is the netlink port that reads an nflog group of this network namespace, 0 if it is not to be seen
// (net/netfilter/nfnetlink_log.c, seq_show: group and port come first).
func reader(group uint16) uint32 {
	text, _ := os.ReadFile("/proc/thread-self/net/netfilter/nfnetlink_log")
	return readerIn(string(text), group)
}

func readerIn(text string, group uint16) uint32 {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != strconv.Itoa(int(group)) {
			continue
		}
		if port, err := strconv.ParseUint(fields[1], 10, 32); err == nil {
			return uint32(port)
		}
	}
	return 0
}

// processOf is the process that has a netlink port of netfilter in this network namespace, 0 if it is not to be seen.
// The port is often the process's number, but as its own pid namespace counts, and not of each of its sockets.
func processOf(port uint32) int {
	text, _ := os.ReadFile("/proc/thread-self/net/netlink")
	inode := inodeIn(string(text), port)
	if port == 0 || inode == "" {
		return 0
	}
	sockets, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, path := range sockets {
		if target, err := os.Readlink(path); err == nil && target == "socket:["+inode+"]" {
			pid, _ := strconv.Atoi(strings.Split(path, "/")[2])
			return pid
		}
	}
	return 0
}

// inodeIn reads /proc/net/netlink (net/netlink/af_netlink.c, netlink_native_seq_show): address, protocol, port, …, inode.
func inodeIn(text string, port uint32) string {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) >= 10 && fields[1] == strconv.Itoa(unix.NETLINK_NETFILTER) && fields[2] == strconv.FormatUint(uint64(port), 10) {
			return fields[len(fields)-1]
		}
	}
	return ""
}
