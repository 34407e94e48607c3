package hostnet_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/internal/lab"
)

// portRig is a host with two bridges, and a namespace for the other ends.
type portRig struct {
	testing.TB
	host, away *lab.Namespace
	here, far  *netlink.Handle // of these
	ports      *hostnet.Ports
	changes    chan struct{} // of 1
	log        lines
	stop       func()
}

// lines is a log, line by line.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

func newPortRig(t testing.TB, buffer int) *portRig {
	t.Helper()
	r := &portRig{TB: t, host: lab.NamespaceForTest(t), away: lab.NamespaceForTest(t), changes: make(chan struct{}, 1), log: make(lines, 64)}
	r.here, r.far = handle(t, r.host), handle(t, r.away)
	r.ports = hostnet.NewPorts(hostnet.PortsOptions{Changed: r.kick, Buffer: buffer, Logger: slog.New(slog.NewTextHandler(r.log, nil))})
	for _, name := range []string{"br-a", "br-b"} {
		r.do(r.here.LinkAdd(bridge(name)))
		r.do(r.here.LinkSetUp(bridge(name)))
	}
	return r
}

func handle(t testing.TB, n *lab.Namespace) *netlink.Handle {
	t.Helper()
	h, err := netlink.NewHandleAt(netns.NsHandle(n.FD()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

func (r *portRig) kick() {
	select {
	case r.changes <- struct{}{}:
	default:
	}
}

func (r *portRig) do(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// run starts to follow, and stops with the test.
func (r *portRig) run() {
	ctx, cancel := context.WithCancel(r.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.host.Do(func() error { return r.ports.Run(ctx) }) }()
	r.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			r.Errorf("Run: %v", err)
		}
		ended <- nil
	}
	r.Cleanup(r.stop)
}

// add makes a port of a bridge as Docker does: the other end gets its MAC where it goes.
func (r *portRig) add(name, bridgeName string, mac byte) {
	r.Helper()
	r.do(addPort(r.here, r.far, r.away, name, bridgeName, mac))
}

func addPort(here, far *netlink.Handle, away *lab.Namespace, name, bridgeName string, mac byte) error {
	v := veth(name)
	if err := here.LinkAdd(v); err != nil {
		return err
	}
	master, err := here.LinkByName(bridgeName)
	if err != nil {
		return err
	}
	peer, err := here.LinkByName(v.PeerName)
	if err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return here.LinkSetMaster(v, master) }, func() error { return here.LinkSetUp(v) },
		func() error { return here.LinkSetNsFd(peer, away.FD()) },
		func() error { return finish(far, v.PeerName, mac) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func finish(h *netlink.Handle, peer string, mac byte) error {
	if err := setMAC(h, peer, mac); err != nil {
		return err
	}
	l, err := h.LinkByName(peer)
	if err != nil {
		return err
	}
	return h.LinkSetUp(l)
}

func setMAC(h *netlink.Handle, name string, mac byte) error {
	l, err := h.LinkByName(name)
	if err != nil {
		return err
	}
	return h.LinkSetHardwareAddr(l, net.HardwareAddr{2, 0x42, 0, 0, 0, mac})
}

func (r *portRig) link(name string) netlink.Link {
	r.Helper()
	l, err := r.here.LinkByName(name)
	r.do(err)
	return l
}

// says waits until the ports are these: "name bridge last-byte-of-MAC".
func (r *portRig) says(want ...string) {
	r.Helper()
	deadline := time.After(10 * time.Second)
	for {
		got := portTexts(r.ports.List())
		if slices.Equal(got, want) {
			return
		}
		select {
		case <-r.changes:
		case <-deadline:
			r.Fatalf("ports (-want +got):\n%s", cmp.Diff(want, got))
		}
	}
}

func portTexts(ports []hostnet.Port) (out []string) {
	for _, p := range ports {
		far := fmt.Sprint(p.MAC[5])
		if p.Foreign {
			far = "foreign"
		}
		out = append(out, fmt.Sprintf("%s %s %s", p.Name, p.Bridge, far))
	}
	return out
}

// withCapabilities runs f on this thread, which is locked, with those that it has and that are in the mask.
func withCapabilities(mask uint32, f func() error) (err error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var had [2]unix.CapUserData
	if err := unix.Capget(&header, &had[0]); err != nil {
		return err
	}
	fewer := had
	fewer[0].Effective &= mask
	fewer[1].Effective = 0
	if err := unix.Capset(&header, &fewer[0]); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Capset(&header, &had[0])) }()
	return f()
}
