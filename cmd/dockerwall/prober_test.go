package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// rate is how many datagrams and pings a line of a prober sends each second.
const rate = 250

// prober has containers send, all at once and without a pause, what must arrive and what must not, and counts exactly
// what did: on the internet's side, in the kernel. It is used as
//
//	p := w.prober(t)
//	p.allowed(b, "udp 203.0.113.1:6000", "echo 203.0.113.1:6001", "ping 203.0.113.2", "tcp 203.0.113.1:80", "stream 203.0.113.1:7")
//	p.denied(b, "udp 203.0.113.77:6000", "tcp 203.0.113.77:80")
//	p.control(free, "udp 203.0.113.5:6000") // of a container that nobody fences: what is lost of it the lab has lost
//	p.start()
//	… faults …
//	sum := p.stop()
//
// Each act is a line of its own: "udp" is datagrams that nobody answers, each of which is new to conntrack; "echo" are
// answered, one flow from the first on; "tcp" is one new connection after another; "stream" one connection, which talks.
// No two lines may share a destination.
type prober struct {
	t     *testing.T
	w     *world
	lines []*line

	cancel  context.CancelFunc
	running sync.WaitGroup
	hearing sync.WaitGroup
}

func (w *world) prober(t *testing.T) *prober {
	t.Helper()
	return &prober{t: t, w: w}
}

func (p *prober) allowed(b *box, acts ...act) { p.add(b, mustArrive, acts) }
func (p *prober) denied(b *box, acts ...act)  { p.add(b, mustNot, acts) }
func (p *prober) control(b *box, acts ...act) { p.add(b, notFenced, acts) }

func (p *prober) add(b *box, want want, acts []act) {
	for _, a := range acts {
		kind, to, _ := strings.Cut(string(a), " ")
		p.lines = append(p.lines, &line{box: b, act: a, kind: kind, to: to, want: want})
	}
}

// start sends on all lines, and returns once something of each that is to arrive has arrived.
func (p *prober) start() {
	p.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(p.t.Context()))
	p.cancel = cancel
	p.t.Cleanup(func() { p.end() })
	for _, l := range p.lines {
		l.began = l.arrived()
		if err := l.listen(&p.hearing); err != nil {
			p.t.Fatal(err)
		}
	}
	for _, l := range p.lines {
		p.running.Go(func() { l.failed = l.box.ns.Do(func() error { return l.send(ctx) }) })
	}
	for _, l := range p.lines {
		if l.want == mustNot {
			continue
		}
		eventually(p.t, func() error {
			if l.arrived() == l.began {
				return fmt.Errorf("nothing of %s has arrived", l.act)
			}
			return nil
		})
	}
}

// end stops all lines; it may be called twice.
func (p *prober) end() {
	p.cancel()
	p.running.Wait()
	for _, l := range p.lines {
		if l.ear != nil {
			_ = l.ear.Close()
		}
	}
	p.hearing.Wait()
}

