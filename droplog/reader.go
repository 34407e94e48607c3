package droplog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/florianl/go-nflog/v2"

	"github.com/dockerwall/dockerwall/nfgroup"
	"github.com/dockerwall/dockerwall/packet"
)

// DefaultGroup is the nflog group our rules log to unless the operator sets another.
const DefaultGroup = 32

// copyRange is the bytes of each packet: IP header, a few extension headers, ports.
const copyRange = 128

// ErrGroupTaken says that another program reads our nflog group: the kernel gives a group to one
// reader in each network namespace.
var ErrGroupTaken = fmt.Errorf("%w; choose a free group with --nflog-group or DOCKERWALL_NFLOG_GROUP", nfgroup.ErrTaken)

// Options of a [Reader].
type Options struct {
	Group uint16 // nflog group; 0 means DefaultGroup
	// NetNS is a file descriptor of the network namespace to read in, 0 for the caller's own. The
	// caller keeps it open while the reader runs.
	NetNS int
	// Handle is given every denied packet, one at a time, on one goroutine. Required. While it blocks,
	// packets queue in the socket.
	Handle func(Drop)
	// Lost, if set, is told of packets that were logged but never arrived. Called on the goroutine of Handle.
	Lost   func(n uint64)
	Logger *slog.Logger // nil discards
}

// Reader receives denied packets from the kernel's nflog. It needs CAP_NET_ADMIN.
type Reader struct {
	opt        Options
	gaps       gaps
	interfaces interfaces
}

// New checks opt; it opens nothing yet.
func New(opt Options) (*Reader, error) {
	if opt.Handle == nil {
		return nil, errors.New("droplog: Options.Handle is required")
	}
	if opt.Group == 0 {
		opt.Group = DefaultGroup
	}
	if opt.Lost == nil {
		opt.Lost = func(uint64) {}
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	return &Reader{opt: opt}, nil
}

// Run reads until ctx is done, then returns nil. It returns an error if the group cannot be read;
// errors.Is(err, ErrGroupTaken) when somebody else reads it. The rules deny just the same without a
// reader. Run may be called again after it returned.
func (r *Reader) Run(ctx context.Context) error {
	group, err := nfgroup.Open(ctx, nfgroup.Options{
		Number: r.opt.Group, NetNS: r.opt.NetNS, CopyRange: copyRange, Prepare: r.prepare, Packet: r.packet, Overrun: r.overrun,
	})
	if errors.Is(err, nfgroup.ErrTaken) {
		err = ErrGroupTaken
	}
	if err != nil {
		return fmt.Errorf("read nflog group %d: %w", r.opt.Group, err)
	}
	defer group.Close()
	r.opt.Logger.Debug("reading denied packets", "group", r.opt.Group)
	if err := group.Wait(ctx); err != nil {
		return fmt.Errorf("read nflog group %d: %w", r.opt.Group, err)
	}
	return nil
}

// prepare begins anew for each attempt to subscribe.
func (r *Reader) prepare(group *nfgroup.Group) {
	r.gaps = gaps{}
	r.interfaces = interfaces{lookup: func(index uint32) string {
		socket := group.Socket()
		if socket == nil {
			return ""
		}
		return interfaceName(socket, index)
	}}
}

func (r *Reader) packet(a nflog.Attribute) {
	if a.Seq != nil {
		r.lost(r.gaps.arrived(*a.Seq))
	}
	r.opt.Handle(r.drop(a, time.Now()))
}

func (r *Reader) overrun() { r.lost(r.gaps.overrun()) }

func (r *Reader) lost(n uint64) {
	if n > 0 {
		r.opt.Lost(n)
	}
}

// drop copies what the message has; every attribute may be missing.
func (r *Reader) drop(a nflog.Attribute, now time.Time) Drop {
	d := Drop{Time: now}
	if a.Timestamp != nil {
		d.Time = *a.Timestamp
	}
	if a.Prefix != nil {
		d.Prefix = strings.TrimRight(*a.Prefix, "\x00 ")
	}
	if a.Payload != nil {
		d.Packet, _ = packet.Decode(*a.Payload)
	}
	if in := inDev(a); in != nil {
		d.In = r.interfaces.name(*in, now)
	}
	if a.OutDev != nil {
		d.Out = r.interfaces.name(*a.OutDev, now)
	}
	if a.HwAddr != nil {
		d.HwAddr = net.HardwareAddr(*a.HwAddr)
	}
	return d
}

// inDev is the interface that the packet came in by. Prerouting is where frames of a bridge's ports are denied: the port
// is the physical one then, and the bridge the other (nfnetlink_log.c, __build_packet_message).
func inDev(a nflog.Attribute) *uint32 {
	const prerouting = 0 // NF_BR_PRE_ROUTING
	if a.Hook != nil && *a.Hook == prerouting && a.PhysInDev != nil {
		return a.PhysInDev
	}
	return a.InDev
}
