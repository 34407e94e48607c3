package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

// box is a running container with its network namespace.
type box struct {
	*lab.Container
	w  *world
	ns *lab.Namespace
}

// labelled runs a container on network web with a label dockerwall.outbound.
func (w *world) labelled(t testing.TB, outbound string) *box {
	t.Helper()
	return w.run(t, lab.RunSpec{Network: web, Labels: map[string]string{"dockerwall.outbound": outbound}})
}

// run starts a container, which sleeps unless told otherwise. It ends with the lab.
func (w *world) run(t testing.TB, spec lab.RunSpec) *box {
	t.Helper()
	if spec.Cmd == nil {
		spec.Cmd = []string{"sleep"}
	}
	c, err := w.engine.Run(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	b := &box{Container: c, w: w}
	b.enter(t)
	return b
}

// enter opens the container's namespace, again after a restart.
func (b *box) enter(t testing.TB) {
	t.Helper()
	ns, err := b.Namespace(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.ns = ns
	t.Cleanup(func() { _ = ns.Close() })
}

func (b *box) addr(t testing.TB, network string) netip.Addr {
	t.Helper()
	a, err := b.Addr(t.Context(), network)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// act is one thing to try, in the words of the lab's probe: "tcp ADDR:PORT", "udp ADDR:PORT" (an echo is awaited),
// "ping ADDR"; or "raw PROTOCOL ADDR", which sends a packet of an IP protocol and is judged by its arrival.
type act string

// try does it in the container's network, without the way through docker exec.
func (b *box) try(ctx context.Context, a act) lab.Result {
	words := strings.Fields(string(a))
	if words[0] == "raw" {
		return b.raw(a, words[1], words[2])
	}
	patience := map[string]string{"tcp": "-timeout", "udp": "-wait", "ping": "-timeout"}[words[0]]
	out, _ := b.ns.Command(ctx, b.w.probe, append(words, patience, moment.String())...).Output() // its exit code says the outcome once more
	results, err := lab.Results(string(out))
	if err != nil || len(results) != 1 {
		return lab.Result{Act: string(a), Outcome: result.Failed, Error: fmt.Sprintf("%q: %v", out, err)}
	}
	return results[0]
}

func (b *box) raw(a act, protocol, to string) lab.Result {
	before := b.w.arrived(a)
	family := "ip4:"
	if strings.Contains(to, ":") {
		family = "ip6:"
	}
	err := b.ns.Do(func() error {
		conn, err := net.Dial(family+protocol, to)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		_, err = conn.Write(first(protocol))
		return err
	})
	if err != nil {
		return lab.Result{Act: string(a), Outcome: result.Failed, Error: err.Error()}
	}
	for wait := moment / 32; wait < moment; wait *= 2 {
		time.Sleep(wait)
		if b.w.arrived(a) > before {
			return lab.Result{Act: string(a), Outcome: result.OK}
		}
	}
	return lab.Result{Act: string(a), Outcome: result.Timeout}
}

// first is a packet that conntrack takes for the beginning of something: of SCTP only an INIT with the right checksum
// (RFC 9260).
func first(protocol string) []byte {
	if protocol != "132" {
		return make([]byte, 16)
	}
	packet := []byte{0x9c, 0x40, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 20, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1}
	binary.LittleEndian.PutUint32(packet[8:], crc32.Checksum(packet, crc32.MakeTable(crc32.Castagnoli)))
	return packet
}

// arrived is how many packets of an act's kind came to its destination in the internet.
func (w *world) arrived(a act) uint64 {
	words := strings.Fields(string(a))
	protocol, text := words[0], words[len(words)-1]
	if to, err := netip.ParseAddrPort(text); err == nil {
		return w.ArrivedAt(protocol, to)
	}
	to := netip.MustParseAddr(text)
	switch {
	case protocol == "raw":
		protocol = words[1]
	case to.Is6():
		protocol = "58"
	default:
		protocol = "1"
	}
	flows, err := w.Flows()
	if err != nil {
		panic(err) // 0 would say that nothing leaked
	}
	var n uint64
	for _, f := range flows {
		if f.Destination == to && f.Protocol == protocol {
			n += f.Packets
		}
	}
	return n
}

// reaches fails unless each act succeeds within the time that names and events take.
func (b *box) reaches(t testing.TB, acts ...act) {
	t.Helper()
	each(acts, func(a act) {
		var r lab.Result
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if r = b.try(t.Context(), a); r.Outcome == result.OK {
				return
			}
		}
		t.Errorf("%s: %s %s", a, r.Outcome, r.Error)
	})
}

// isKeptFrom fails if an act succeeds or if one packet of it arrives.
func (b *box) isKeptFrom(t *testing.T, acts ...act) {
	t.Helper()
	each(acts, func(a act) {
		before := b.w.arrived(a)
		r := b.try(t.Context(), a)
		if r.Outcome == result.OK || r.Outcome == result.Failed {
			t.Errorf("%s: %s %s", a, r.Outcome, r.Error)
		}
		if n := b.w.arrived(a) - before; n > 0 {
			t.Errorf("%s: %d packets arrived", a, n)
		}
	})
}

func each(acts []act, do func(act)) {
	var all sync.WaitGroup
	for _, a := range acts {
		all.Go(func() { do(a) })
	}
	all.Wait()
}

// ear listens in a namespace, on tcp and udp, and counts what it hears. It answers udp and closes what it accepts.
type ear struct {
	heard atomic.Int64
	port  string
}

func listen(t *testing.T, ns *lab.Namespace, port int) *ear {
	t.Helper()
	e := &ear{port: strconv.Itoa(port)}
	tcp, err := ns.Listen(":" + e.port)
	if err != nil {
		t.Fatal(err)
	}
	udp, err := ns.ListenPacket("udp", ":"+e.port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = tcp.Close(), udp.Close() })
	go e.accept(tcp)
	go e.answer(udp)
	return e
}

func (e *ear) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		e.heard.Add(1)
		go func() { _, _ = io.Copy(conn, conn); _ = conn.Close() }()
	}
}

func (e *ear) answer(conn net.PacketConn) {
	buf := make([]byte, 65536)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		e.heard.Add(1)
		_, _ = conn.WriteTo(buf[:n], from)
	}
}

// at are the acts that this ear would hear at an address.
func (e *ear) at(addrs ...string) (acts []act) {
	for _, a := range addrs {
		to := net.JoinHostPort(a, e.port)
		acts = append(acts, act("tcp "+to), act("udp "+to))
	}
	return acts
}

// settled is what ears have heard once they hear no more: a connection stands before it is accepted.
func settled(ears ...*ear) int64 {
	total := func() (n int64) {
		for _, e := range ears {
			n += e.heard.Load()
		}
		return n
	}
	last := total()
	for quiet := 0; quiet < 20; {
		time.Sleep(10 * time.Millisecond)
		if now := total(); now != last {
			last, quiet = now, 0
			continue
		}
		quiet++
	}
	return last
}

// hearsNothing fails if the ear heard anything while do ran.
func (e *ear) hearsNothing(t *testing.T, do func()) {
	t.Helper()
	before := settled(e)
	do()
	if n := settled(e) - before; n > 0 {
		t.Errorf("port %s heard %d", e.port, n)
	}
}

// find is a container that was started by other means.
func (w *world) find(t *testing.T, id string) *box {
	t.Helper()
	b := &box{Container: w.engine.Container(id), w: w}
	b.enter(t)
	return b
}
