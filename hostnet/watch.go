package hostnet

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// watchBuffer holds the messages of some thousand interfaces that change at once.
const watchBuffer = 1 << 20

// Watch calls changed when a bridge or an address of the host comes, goes or changes in the namespace of the calling
// thread, until ctx is done. Link-local addresses count on bridges only: each veth has one. After lost messages
// something may have changed.
func Watch(ctx context.Context, changed func()) error {
	conn, err := listen(watchBuffer, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	w := watcher{bridges: map[int32]Bridge{}, addrs: map[hostAddr]bool{}}
	if err := w.start(); err != nil {
		return err
	}
	for {
		messages, err := conn.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS): // what was lost is found anew
			if err := w.start(); err != nil {
				return err
			}
			changed()
		case err != nil:
			return fmt.Errorf("receive interface changes: %w", err)
		case w.news(messages):
			changed()
		}
	}
}

// watcher knows what has been told, for the kernel tells of things again at each change of their state.
type watcher struct {
	bridges map[int32]Bridge // without their addresses
	addrs   map[hostAddr]bool
}

type hostAddr struct {
	index int32
	addr  netip.Addr
}

// start takes what there is already.
func (w *watcher) start() error {
	now, err := read()
	if err != nil {
		return err
	}
	clear(w.bridges)
	clear(w.addrs)
	for index, b := range now.bridges {
		w.bridges[index] = *b
	}
	for _, a := range now.addrs {
		w.addrs[a] = true
	}
	return nil
}

func (w *watcher) news(messages []netlink.Message) (any bool) {
	for _, m := range messages {
		switch m.Header.Type {
		case unix.RTM_NEWLINK, unix.RTM_DELLINK:
			any = w.bridge(m) || any
		case unix.RTM_NEWADDR, unix.RTM_DELADDR:
			any = w.address(m) || any
		default:
		}
	}
	return any
}

func (w *watcher) bridge(m netlink.Message) bool {
	l, ok := readLink(m.Data)
	if !ok || l.kind != "bridge" {
		return false
	}
	old, known := w.bridges[l.index]
	if m.Header.Type == unix.RTM_DELLINK {
		delete(w.bridges, l.index)
		return known
	}
	w.bridges[l.index] = Bridge{Name: l.name, MAC: l.mac}
	return !known || old.Name != l.name || old.MAC != l.mac
}

func (w *watcher) address(m netlink.Message) bool {
	a, ok := readAddr(m.Data)
	if _, onBridge := w.bridges[a.index]; !ok || a.addr.IsLinkLocalUnicast() && !onBridge {
		return false
	}
	known := w.addrs[a]
	if m.Header.Type == unix.RTM_DELADDR {
		delete(w.addrs, a)
		return known
	}
	w.addrs[a] = true
	return !known
}

// readAddr takes IFA_LOCAL where there is one: then IFA_ADDRESS is the peer's (linux/if_addr.h).
func readAddr(message []byte) (out hostAddr, ok bool) {
	if len(message) < unix.SizeofIfAddrmsg {
		return hostAddr{}, false
	}
	attributes, err := netlink.UnmarshalAttributes(message[unix.SizeofIfAddrmsg:])
	if err != nil {
		return hostAddr{}, false
	}
	var addr, local netip.Addr
	for _, a := range attributes {
		switch a.Type {
		case unix.IFA_ADDRESS:
			addr, _ = netip.AddrFromSlice(a.Data)
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(a.Data)
		}
	}
	if local.IsValid() {
		addr = local
	}
	index := int32(binary.NativeEndian.Uint32(message[4:]))
	return hostAddr{index, addr.Unmap()}, addr.IsValid()
}
