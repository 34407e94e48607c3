package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/flows"
	"github.com/dockerwall/dockerwall/internal/lab"
)

const (
	cadence = 20 * time.Millisecond // of each side of a talk
	silence = 1500 * time.Millisecond
)

// talk is a flow that a container opened, on which both sides send all the time, whatever they hear.
type talk struct {
	name      string
	near, far atomic.Int64 // what each has heard
}

// talks opens one to a port of an address; who listens is in ns.
func (b *box) talks(t *testing.T, ns *lab.Namespace, network, addr string, port int) *talk {
	t.Helper()
	to := net.JoinHostPort(addr, strconv.Itoa(port))
	k := &talk{name: fmt.Sprintf("%s %s from %s", network, to, b.ID[:12])}
	if network == "udp" {
		k.answerUDP(t, ns, to)
	} else {
		k.answerTCP(t, ns, to)
	}
	conn, err := b.ns.Dial(t.Context(), network, to)
	if err != nil {
		t.Fatalf("%s: %v", k.name, err)
	}
	chat(t, conn, &k.near)
	k.goesOn(t)
	return k
}

// chat sends and counts what comes, until the test ends.
func chat(t *testing.T, conn net.Conn, heard *atomic.Int64) {
	t.Cleanup(func() { _ = conn.Close() })
	go hear(conn, heard)
	go func() {
		for range time.Tick(cadence) {
			if _, err := conn.Write([]byte("x")); isClosed(err) {
				return
			}
		}
	}()
}

// isClosed tells the end of a test from a peer that is said not to be there, which does not keep a sender.
func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }

func hear(conn net.Conn, heard *atomic.Int64) {
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		heard.Add(int64(n))
		if isClosed(err) || err != nil && conn.LocalAddr().Network() == "tcp" {
			return
		}
	}
}

func (k *talk) answerTCP(t *testing.T, ns *lab.Namespace, at string) {
	t.Helper()
	l, err := ns.Listen(at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		if conn, err := l.Accept(); err == nil {
			chat(t, conn, &k.far)
		}
	}()
}

func (k *talk) answerUDP(t *testing.T, ns *lab.Namespace, at string) {
	t.Helper()
	conn, err := ns.ListenPacket("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buf := make([]byte, 4096)
		n, peer, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		k.far.Add(int64(n))
		go func() {
			for range time.Tick(cadence) {
				if _, err := conn.WriteTo([]byte("x"), peer); isClosed(err) {
					return
				}
			}
		}()
		for {
			n, _, err := conn.ReadFrom(buf)
			k.far.Add(int64(n))
			if isClosed(err) {
				return
			}
		}
	}()
}

func (k *talk) heard() [2]int64 { return [2]int64{k.near.Load(), k.far.Load()} }

// goesOn waits until both sides have heard more.
func (k *talk) goesOn(t *testing.T) {
	t.Helper()
	before := k.heard()
	eventually(t, func() error {
		if now := k.heard(); now[0] <= before[0]+3 || now[1] <= before[1]+3 {
			return fmt.Errorf("%s: heard %v, then %v", k.name, before, now)
		}
		return nil
	})
}

// areSilent waits until nobody hears anything, and fails if anybody does again.
func areSilent(t *testing.T, talks ...*talk) {
	t.Helper()
	for _, k := range talks {
		last := k.heard()
		eventually(t, func() error {
			time.Sleep(5 * cadence)
			if now := k.heard(); now != last {
				err := fmt.Errorf("%s goes on: heard %v, then %v", k.name, last, now)
				last = now
				return err
			}
			return nil
		})
	}
	stayedSilent(t, func() { time.Sleep(silence) }, talks...)
}

func stayedSilent(t *testing.T, during func(), talks ...*talk) {
	t.Helper()
	before := map[*talk][2]int64{}
	for _, k := range talks {
		before[k] = k.heard()
	}
	during()
	for _, k := range talks {
		if now := k.heard(); now != before[k] {
			t.Errorf("%s came back: heard %v, then %v", k.name, before[k], now)
		}
	}
}

// flowsOf are the flows from or to addresses that the host knows.
func (w *world) flowsOf(addrs ...string) ([]flows.Flow, error) {
	all, err := flows.List(flows.Options{NetNS: w.Host.FD()})
	return slices.DeleteFunc(all, func(f flows.Flow) bool {
		return !slices.Contains(addrs, f.Src.Addr().String()) && !slices.Contains(addrs, f.To.Addr().String())
	}), err
}

