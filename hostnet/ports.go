package hostnet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// PortsOptions say whom to tell.
type PortsOptions struct {
	Changed func() // called from Run after ports came, or changed their name or bridge; may be nil
	Gone    func() // called instead after some went; nil is Changed
	Logger  *slog.Logger
	Buffer  int // of the socket, in bytes; 8 MiB. What it cannot hold is read anew
}

// Ports knows which veth is whose end of what bridge, without entering any namespace. It is made by [NewPorts] and
// driven by [Ports.Run].
type Ports struct {
	options PortsOptions
	board   board
}

// NewPorts makes a Ports that knows none yet.
func NewPorts(o PortsOptions) *Ports {
	if o.Changed == nil {
		o.Changed = func() {}
	}
	if o.Gone == nil {
		o.Gone = o.Changed
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Buffer == 0 {
		o.Buffer = 8 << 20
	}
	return &Ports{options: o}
}

// List is the ports as they are now, sorted by Name; the caller's own, and nil while Run has not read them all. One whose
// other end's MAC is not known is left out: it has never been up, or the kernel would not tell. Any goroutine may call it at
// any time.
func (p *Ports) List() []Port { return p.board.list() }

// Forget empties the list, after Run has ended; the next Run fills it.
func (p *Ports) Forget() { p.board.clear() }

// ReadPorts is the ports of the calling thread's namespace now, for those who do not follow them.
func ReadPorts() ([]Port, error) {
	asks, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	defer func() { _ = asks.Close() }()
	p := NewPorts(PortsOptions{})
	err = newFollower(p, asks).readAll()
	return p.List(), err
}

// Run follows the network namespace of the calling thread until ctx is done, then returns nil. It needs
// CAP_NET_ADMIN, or it knows no MAC.
//
// A MAC is read once, when both ends are up for the first time, and kept for as long as the interface lives: Docker
// (20.10 to 28) gives it to the container's end before it brings that up, and starts the container after. One that may
// change its MAC later cannot change what is known of it.
func (p *Ports) Run(ctx context.Context) error {
	asks, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return fmt.Errorf("open netlink socket: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = asks.Close() })()
	defer func() { _ = asks.Close() }()
	f := newFollower(p, asks)
	for {
		err := f.follow(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case !errors.Is(err, unix.ENOBUFS):
			return err
		}
		pause(ctx, lostPause)
	}
}

// lostPause is between losing messages and reading all anew: whoever floods must not have us do nothing else.
const lostPause = 10 * time.Millisecond

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// follower is what Run's goroutine knows.
type follower struct {
	*Ports
	asks    *netlink.Conn
	bridges map[int32]string  // names by index
	members map[int32]*member // veths, and what else has been a port
	late    map[int32]retry   // veths whose other end could not be read
	mute    bool              // a failure was logged, and none has succeeded since
	changed bool              // the board, since it was last told
	gone    bool              // likewise, and something was taken off it
}

type member struct {
	link
	known bool // far is, of a veth
	far   [6]byte
	shown Port // on the board
}

// retry is when to read a veth's other end again, and how often that has failed.
type retry struct {
	failures int
	due      time.Time
}

func newFollower(p *Ports, asks *netlink.Conn) *follower {
	return &follower{Ports: p, asks: asks, bridges: map[int32]string{}, members: map[int32]*member{}, late: map[int32]retry{}}
}

// follow subscribes, reads all there is, and then takes each change, until one is lost (ENOBUFS). A socket that lost
// some may still hold older ones: the next time has its own.
func (f *follower) follow(ctx context.Context) error {
	events, err := listen(f.options.Buffer, unix.RTNLGRP_LINK)
	if err != nil {
		return err
	}
	defer func() { _ = events.Close() }()
	defer context.AfterFunc(ctx, func() { _ = events.Close() })()
	if err := f.readAll(); err != nil {
		return err
	}
	for {
		f.tell()
		if err := events.SetReadDeadline(f.nextRetry()); err != nil {
			return fmt.Errorf("receive interface changes: %w", err)
		}
		messages, err := events.Receive()
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("receive interface changes: %w", err)
		}
		for _, m := range messages {
			f.take(m)
		}
		f.readLate(time.Now())
	}
}

func (f *follower) tell() {
	changed, gone := f.changed, f.gone
	f.changed, f.gone = false, false
	switch {
	case gone:
		f.options.Gone()
	case changed:
		f.options.Changed()
	}
}

// readAll takes what there is, and forgets what is no more.
func (f *follower) readAll() error {
	links, err := listLinks(f.asks)
	if err != nil {
		return err
	}
	there := make(map[int32]bool, len(links))
	for _, l := range links {
		there[l.index] = true
		f.put(l)
	}
	for index := range f.members {
		if !there[index] {
			f.drop(index)
		}
	}
	for index := range f.bridges {
		if !there[index] {
			f.drop(index)
		}
	}
	f.board.complete()
	return nil
}

func (f *follower) take(m netlink.Message) {
	l, ok := readLink(m.Data)
	switch {
	case !ok:
	case m.Header.Type == unix.RTM_NEWLINK:
		f.put(l)
	case m.Header.Type == unix.RTM_DELLINK:
		f.drop(l.index)
	}
}

func (f *follower) put(l link) {
	switch l.kind {
	case "bridge":
		if f.bridges[l.index] != l.name {
			f.bridges[l.index] = l.name
			f.showPortsOf(l.index)
		}
	case "dummy": // leads nowhere
	case "veth":
		f.readFar(f.member(l))
		f.show(f.members[l.index])
	default:
		if l.master != 0 || f.members[l.index] != nil {
			f.show(f.member(l))
		}
	}
}

// member takes what is new of an interface.
func (f *follower) member(l link) *member {
	m := f.members[l.index]
	if m == nil {
		m = &member{}
		f.members[l.index] = m
	}
	m.link = l
	return m
}

func (f *follower) drop(index int32) {
	if v := f.members[index]; v != nil {
		f.swap(v, Port{})
		delete(f.members, index)
		delete(f.late, index)
	}
	if _, ok := f.bridges[index]; ok {
		delete(f.bridges, index)
		f.showPortsOf(index)
	}
}

func (f *follower) showPortsOf(bridge int32) {
	for _, v := range f.members {
		if v.master == bridge {
			f.show(v)
		}
	}
}

// show puts an interface on the board, or takes it off.
func (f *follower) show(v *member) {
	var now Port
	if bridge, ok := f.bridges[v.master]; ok && (v.known || v.kind != "veth") {
		now = Port{Index: v.index, Name: v.name, Bridge: bridge, MAC: v.far, Foreign: v.kind != "veth"}
	}
	f.swap(v, now)
}

func (f *follower) swap(v *member, now Port) {
	if f.board.swap(v.shown, now) {
		f.changed, f.gone = true, f.gone || now == Port{}
	}
	v.shown = now
}
