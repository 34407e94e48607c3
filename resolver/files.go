package resolver

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Bounds of what is read: a file, the servers taken and the problems reported of one.
const (
	maxFile     = 1 << 20
	maxServers  = 16
	maxProblems = 20
	maxQuoted   = 64
)

// Files is where the host's lists of resolvers are. Empty paths are the host's own; Root is put before
// each and may be empty.
type Files struct {
	Root       string
	ResolvConf string // default /etc/resolv.conf
	Resolved   string // default /run/systemd/resolve/resolv.conf
	DaemonJSON string // default /etc/docker/daemon.json
}

// paths is the three files in the order of Files' fields.
func (f Files) paths() [3]string {
	return [3]string{
		filepath.Join(f.Root, cmp.Or(f.ResolvConf, "/etc/resolv.conf")),
		filepath.Join(f.Root, cmp.Or(f.Resolved, "/run/systemd/resolve/resolv.conf")),
		filepath.Join(f.Root, cmp.Or(f.DaemonJSON, "/etc/docker/daemon.json")),
	}
}

// Read reads the files. What cannot be read is part of the result.
func (f Files) Read() Sources {
	p := f.paths()
	return Sources{ResolvConf: readText(p[0]), Resolved: readText(p[1]), DaemonJSON: readText(p[2])}
}

func readText(path string) Text {
	file, err := os.Open(path)
	if err != nil {
		return Text{Path: path, Err: err}
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, maxFile))
	return Text{Path: path, Data: data, Err: err}
}

// unreadable is why a file that is there cannot be read; one that is not there is as good as empty.
func (t Text) unreadable() error {
	if errors.Is(t.Err, fs.ErrNotExist) {
		return nil
	}
	return t.Err
}

// stamp tells whether a file has changed, without reading it.
type stamp struct {
	size    int64
	changed time.Time
}

func (f Files) stamps() (stamps [3]stamp) {
	for i, path := range f.paths() {
		if info, err := os.Stat(path); err == nil {
			stamps[i] = stamp{size: info.Size(), changed: info.ModTime()}
		}
	}
	return stamps
}

// parseResolvConf reads the nameserver lines (resolv.conf(5)).
func parseResolvConf(t Text) (addrs []netip.Addr, problems []Problem) {
	if err := t.unreadable(); err != nil {
		return nil, []Problem{{File: t.Path, Text: err.Error()}}
	}
	n := 0
	for line := range bytes.Lines(t.Data) {
		n++
		fields := strings.Fields(string(line))
		if len(fields) == 0 || fields[0] != "nameserver" {
			continue
		}
		value := strings.Join(fields[1:min(2, len(fields))], "")
		addr, err := netip.ParseAddr(value)
		if err != nil {
			problems = append(problems, Problem{File: t.Path, Line: n, Text: notAddress(value)})
			continue
		}
		addrs = append(addrs, addr.Unmap())
	}
	return bounded(t, addrs, problems)
}

// parseDaemonJSON reads the "dns" of dockerd's configuration file.
func parseDaemonJSON(t Text) (addrs []netip.Addr, problems []Problem) {
	if t.Err != nil {
		if err := t.unreadable(); err != nil {
			problems = []Problem{{File: t.Path, Text: err.Error()}}
		}
		return nil, problems
	}
	data := bytes.TrimPrefix(t.Data, []byte("\xef\xbb\xbf")) // dockerd skips a byte order mark, too
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, nil
	}
	var config struct{ DNS json.RawMessage }
	if err := json.Unmarshal(data, &config); err != nil {
		return nil, []Problem{jsonProblem(t, data, err)}
	}
	start := max(bytes.Index(data, config.DNS), 0)
	var entries []json.RawMessage
	if err := json.Unmarshal(config.DNS, &entries); len(config.DNS) > 0 && err != nil {
		return nil, []Problem{{File: t.Path, Line: lineAt(data, start), Text: `"dns" is not a list of addresses`}}
	}
	for _, entry := range entries {
		start += max(bytes.Index(data[start:], entry), 0)
		var value string
		err := json.Unmarshal(entry, &value)
		addr, aerr := netip.ParseAddr(strings.TrimSpace(value))
		if err != nil || aerr != nil {
			problems = append(problems, Problem{File: t.Path, Line: lineAt(data, start), Text: notAddress(cmp.Or(value, string(entry)))})
			continue
		}
		addrs = append(addrs, addr.Unmap())
	}
	return bounded(t, addrs, problems)
}

// jsonProblem says where a text is not a JSON object; the library quotes the character it stumbled on.
func jsonProblem(t Text, data []byte, err error) Problem {
	if se, ok := errors.AsType[*json.SyntaxError](err); ok {
		return Problem{File: t.Path, Line: lineAt(data, int(se.Offset)), Text: "not valid JSON: " + se.Error()}
	}
	return Problem{File: t.Path, Text: "not a JSON object"}
}

func lineAt(data []byte, offset int) int {
	return 1 + bytes.Count(data[:min(max(offset, 0), len(data))], []byte("\n"))
}

// notAddress is the text of the commonest problem.
func notAddress(value string) string { return fmt.Sprintf("not an address: %s", quote(value)) }

// quote makes untrusted text safe to print: short, quoted, ASCII.
func quote(s string) string {
	if len(s) > maxQuoted {
		s = s[:maxQuoted] + "…"
	}
	return fmt.Sprintf("%+q", s)
}

// bounded is the first servers of a file, each once and in order, and its first problems.
func bounded(t Text, addrs []netip.Addr, problems []Problem) ([]netip.Addr, []Problem) {
	var out []netip.Addr
	for _, a := range addrs {
		if slices.Contains(out, a) {
			continue
		}
		if len(out) == maxServers {
			text := fmt.Sprintf("more than %d resolvers; the rest is not used", maxServers)
			problems = slices.Insert(problems, 0, Problem{File: t.Path, Text: text})
			break
		}
		out = append(out, a)
	}
	return out, problems[:min(len(problems), maxProblems)]
}
