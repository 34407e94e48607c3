package doctor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/dockerwall/dockerwall/boot"
	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/resolver"
)

// maxFile is how many bytes of a file are read.
const maxFile = 1 << 20

// files are the host's, by paths without the first slash.
type files struct{ root fs.FS }

// read reads a regular file; anything else might never end.
func (h files) read(path string) ([]byte, error) {
	info, err := fs.Stat(h.root, path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("/%s is not a regular file", path)
	}
	file, err := h.root.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return io.ReadAll(io.LimitReader(file, maxFile))
}

// word is the text of a file without space around it, "" if there is none.
func (h files) word(path string) string {
	data, _ := h.read(path)
	return string(bytes.TrimSpace(data))
}

func (h files) exists(path string) bool {
	_, err := fs.Lstat(h.root, path)
	return err == nil
}

// sysctls are those that lines are about.
func (h files) sysctls(bridges []hostnet.Bridge) map[string]string {
	names := []string{
		"net/ipv4/ip_forward", "net/ipv4/ip_local_port_range", "net/ipv4/ip_local_reserved_ports",
		"net/ipv4/conf/all/accept_source_route", "net/ipv4/conf/all/route_localnet",
		"net/ipv6/conf/all/disable_ipv6", "net/ipv6/conf/all/forwarding",
		"net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables",
		"net/netfilter/nf_conntrack_tcp_loose", "net/netfilter/nf_conntrack_count", "net/netfilter/nf_conntrack_max",
	}
	out := map[string]string{}
	for _, name := range names {
		if data, err := h.read("proc/sys/" + name); err == nil {
			out[strings.ReplaceAll(name, "/", ".")] = string(bytes.TrimSpace(data))
		}
	}
	for _, b := range bridges { // whose names may have dots
		if data, err := h.read("proc/sys/net/ipv4/conf/" + b.Name + "/route_localnet"); err == nil {
			out["net.ipv4.conf."+b.Name+".route_localnet"] = string(bytes.TrimSpace(data))
		}
	}
	return out
}

// process reads proc(5)'s status.
func (h files) process() Known[Process] {
	data, err := h.read("proc/self/status")
	if err != nil {
		return known(Process{}, err)
	}
	var p Process
	var errUID, errCap error = errors.New("no Uid"), errors.New("no CapEff")
	for line := range strings.Lines(string(data)) {
		switch field := strings.Fields(line); {
		case len(field) > 2 && field[0] == "Uid:": // real, effective, …
			p.UID, errUID = strconv.Atoi(field[2])
		case len(field) > 1 && field[0] == "CapEff:":
			p.Capabilities, errCap = strconv.ParseUint(field[1], 16, 64)
		}
	}
	return known(p, errors.Join(errUID, errCap))
}

// The first namespaces of a machine (linux/proc_ns.h, PROC_*_INIT_INO).
const (
	firstPID = "pid:[4026531836]"
	firstIPC = "ipc:[4026531839]"
	firstUTS = "uts:[4026531838]"
)

// container says whether this process is in one: it has a mark of one, and a namespace that is not the machine's first.
// A mark alone may lie in a file system that was made from an image.
func (h files) container() bool {
	cgroup := h.word("proc/1/cgroup")
	marked := h.exists(".dockerenv") || h.exists("run/.containerenv") ||
		strings.Contains(cgroup, "docker") || strings.Contains(cgroup, "libpod") || strings.Contains(cgroup, "kubepods")
	if !marked {
		return false
	}
	for kind, first := range map[string]string{"pid": firstPID, "ipc": firstIPC, "uts": firstUTS} {
		if now, err := fs.ReadLink(h.root, "proc/self/ns/"+kind); err == nil && now != first {
			return true
		}
	}
	return false
}

