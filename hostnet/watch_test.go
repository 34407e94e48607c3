package hostnet_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/dockerwall/dockerwall/hostnet"
)

// TestWatchTellsOfBridgesAndAddresses makes each change and then one that is told of in any case.
func TestWatchTellsOfBridgesAndAddresses(t *testing.T) {
	for name, test := range map[string]struct {
		change func(h *netlink.Handle) error
		told   int
	}{
		"a bridge":                              {func(h *netlink.Handle) error { return h.LinkAdd(bridge("br-c")) }, 1},
		"a bridge's end, and its address's":     {func(h *netlink.Handle) error { return h.LinkDel(bridge("br-b")) }, 2},
		"another name of a bridge, down for it": {func(h *netlink.Handle) error { return renamed(h, "br-b", "br-c") }, 2},
		"another MAC of a bridge":               {func(h *netlink.Handle) error { return setMAC(h, "br-b", 7) }, 1},
		"an IPv4 address":                       {func(h *netlink.Handle) error { return address(h, h.AddrAdd, "v0", "192.0.2.1/24") }, 1},
		"an IPv6 address":                       {func(h *netlink.Handle) error { return address(h, h.AddrAdd, "v0", "2001:db8::1/64") }, 1},
		"an address that goes":                  {func(h *netlink.Handle) error { return address(h, h.AddrDel, "v0", "192.0.2.9/24") }, 1},
		"a lifetime of an address":              {func(h *netlink.Handle) error { return address(h, h.AddrReplace, "v0", "192.0.2.9/24") }, 0},
		"a link-local one on a bridge":          {func(h *netlink.Handle) error { return address(h, h.AddrAdd, "br-b", "fe80::9/64") }, 1},
		"a link-local one on a veth":            {func(h *netlink.Handle) error { return address(h, h.AddrAdd, "v0", "fe80::9/64") }, 0},
		"one on a bridge just made": {func(h *netlink.Handle) error {
			if err := h.LinkAdd(bridge("br-c")); err != nil {
				return err
			}
			return address(h, h.AddrAdd, "br-c", "fe80::9/64")
		}, 2},
		"veths that come and go": {func(h *netlink.Handle) error {
			for i := range 50 {
				v := veth(fmt.Sprint("w", i%2))
				if err := h.LinkAdd(v); err != nil {
					return err
				}
				if err := h.LinkSetUp(v); err != nil {
					return err
				}
				if err := h.LinkDel(v); err != nil {
					return err
				}
			}
			return nil
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newPortRig(t, 0)
			r.do(r.here.LinkAdd(veth("v0")))
			r.do(address(r.here, r.here.AddrAdd, "v0", "192.0.2.9/24"))
			told := r.watch()
			r.do(test.change(r.here))
			r.do(address(r.here, r.here.AddrAdd, "lo", "203.0.113.1/32"))
			want := test.told + 1
			for range want {
				told.once(t)
			}
			select {
			case <-told:
				t.Error("told once more than needed")
			case <-time.After(50 * time.Millisecond): // it is in the socket already, if there is any
			}
		})
	}
}

func renamed(h *netlink.Handle, from, to string) error {
	l, err := h.LinkByName(from)
	if err != nil {
		return err
	}
	if err := h.LinkSetDown(l); err != nil {
		return err
	}
	return h.LinkSetName(l, to)
}

// address does one thing with an address: one that is added for an hour is so again when replaced.
func address(h *netlink.Handle, do func(netlink.Link, *netlink.Addr) error, on, text string) error {
	l, err := h.LinkByName(on)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(text)
	if err != nil {
		return err
	}
	a.ValidLft, a.PreferedLft = 3600, 3600
	return do(l, a)
}

type tellings chan struct{}

func (c tellings) once(t *testing.T) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was told")
	}
}

// watch returns when it hears. What it has heard by then is taken.
func (r *portRig) watch() tellings {
	r.Helper()
	told := make(tellings, 1000)
	ctx, cancel := context.WithCancel(r.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.host.Do(func() error { return hostnet.Watch(ctx, func() { told <- struct{}{} }) }) }()
	r.Cleanup(func() {
		cancel()
		r.do(<-ended)
	})
	deadline := time.After(10 * time.Second)
	for i := 0; ; i++ {
		r.do(address(r.here, r.here.AddrAdd, "lo", fmt.Sprintf("127.0.1.%d/32", i+1)))
		select {
		case <-told:
			for len(told) > 0 {
				<-told
			}
			return told
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			r.Fatal("nothing was told")
		}
	}
}
