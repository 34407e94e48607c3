package hostnet_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
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
		out = append(out, fmt.Sprintf("%s %s %d", p.Name, p.Bridge, p.MAC[5]))
	}
	return out
}

func TestPortsAreFoundWithTheMACOfTheirOtherEnd(t *testing.T) {
	for name, test := range map[string]struct {
		before, after func(r *portRig)
		want          []string
	}{
		"one that stood before": {func(r *portRig) { r.add("v1", "br-a", 1) }, nil, []string{"v1 br-a 1"}},
		"one that came later":   {nil, func(r *portRig) { r.add("v1", "br-a", 1) }, []string{"v1 br-a 1"}},
		"several, on two bridges": {func(r *portRig) { r.add("v3", "br-a", 3); r.add("v1", "br-b", 1) }, func(r *portRig) { r.add("v2", "br-b", 2) },
			[]string{"v1 br-b 1", "v2 br-b 2", "v3 br-a 3"}},
		"another end that stays on the host": {nil, func(r *portRig) {
			r.do(r.here.LinkAdd(veth("v1")))
			r.do(finish(r.here, "v1p", 1))
			r.do(r.here.LinkSetMaster(r.link("v1"), r.link("br-a")))
			r.do(r.here.LinkSetUp(r.link("v1")))
		}, []string{"v1 br-a 1"}},
		"two that are each other's other end": {nil, func(r *portRig) {
			r.do(r.here.LinkAdd(veth("v1")))
			for mac, name := range []string{"v1", "v1p"} {
				r.do(setMAC(r.here, name, byte(mac)))
				r.do(r.here.LinkSetMaster(r.link(name), r.link("br-b")))
				r.do(r.here.LinkSetUp(r.link(name)))
			}
		}, []string{"v1 br-b 1", "v1p br-b 0"}},
		"a veth of no bridge is none": {func(r *portRig) {
			r.do(r.here.LinkAdd(veth("v2")))
			r.do(finish(r.here, "v2", 2))
			r.do(finish(r.here, "v2p", 3))
		}, func(r *portRig) { r.add("v1", "br-a", 1) }, []string{"v1 br-a 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newPortRig(t, 0)
			if test.before != nil {
				test.before(r)
			}
			r.run()
			if test.after != nil {
				test.after(r)
			}
			r.says(test.want...)
		})
	}
}

func TestPortsAreFollowed(t *testing.T) {
	for name, test := range map[string]struct {
		change func(r *portRig)
		want   []string
	}{
		"a port goes":               {func(r *portRig) { r.do(r.here.LinkDel(r.link("v1"))) }, []string{"v2 br-b 2"}},
		"its other end goes":        {func(r *portRig) { r.do(r.far.LinkDel(veth("v1p"))) }, []string{"v2 br-b 2"}},
		"a port gets another name":  {func(r *portRig) { r.do(r.here.LinkSetName(r.link("v1"), "w1")) }, []string{"v2 br-b 2", "w1 br-a 1"}},
		"a port leaves its bridge":  {func(r *portRig) { r.do(r.here.LinkSetNoMaster(r.link("v1"))) }, []string{"v2 br-b 2"}},
		"a port changes its bridge": {func(r *portRig) { r.do(r.here.LinkSetMaster(r.link("v1"), r.link("br-b"))) }, []string{"v1 br-b 1", "v2 br-b 2"}},
		"a bridge goes":             {func(r *portRig) { r.do(r.here.LinkDel(r.link("br-a"))) }, []string{"v2 br-b 2"}},
		"a bridge gets another name": {func(r *portRig) {
			r.do(r.here.LinkSetDown(r.link("br-a")))
			r.do(r.here.LinkSetName(r.link("br-a"), "br-c"))
		}, []string{"v1 br-c 1", "v2 br-b 2"}},
		"a name is used again": {func(r *portRig) {
			r.do(r.here.LinkDel(r.link("v1")))
			r.add("v1", "br-b", 3)
		}, []string{"v1 br-b 3", "v2 br-b 2"}},
		"two ports change names": {func(r *portRig) {
			for _, names := range [][2]string{{"v1", "x"}, {"v2", "v1"}, {"x", "v2"}} {
				r.do(r.here.LinkSetName(r.link(names[0]), names[1]))
			}
		}, []string{"v1 br-b 2", "v2 br-a 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newPortRig(t, 0)
			r.add("v1", "br-a", 1)
			r.add("v2", "br-b", 2)
			r.run()
			r.says("v1 br-a 1", "v2 br-b 2")
			test.change(r)
			r.says(test.want...)
		})
	}
}