// readFiles reads what is configured on the host.
func (f *Facts) readFiles(h files, o Options) {
	f.Resolvers = resolver.Discover(resolver.Sources{
		ResolvConf: h.text("etc/resolv.conf"), Resolved: h.text("run/systemd/resolve/resolv.conf"), DaemonJSON: h.text("etc/docker/daemon.json"), Extra: o.Resolvers,
	})
	f.DaemonJSON = known(h.daemonJSON(f.Container))
	f.Kept = known(h.kept(o.StateDir))
	if f.Container {
		const unseen = "in a container, this of the host is not to be seen: run dockerwall doctor on the host"
		f.UFW.Why, f.Firewalld.Why, f.Flushes.Why, f.Reloads.Why, f.Unit.Why, f.Restore.Why = unseen, unseen, unseen, unseen, unseen, unseen
		return
	}
	f.UFW = known(h.ufw())
	f.Firewalld.Value = h.exists("run/firewalld") || h.exists("run/firewalld.pid") || h.enabled("firewalld")
	f.Flushes = known(h.flushes())
	f.Reloads.Value = h.enabled("nftables")
	f.Unit.Value, f.Restore.Value = h.enabled("dockerwall"), h.enabled("dockerwall-restore")
}

// kept says whether there is a file for the next boot; of a directory that may not be looked into, nobody can tell.
func (h files) kept(dir string) (bool, error) {
	if dir == "" {
		return false, nil
	}
	_, err := fs.Lstat(h.root, strings.TrimPrefix(path.Clean(boot.Path(dir)), "/"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (h files) text(path string) resolver.Text {
	data, err := h.read(path)
	return resolver.Text{Path: "/" + path, Data: data, Err: err}
}

// daemonJSON is the zero value where there is no file, but for a container that does not see the directory.
func (h files) daemonJSON(container bool) (DaemonJSON, error) {
	var out DaemonJSON
	data, err := h.read("etc/docker/daemon.json")
	switch {
	case errors.Is(err, fs.ErrNotExist) && container && !h.exists("etc/docker"):
		return out, errors.New("/etc/docker is not to be seen from this container: mount it read-only")
	case errors.Is(err, fs.ErrNotExist):
		return out, nil
	case err != nil:
		return out, err
	}
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))) // dockerd skips a byte order mark, too
	if len(data) == 0 {
		return out, nil
	}
	if err := json.Unmarshal(data, &out); err != nil {
		return DaemonJSON{}, fmt.Errorf("/etc/docker/daemon.json is not understood: %w", err)
	}
	return out, nil
}

// ufw reads ENABLED, as the shell would.
func (h files) ufw() (bool, error) {
	data, err := h.read("etc/ufw/ufw.conf")
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	on := false
	for line := range strings.Lines(string(data)) {
		if value, found := strings.CutPrefix(strings.TrimSpace(line), "ENABLED="); found {
			on = strings.EqualFold(strings.Trim(value, `"' `), "yes")
		}
	}
	return on, err
}

var flushRuleset = regexp.MustCompile(`(^|;)\s*flush\s+ruleset\b`)

// flushes are the files of nftables' configuration that flush the ruleset.
func (h files) flushes() (out []string, err error) {
	paths := []string{"etc/nftables.conf", "etc/sysconfig/nftables.conf"}
	for _, pattern := range []string{"etc/nftables.d/*", "etc/nftables/*"} {
		more, _ := fs.Glob(h.root, pattern) // a bad pattern is its only error
		paths = append(paths, more...)
	}
	for _, path := range paths {
		data, readErr := h.read(path)
		if readErr != nil && !errors.Is(readErr, fs.ErrNotExist) {
			err = errors.Join(err, readErr)
		}
		for line := range strings.Lines(string(data)) {
			if rule, _, _ := strings.Cut(line, "#"); flushRuleset.MatchString(rule) {
				out = append(out, "/"+path)
				break
			}
		}
	}
	if len(out) > 0 {
		err = nil // one is enough
	}
	return out, err
}

// enabled says whether systemd starts a service: its link in the directory of a target, which need not lead anywhere here.
func (h files) enabled(service string) bool {
	found, _ := fs.Glob(h.root, "etc/systemd/system/*.wants/"+service+".servic[e]") // a pattern reads the directory and follows no link
	return len(found) > 0
}