// TestFlowsThatNobodyAllowsAreCutAndStayCut begins them before there is a fence. Their far sides do not know, and go on.
func TestFlowsThatNobodyAllowsAreCutAndStayCut(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.docker(t, "network", "create", "--subnet=172.30.9.0/24", "-o", "com.docker.network.bridge.enable_ip_masquerade=false", "routed")
	label := map[string]string{"dockerwall.outbound": "203.0.113.1, 2001:db8:1::1, 198.51.100.1:7101, _host_:7102"}
	b := w.run(t, lab.RunSpec{Network: web, Labels: label})
	r := w.run(t, lab.RunSpec{Network: "routed", Labels: label})
	var shut, open []*talk
	for _, network := range []string{"tcp", "udp"} {
		shut = append(shut,
			b.talks(t, w.Internet, network, "203.0.113.77", 7000),
			b.talks(t, w.Internet, network, "2001:db8:1::77", 7000),
			r.talks(t, w.Internet, network, "203.0.113.78", 7000),
			b.talks(t, w.Host, network, webGate, 7000),
			b.talks(t, w.Host, network, lab.HostAddr6, 7001),
		)
		open = append(open,
			b.talks(t, w.Internet, network, "203.0.113.1", 7000),
			b.talks(t, w.Internet, network, "2001:db8:1::1", 7000),
			r.talks(t, w.Internet, network, "203.0.113.1", 7001),
			b.talks(t, w.Host, network, lab.HostAddr, 7101),
			b.talks(t, w.Host, network, webGate, 7102),
		)
	}
	d := w.start(t)
	areSilent(t, shut...)
	for _, k := range open {
		k.goesOn(t)
	}
	d.says(t, "flows cut", fmt.Sprintf("flows=%d", len(shut)))
	stayedSilent(t, func() {
		d.kill9()
		w.start(t)
		for _, k := range open {
			k.goesOn(t)
		}
	}, shut...)
	b.isKeptFrom(t, "tcp 203.0.113.77:80", "udp [2001:db8:1::77]:5000")
	b.reaches(t, "tcp 203.0.113.1:80")
}

// TestAPolicyThatIsWiderDisturbsNothing: and a tighter one cuts what it takes away, no more.
func TestAPolicyThatIsWiderDisturbsNothing(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	b := w.run(t, lab.RunSpec{Network: web})
	d := w.start(t, "DEFAULT_OUTBOUND=203.0.113.1,2001:db8:1::1")
	kept := []*talk{b.talks(t, w.Internet, "tcp", "203.0.113.1", 7000), b.talks(t, w.Internet, "udp", "2001:db8:1::1", 7000)}
	d.stop()
	d = w.start(t, "DEFAULT_OUTBOUND=203.0.113.0/30,2001:db8:1::/64")
	for _, k := range kept {
		k.goesOn(t)
	}
	more := []*talk{b.talks(t, w.Internet, "tcp", "203.0.113.2", 7000), b.talks(t, w.Internet, "udp", "2001:db8:1::2", 7000)}
	d.stop()
	d = w.start(t, "DRY_RUN=true")
	for _, k := range append(more, kept...) {
		k.goesOn(t)
	}
	d.stop()
	d = w.start(t, "DEFAULT_OUTBOUND=203.0.113.1,2001:db8:1::1")
	areSilent(t, more...)
	for _, k := range kept {
		k.goesOn(t)
	}
	d.says(t, "flows cut", "flows=2")
}

// TestAFlowToWhatIsNowKnownToBeDeniedIsCut: the denial came first, its address later.
func TestAFlowToWhatIsNowKnownToBeDeniedIsCut(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.DNS.SetBelow("evil.example", func(string) lab.Answer {
		return lab.Answer{Addrs: []netip.Addr{netip.MustParseAddr("203.0.113.1")}, TTL: 60}
	})
	w.start(t)
	b := w.labelled(t, "203.0.113.0/24, !*.evil.example")
	bad, good := b.talks(t, w.Internet, "tcp", "203.0.113.1", 7000), b.talks(t, w.Internet, "tcp", "203.0.113.2", 7000)
	if out, err := b.Exec(t.Context(), "/probe", "lookup", "c2.evil.example"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	areSilent(t, bad)
	good.goesOn(t)
}

// TestAnAddressIsHandedOnWithoutItsFlows: the next container of an address inherits neither what the last one had opened
// nor what others had opened to it.
func TestAnAddressIsHandedOnWithoutItsFlows(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.start(t)
	spec := lab.RunSpec{Network: web, Labels: map[string]string{"dockerwall.outbound": "203.0.113.1, 2001:db8:1::1"}, Args: []string{"--ip=172.30.1.77", "--ip6=2001:db8:c:1::77"}}
	first := w.run(t, spec)
	var old []*talk
	for _, network := range []string{"tcp", "udp"} {
		old = append(old, first.talks(t, w.Internet, network, "203.0.113.1", 7000), first.talks(t, w.Internet, network, "2001:db8:1::1", 7000))
	}
	w.docker(t, "kill", first.ID)
	w.docker(t, "rm", first.ID)
	next := w.run(t, spec)
	eventually(t, func() error {
		all, err := w.flowsOf("172.30.1.77", "2001:db8:c:1::77")
		if err == nil && len(all) > 0 {
			err = fmt.Errorf("inherited: %v", all)
		}
		return err
	})
	stayedSilent(t, func() { time.Sleep(silence) }, old...)
	if all, err := w.flowsOf("172.30.1.77", "2001:db8:c:1::77"); err != nil || len(all) > 0 {
		t.Errorf("inherited later: %v %v", all, err)
	}
	next.talks(t, w.Internet, "udp", "2001:db8:1::1", 7001).goesOn(t)
	next.talks(t, w.Internet, "tcp", "203.0.113.1", 7001).goesOn(t)
}