// stop ends the lines, waits for what is under way, and sums up. The test fails where the lab itself lost something, or a
// line did not work.
func (p *prober) stop() sum {
	p.t.Helper()
	p.cancel()
	p.running.Wait()
	for end := time.Now().Add(moment); time.Now().Before(end) && p.missing() > 0; {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(moment / 4) // what must not arrive has no end to wait for
	p.end()
	s := sum{late: p.late()}
	for _, l := range p.lines {
		s.take(l)
		if l.failed != nil {
			p.t.Errorf("%s: %v", l.act, l.failed)
		}
	}
	if s.Strayed != 0 {
		p.t.Errorf("the lab itself lost %d packets: this measures nothing\n%s", s.Strayed, s)
	}
	return s
}

func (p *prober) missing() (n uint64) {
	for _, l := range p.lines {
		if l.want != mustNot {
			n += l.wrong()
		}
	}
	return n
}

// late says that the machine was too slow for TCP: connections that nobody fences had segments sent again. Then those of
// connections that are allowed say nothing.
func (p *prober) late() bool {
	return slices.ContainsFunc(p.lines, func(l *line) bool { return l.want == notFenced && l.tcp() && l.wrong() > 0 })
}

// sum is what a prober saw.
type sum struct {
	Sent    uint64 // datagrams, pings and connections
	Leaked  uint64 // packets that arrived and must not
	Lost    uint64 // packets that did not arrive and must, or had to be sent again
	Strayed uint64 // the same of lines that nobody fences
	late    bool   // connections do not count, see late
	lines   []*line
}

func (s *sum) take(l *line) {
	s.lines = append(s.lines, l)
	s.Sent += l.number()
	if s.late && l.tcp() && l.want != mustNot {
		return
	}
	*map[want]*uint64{mustArrive: &s.Lost, mustNot: &s.Leaked, notFenced: &s.Strayed}[l.want] += l.wrong()
}

// String has one line for each of the prober's.
func (s sum) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d sent, %d leaked, %d wrongly lost, %d lost by the lab\n", s.Sent, s.Leaked, s.Lost, s.Strayed)
	if s.late {
		b.WriteString("  the machine was too slow for TCP: connections that are allowed were not judged\n")
	}
	for _, l := range s.lines {
		fmt.Fprintf(&b, "  %-9s %-36s %7d sent, %d wrong\n", l.want, l.act, l.number(), l.wrong())
	}
	return b.String()
}

// mended is for how long, between a fault and the next, datagrams leaked or were lost wrongly: from the first one to the last,
// 0 where there was none. What made the fault, a program that had to be started, does not count.
func (s sum) mended(fault, next time.Time) time.Duration {
	var first, last time.Time
	for _, l := range s.lines {
		for i, at := range l.sent {
			if l.want == notFenced || l.heard[uint32(i)] == (l.want == mustArrive) || at.Before(fault) || at.After(next) {
				continue
			}
			if first.IsZero() || at.Before(first) {
				first = at
			}
			if at.After(last) {
				last = at
			}
		}
	}
	if last.IsZero() {
		return 0
	}
	return last.Sub(first) + time.Second/rate
}

// repaired are the times of mended for faults that came at these moments.
func (s sum) repaired(faults []time.Time) (out []time.Duration) {
	for i, at := range faults {
		next := time.Now()
		if i+1 < len(faults) {
			next = faults[i+1]
		}
		out = append(out, s.mended(at, next))
	}
	return out
}

// plus is what two probers saw.
func (s sum) plus(o sum) sum {
	return sum{s.Sent + o.Sent, s.Leaked + o.Leaked, s.Lost + o.Lost, s.Strayed + o.Strayed, s.late || o.late, append(slices.Clone(s.lines), o.lines...)}
}

// clean fails the test unless nothing leaked and nothing was lost.
func (s sum) clean(t *testing.T) {
	t.Helper()
	if s.Leaked != 0 || s.Lost != 0 {
		t.Error(s)
	}
}

// goesOn waits until each line has sent so many more.
func (p *prober) goesOn(n uint64) {
	p.t.Helper()
	began := map[*line]uint64{}
	for _, l := range p.lines {
		began[l] = l.number()
	}
	eventually(p.t, func() error {
		for _, l := range p.lines {
			if l.number() < began[l]+n {
				return fmt.Errorf("%s: %d so far", l.act, l.number())
			}
		}
		return nil
	})
}

// closes waits until no denied datagram arrives any more, though they go on being sent.
func (p *prober) closes() {
	p.t.Helper()
	leaked := func() (n uint64) {
		for _, l := range p.lines {
			if l.want == mustNot {
				n += l.hears.Load()
			}
		}
		return n
	}
	eventually(p.t, func() error {
		before := leaked()
		p.goesOn(10)
		if n := leaked() - before; n > 0 {
			return fmt.Errorf("denied datagrams go on arriving: %d meanwhile", n)
		}
		return nil
	})
}
