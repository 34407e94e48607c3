package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// tracing marks the first packet of every flow from a Docker bridge, so that the kernel tells which rules it met.
const tracing = `table inet demo_trace {
	chain first_packets {
		type filter hook prerouting priority mangle; policy accept;
		iifname "br-*" ct state new meta nftrace set 1
	}
}
`

// decision is what table inet dockerwall did with a packet, as the kernel tells it.
type decision struct {
	src, dst netip.Addr
	proto    string
	port     uint16
	rule     string // that decided: it accepted, or sent the packet to the chain that denies
	denied   bool
	done     bool
}

// trace is a running `nft monitor trace`.
type trace struct {
	cmd  *exec.Cmd
	done chan struct{}

	mu        sync.Mutex
	decisions map[string]*decision // by trace id
}

func (d *demo) startTrace(ctx context.Context) (*trace, error) {
	mark := d.lab.Host.Command(ctx, "nft", "-f", "-")
	mark.Stdin = strings.NewReader(tracing)
	if out, err := mark.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("trace packets: %w: %s", err, out)
	}
	t := &trace{cmd: d.lab.Host.Command(ctx, "nft", "monitor", "trace"), done: make(chan struct{}), decisions: map[string]*decision{}}
	said, err := t.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := t.cmd.Start(); err != nil {
		return nil, fmt.Errorf("trace packets: %w", err)
	}
	go t.listen(said)
	return t, nil
}

func (t *trace) listen(said io.Reader) {
	defer close(t.done)
	lines := bufio.NewScanner(said)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		t.mu.Lock()
		t.read(lines.Text())
		t.mu.Unlock()
	}
	_ = t.cmd.Wait()
}

// stop ends the monitor.
func (t *trace) stop() {
	_ = t.cmd.Process.Kill()
	<-t.done
}

// read takes a line such as "trace id 954b1af7 inet dockerwall forward rule … (verdict accept)".
func (t *trace) read(line string) {
	found := regexp.MustCompile(`^trace id (\S+) inet dockerwall (\S+) (packet:|rule|policy) (.*?)(?: \(verdict (.*)\))?$`).
		FindStringSubmatch(strings.TrimSpace(line))
	if found == nil {
		return
	}
	id, kind, text, verdict := found[1], found[3], found[4], found[5]
	d := t.decisions[id]
	if d == nil {
		d = &decision{}
		t.decisions[id] = d
	}
	switch kind {
	case "packet:":
		d.packet(text)
	case "rule":
		d.met(text, verdict)
	case "policy":
		d.rule, d.done = "policy "+text, true
	}
}

func (d *decision) packet(text string) {
	if ip := regexp.MustCompile(`ip6? saddr (\S+) ip6? daddr (\S+) `).FindStringSubmatch(text); ip != nil {
		d.src, _ = netip.ParseAddr(ip[1])
		d.dst, _ = netip.ParseAddr(ip[2])
	}
	if th := regexp.MustCompile(`(tcp|udp) dport (\d+)`).FindStringSubmatch(text); th != nil {
		port, _ := strconv.ParseUint(th[2], 10, 16)
		d.proto, d.port = th[1], uint16(port)
	}
}

// met follows a packet from rule to rule. Chains that deny end in _deny, or are those of nobody we know.
func (d *decision) met(rule, verdict string) {
	to, isGoto := strings.CutPrefix(verdict, "goto ")
	switch {
	case isGoto && (strings.HasSuffix(to, "_deny") || to == "unknown" || to == "invalid"):
		d.rule, d.denied = rule, true
	case verdict == "accept":
		d.rule, d.denied, d.done = rule, false, true
	case verdict == "drop":
		d.denied, d.done = true, true
	}
}

// find returns what became of a container's packet to a destination.
func (t *trace) find(c *container, to destination) (decision, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, d := range t.decisions {
		if !d.done || d.proto != to.proto || d.port != to.port || (d.src != c.addr && d.src != c.addr6) {
			continue
		}
		for _, a := range to.addrs {
			if d.dst == a {
				return *d, true
			}
		}
	}
	return decision{}, false
}