// TestAMACThatChangesLaterIsNotBelieved is about a container with NET_ADMIN. The change is seen to have been passed by
// when a port that came after it is there.
func TestAMACThatChangesLaterIsNotBelieved(t *testing.T) {
	r := newPortRig(t, 0)
	r.add("v1", "br-a", 1)
	r.run()
	r.says("v1 br-a 1")
	r.do(r.far.LinkSetDown(veth("v1p")))
	r.do(finish(r.far, "v1p", 9))
	r.do(r.here.LinkSetMaster(r.link("v1"), r.link("br-b")))
	r.add("v2", "br-a", 2)
	r.says("v1 br-b 1", "v2 br-a 2")
}

// TestAPortIsNotShownBeforeItsMACIsGiven: Docker 20.10 gives it to an interface that is a port's other end already.
func TestAPortIsNotShownBeforeItsMACIsGiven(t *testing.T) {
	r := newPortRig(t, 0)
	r.run()
	r.do(r.here.LinkAdd(veth("v1")))
	r.do(r.here.LinkSetMaster(r.link("v1"), r.link("br-a")))
	r.do(r.here.LinkSetUp(r.link("v1")))
	r.add("v2", "br-a", 2)
	r.says("v2 br-a 2")
	r.do(r.here.LinkSetNsFd(r.link("v1p"), r.away.FD()))
	r.do(finish(r.far, "v1p", 1))
	r.says("v1 br-a 1", "v2 br-a 2")
}

// TestPortsComeAndGoAtHighRate ends with what a fresh look shows.
func TestPortsComeAndGoAtHighRate(t *testing.T) {
	for name, buffer := range map[string]int{"nothing is lost": 0, "much is lost": 2048} {
		t.Run(name, func(t *testing.T) {
			r := newPortRig(t, buffer)
			r.run()
			r.churn(4, 50)
			r.says("c0 br-a 49", "c1 br-b 49", "c2 br-a 49", "c3 br-b 49")
			var read []hostnet.Port
			r.do(r.host.Do(func() (err error) {
				read, err = hostnet.ReadPorts()
				return err
			}))
			if diff := cmp.Diff(read, r.ports.List()); diff != "" {
				t.Errorf("(-read +followed):\n%s", diff)
			}
			r.stop()
			if len(r.log) > 0 {
				t.Errorf("log: %s", <-r.log)
			}
		})
	}
}

// churn makes as many ports as there are workers, each again and again under its name.
func (r *portRig) churn(workers, times int) {
	r.Helper()
	failed := make(chan error, workers)
	for w := range workers {
		here, far, name := handle(r, r.host), handle(r, r.away), fmt.Sprint("c", w)
		go func() {
			for i := range times {
				if i > 0 {
					if err := here.LinkDel(veth(name)); err != nil {
						failed <- err
						return
					}
				}
				if err := addPort(here, far, r.away, name, []string{"br-a", "br-b"}[w%2], byte(i)); err != nil {
					failed <- fmt.Errorf("%s: %w", name, err)
					return
				}
			}
			failed <- nil
		}()
	}
	var err error
	for range workers {
		err = errors.Join(err, <-failed)
	}
	r.do(err)
}

// TestWithoutTheRightToAskPortsAreLeftOut and that is said once.
func TestWithoutTheRightToAskPortsAreLeftOut(t *testing.T) {
	r := newPortRig(t, 0)
	r.add("v1", "br-a", 1)
	r.add("v2", "br-a", 2)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- r.host.Do(func() error { return withCapabilities(^netAdmin(), func() error { return r.ports.Run(ctx) }) })
	}()
	if line := <-r.log; !strings.Contains(line, "port=v") || !strings.Contains(line, "permission denied") {
		t.Errorf("log: %s", line)
	}
	r.add("v3", "br-a", 3)
	cancel()
	r.do(<-ended)
	if ports := r.ports.List(); len(ports) > 0 || len(r.log) > 0 {
		t.Errorf("ports %v, %d lines more", ports, len(r.log))
	}
}

func TestNetAdminIsAllThatPortsNeed(t *testing.T) {
	r := newPortRig(t, 0)
	r.add("v1", "br-a", 1)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- r.host.Do(func() error { return withCapabilities(netAdmin(), func() error { return r.ports.Run(ctx) }) })
	}()
	r.says("v1 br-a 1")
	cancel()
	r.do(<-ended)
}

func netAdmin() uint32 { return 1 << unix.CAP_NET_ADMIN }

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

func TestRunEndsWithItsContext(t *testing.T) {
	r := newPortRig(t, 0)
	r.run()
	r.add("v1", "br-a", 1)
	r.says("v1 br-a 1")
	r.stop()
	if got := strings.Join(portTexts(r.ports.List()), ","); got != "v1 br-a 1" {
		t.Errorf("after its end: %s", got)
	}
}
