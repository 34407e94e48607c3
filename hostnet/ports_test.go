package hostnet_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/hostnet"
)

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
		"an interface of the host becomes a port": {func(r *portRig) {
			r.do(r.here.LinkAdd(&netlink.Macvlan{LinkAttrs: netlink.LinkAttrs{Name: "lan", ParentIndex: r.link("br-b").Attrs().Index}, Mode: netlink.MACVLAN_MODE_BRIDGE}))
			r.do(r.here.LinkSetMaster(r.link("lan"), r.link("br-a")))
		}, []string{"lan br-a foreign", "v1 br-a 1", "v2 br-b 2"}},
		"and leaves again": {func(r *portRig) {
			r.do(r.here.LinkAdd(&netlink.Macvlan{LinkAttrs: netlink.LinkAttrs{Name: "lan", ParentIndex: r.link("br-b").Attrs().Index}, Mode: netlink.MACVLAN_MODE_BRIDGE}))
			r.do(r.here.LinkSetMaster(r.link("lan"), r.link("br-a")))
			r.do(r.here.LinkSetNoMaster(r.link("lan")))
		}, []string{"v1 br-a 1", "v2 br-b 2"}},
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
