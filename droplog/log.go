package droplog

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/dockerwall/dockerwall/packet"
	"github.com/dockerwall/dockerwall/plain"
)

const (
	maxNames = 3   // DNS names in one line
	maxText  = 253 // bytes of one text that others chose; a DNS name fits
)

// reasonSpoof is the reason of frames in another port's name.
const reasonSpoof = "spoof"

// LogOptions are the options of a [Log]. The look-ups are called while a packet is handled and must
// not block.
type LogOptions struct {
	Logger *slog.Logger // nil discards
	// Container says whose chain it is: the container's full ID and its name, both "" when it is gone.
	Container func(chain string) (id, name string)
	// Names says which DNS names are known for an address.
	Names func(netip.Addr) []string
}

// Log writes denied packets down: "denied" for the first packet of a container to a destination
// (address, port, protocol, reason), "denied again" with a count at most once a minute while more
// come, "denials suppressed" with a count when a container's lines exceed their limit. Counts add up
// to the packets handled. Its memory is bounded, and one container cannot use up another's lines.
type Log struct {
	opt LogOptions
	mu  sync.Mutex
	agg *aggregate
}

// NewLog makes a Log; nil look-ups know nothing.
func NewLog(opt LogOptions) *Log {
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	if opt.Container == nil {
		opt.Container = func(string) (string, string) { return "", "" }
	}
	if opt.Names == nil {
		opt.Names = func(netip.Addr) []string { return nil }
	}
	return &Log{opt: opt, agg: newAggregate()}
}

// Handle records d; it is what [Options].Handle wants. Packets whose prefix is not ours are ignored.
// It may be called at any time, also while Run is not running: then repeats wait for it.
func (l *Log) Handle(d Drop) {
	p, ours := ParsePrefix(d.Prefix)
	if !ours {
		return
	}
	l.decide(func(a *aggregate, now time.Time) { a.observe(p, d, now) })
}

// Run writes the lines of repeats until ctx is done, then those still untold, and returns nil.
func (l *Log) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			l.decide((*aggregate).finish)
			return nil
		case <-tick.C:
			l.decide((*aggregate).sweep)
		}
	}
}

// decide changes the aggregate and writes the lines that follow, outside the lock.
func (l *Log) decide(change func(*aggregate, time.Time)) {
	l.mu.Lock()
	change(l.agg, time.Now())
	lines := l.agg.take()
	l.mu.Unlock()
	for _, line := range lines {
		l.write(line)
	}
}

func (l *Log) write(n line) {
	ctx := context.Background()
	switch n.kind {
	case lineFirst:
		l.opt.Logger.LogAttrs(ctx, slog.LevelInfo, "denied", append(l.who(n), l.what(n)...)...)
	case lineAgain:
		l.opt.Logger.LogAttrs(ctx, slog.LevelInfo, "denied again", append(l.who(n), l.what(n)...)...)
	case lineSuppressed:
		l.opt.Logger.LogAttrs(ctx, slog.LevelWarn, "denials suppressed", append(l.who(n), slog.Uint64("count", n.count))...)
	}
}

// who is the container, or where a packet of nobody we know came from.
func (l *Log) who(n line) []slog.Attr {
	if n.prefix.Chain == NoChain {
		attrs := []slog.Attr{slog.String("interface", printable(n.drop.In)), slog.String("source", n.drop.Src.String())}
		if n.prefix.Reason == reasonSpoof { // ARP has no source that could be told
			attrs = append(attrs, slog.String("mac", n.drop.HwAddr.String()))
		}
		return attrs
	}
	id, name := l.opt.Container(n.prefix.Chain)
	if id == "" {
		id = strings.TrimPrefix(n.prefix.Chain, "c_")
	}
	return []slog.Attr{slog.String("container", printable(name)), slog.String("id", printable(id[:min(len(id), 12)]))}
}

func (l *Log) what(n line) []slog.Attr {
	d := n.drop
	attrs := []slog.Attr{
		slog.String("reason", n.prefix.Reason),
		slog.String("verdict", n.prefix.verdict()),
		slog.String("destination", d.Dst.String()),
	}
	switch d.Proto {
	case packet.ProtoTCP, packet.ProtoUDP, packet.ProtoSCTP:
		attrs = append(attrs, slog.Int("port", int(d.DstPort)))
	case packet.ProtoICMP, packet.ProtoICMPv6:
		attrs = append(attrs, slog.Int("type", int(d.ICMPType)))
	}
	attrs = append(attrs, slog.String("protocol", packet.ProtocolName(d.Proto)))
	if names := l.opt.Names(d.Dst); len(names) > 0 {
		attrs = append(attrs, slog.String("name", joined(names)))
	}
	return append(attrs, slog.Uint64("count", n.count))
}

// joined is the first few names, comma-separated, made printable.
func joined(names []string) string {
	clean := make([]string, 0, maxNames)
	for _, name := range names[:min(len(names), maxNames)] {
		clean = append(clean, printable(name))
	}
	return strings.Join(clean, ",")
}

// printable is a text of others, as a log line may show it.
func printable(s string) string { return plain.Text(s, maxText) }
