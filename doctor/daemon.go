package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

func daemonChecks() []check {
	return []check{
		{Entry{"metrics-port", "the port of --metrics-addr", "warn: it is in the range of ephemeral ports and not reserved, or another program has it; fail: the address is not understood"}, metricsPortLine},
		{Entry{"nflog-group", "who reads --nflog-group", "warn: another program, so that denied packets are counted but not logged; fail: the setting is no number"}, nflogLine},
		{Entry{"dns-queue", "who reads queue --dns-queue", "warn: another program, so that DNS answers cannot wait there; fail: the setting is no number"}, queueLine},
		{Entry{"socket", "the path of --socket", "fail: it cannot be used; commands and health do not reach the daemon"}, socketLine},
		{Entry{"state-dir", "the directory of --state-dir", "warn: it cannot be used"}, stateDirLine},
		{Entry{"daemon", "the daemon's own word on its health", "warn: none runs, or it is degraded; fail: it is not healthy"}, daemonLine},
		{Entry{"unfenced", "running containers of which nothing is fenced", "warn: there are some"}, unfencedLine},
		{Entry{"time", "how long it took to read all this", "warn: more than 5 s"}, timeLine},
	}
}

func metricsPortLine(f Facts) Line {
	m := f.Metrics
	switch {
	case m.Off:
		return ok("off")
	case m.Port == 0:
		return fail("--metrics-addr=ADDRESS:PORT or off", "--metrics-addr %s: no address and port", strconv.Quote(word(m.Addr)))
	case m.Error != "" && !m.Ours:
		return warn("--metrics-addr=:PORT, or end the program that has it: ss -lntp sport = :"+strconv.Itoa(int(m.Port)), "port %d cannot be had: %s", m.Port, word(m.Error))
	}
	const name = "net.ipv4.ip_local_"
	if inRange(m.Port, f.Sysctl[name+"port_range"]) && !reserved(m.Port, f.Sysctl[name+"reserved_ports"]) {
		return warn("sysctl -w net.ipv4.ip_local_reserved_ports="+appended(f.Sysctl[name+"reserved_ports"], m.Port),
			"port %d is one of the ephemeral ports (%s): another program may have it by chance when dockerwall starts", m.Port, word(strings.Join(strings.Fields(f.Sysctl[name+"port_range"]), "-")))
	}
	if m.Ours {
		return ok("port %d is dockerwall's", m.Port)
	}
	return ok("port %d is free", m.Port)
}

// inRange reads "32768 60999".
func inRange(port uint16, text string) bool {
	var low, high int
	n, _ := fmt.Sscan(text, &low, &high)
	return n == 2 && low <= int(port) && int(port) <= high
}

// reserved reads "8080,9148-9150".
func reserved(port uint16, text string) bool {
	for part := range strings.SplitSeq(text, ",") {
		low, high, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			high = low
		}
		if inRange(port, low+" "+high) {
			return true
		}
	}
	return false
}

// appended keeps what is reserved already: the setting is one list.
func appended(list string, port uint16) string {
	if list = strings.TrimSpace(list); list == "" {
		return strconv.Itoa(int(port))
	}
	return word(list) + "," + strconv.Itoa(int(port))
}

// numbered is the line of a number that one program reads.
func numbered(f Facts, n Numbered, what, flag, lost string) Line {
	r := n.Reader.Value
	switch {
	case n.Number == 0:
		return fail(flag+"=N", "%s is no number from 1 to 65535", flag)
	case n.Reader.Why != "":
		return n.Reader.unknown()
	case !r.Taken:
		return ok("%s %d is free", what, n.Number)
	case r.Name == "dockerwall" || r.PID == 0 && !f.Silent:
		return ok("%s %d is dockerwall's", what, n.Number)
	case r.PID == 0:
		return warn(flag+"=N with another number", "%s %d is taken by a program that cannot be seen from here: %s", what, n.Number, lost)
	default:
		return warn(flag+"=N with another number, or end that program", "%s %d is taken by %s (pid %d): %s", what, n.Number, word(r.Name), r.PID, lost)
	}
}

func nflogLine(f Facts) Line {
	return numbered(f, f.Nflog, "nflog group", "--nflog-group", "denied packets are counted but not logged")
}

func queueLine(f Facts) Line {
	if f.DNSHold == "off" {
		return ok("not used: --dns-hold is off")
	}
	return numbered(f, f.Queue, "queue", "--dns-queue", "DNS answers cannot wait there, and are not looked at")
}

func socketLine(f Facts) Line {
	switch s := f.Socket; {
	case s.Error != "":
		return fail("remove it, or --socket=PATH elsewhere", "%s: %s", word(s.Path), word(s.Error))
	case !f.Silent:
		return ok("%s answers", word(s.Path))
	default:
		return ok("%s is free", word(s.Path))
	}
}

func stateDirLine(f Facts) Line {
	switch s := f.StateDir; {
	case s.Path == "":
		return ok("none: nothing is kept on disk")
	case s.Error != "":
		return warn("--state-dir=PATH elsewhere, or a volume there", "%s: %s", word(s.Path), word(s.Error))
	default:
		return ok("%s can be used", word(s.Path))
	}
}

func daemonLine(f Facts) Line {
	h, start, log, enforce := f.Daemon.Value, "dockerwall run, or the unit of docs/howto/systemd.md", "see the daemon's log", "DRY_RUN=false"
	if f.Unit.Value {
		start, log, enforce = "systemctl start dockerwall", "journalctl --unit=dockerwall", "DRY_RUN=false in /etc/default/dockerwall, then systemctl restart dockerwall"
	}
	switch {
	case f.Silent:
		return warn(start, "no daemon listens on %s: containers that start now are not fenced by their labels", word(f.Socket.Path))
	case f.Daemon.Why != "":
		return f.Daemon.unknown()
	case !h.Healthy:
		return fail(log, "version %s is not healthy: %s", word(h.Version), joined(h.Reasons))
	case len(h.Reasons) > 0:
		return warn("see docs/limits.md", "version %s is degraded: %s", word(h.Version), joined(h.Reasons))
	case h.DryRun:
		return warn(enforce, "version %s is in audit: nothing is denied, and %s would be fenced", word(h.Version), containers(h.Fenced))
	default:
		return ok("version %s is healthy: %s fenced", word(h.Version), containers(h.Fenced))
	}
}

func containers(n int) string {
	if n == 1 {
		return "1 container"
	}
	return strconv.Itoa(n) + " containers"
}

func joined(list []string) string {
	clean := slices.Clone(list)
	for i := range clean {
		clean[i] = word(clean[i])
	}
	return strings.Join(clean, "; ")
}

func unfencedLine(f Facts) Line {
	if f.Unfenced.Why != "" {
		return f.Unfenced.unknown()
	}
	var names []string
	for _, u := range f.Unfenced.Value {
		names = append(names, word(u.Name)+" ("+word(u.Why)+")")
	}
	if len(names) == 0 {
		return ok("none: every running container with a network is fenced")
	}
	return warn("dockerwall status", "running containers of which nothing is fenced (%d): %s", len(names), some(names))
}

// slow is how long reading may take.
const slow = 5 * time.Second

func timeLine(f Facts) Line {
	took := f.Took.Round(time.Millisecond)
	if took > slow {
		return warn("see what the Engine waits for", "read in %v: something answers slowly", took)
	}
	return ok("read in %v", took)
}
