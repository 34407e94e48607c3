package droplog

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/packet"
)

var (
	web    = Prefix{"c_3f2a91b0c4d5", "denied", "drop"}
	victim = Prefix{"c_00000000beef", "denied", "drop"}
	epoch  = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
)

// udpTo is a packet to the nth destination.
func udpTo(n int) Drop {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], 0xc6336400+uint32(n)) // 198.51.100.0 and up
	return Drop{Packet: packet.Packet{Src: src4, Dst: netip.AddrFrom4(a), Proto: packet.ProtoUDP, DstPort: 53}}
}

// counts adds up lines by kind, and their counts.
func counts(lines []line) (first, again, suppressed int, packets uint64) {
	for _, l := range lines {
		switch l.kind {
		case lineFirst:
			first++
		case lineAgain:
			again++
		case lineSuppressed:
			suppressed++
		}
		packets += l.count
	}
	return first, again, suppressed, packets
}

func wantLines(t *testing.T, what string, lines []line, first, again, suppressed int, packets uint64) {
	t.Helper()
	f, a, s, p := counts(lines)
	if f != first || a != again || s != suppressed || p != packets {
		t.Errorf("%s: %d first, %d again, %d suppressed, %d packets; want %d, %d, %d, %d",
			what, f, a, s, p, first, again, suppressed, packets)
	}
}

func TestRepeatsAreOneLineAMinute(t *testing.T) {
	a, now := newAggregate(), epoch
	a.observe(web, udpTo(1), now)
	wantLines(t, "first packet", a.take(), 1, 0, 0, 1)
	for range 14 {
		now = now.Add(time.Second)
		a.observe(web, udpTo(1), now)
		a.sweep(now)
	}
	wantLines(t, "within the minute", a.take(), 0, 0, 0, 0)
	a.sweep(epoch.Add(repeatEvery))
	wantLines(t, "after the minute", a.take(), 0, 1, 0, 14)
	a.sweep(epoch.Add(2 * repeatEvery))
	wantLines(t, "nothing more came", a.take(), 0, 0, 0, 0)
}

func TestEachDestinationPortProtocolAndReasonIsItsOwnLine(t *testing.T) {
	a := newAggregate()
	other := func(change func(*Drop)) Drop { d := udpTo(1); change(&d); return d }
	a.observe(web, udpTo(1), epoch)
	a.observe(web, other(func(d *Drop) { d.DstPort++ }), epoch)
	a.observe(web, other(func(d *Drop) { d.Proto = packet.ProtoTCP }), epoch)
	a.observe(Prefix{web.Chain, "stray", "drop"}, udpTo(1), epoch)
	a.observe(victim, udpTo(1), epoch)
	a.observe(web, udpTo(2), epoch)
	a.observe(web, other(func(d *Drop) { d.SrcPort = 77 }), epoch) // not a destination
	wantLines(t, "six and a repeat", a.take(), 6, 0, 0, 6)
}

func TestAFloodIsBoundedAndSilencesNobodyElse(t *testing.T) {
	a, now, sent := newAggregate(), epoch, uint64(0)
	var lines []line
	for second := range 600 {
		now = epoch.Add(time.Duration(second) * time.Second)
		for n := range 1000 {
			a.observe(web, udpTo(second*1000+n), now)
			sent++
		}
		if second%sweepSeconds == 0 {
			a.sweep(now)
		}
		lines = append(lines, a.take()...)
		a.observe(victim, udpTo(second), now)
		if f, _, _, _ := counts(a.take()); f != 1 {
			t.Fatalf("second %d: the other container's denial got %d lines", second, f)
		}
	}
	first, again, suppressed, _ := counts(lines)
	// Each minute: the burst and what came back while it was spent, then one line.
	if total := first + again + suppressed; total > 10*(lineBurst+lineRate+2) || suppressed < 9 {
		t.Errorf("%d first, %d again, %d suppressed lines in ten minutes", first, again, suppressed)
	}
	a.finish(now)
	lines = append(lines, a.take()...)
	var told uint64
	for _, l := range lines {
		if l.prefix == web {
			told += l.count
		}
	}
	if told != sent {
		t.Errorf("lines tell of %d packets of %d", told, sent)
	}
}

const sweepSeconds = int(sweepEvery / time.Second)

func TestMemoryIsBounded(t *testing.T) {
	a, now := newAggregate(), epoch
	for c := range 40 {
		p := Prefix{fmt.Sprintf("c_%012x", c), "denied", "drop"}
		for n := range 3 * maxSubjectKeys {
			now = now.Add(time.Second / lineRate) // slow enough never to be muted
			a.observe(p, udpTo(n), now)
			if got := len(a.subjects[p.Chain].entries); got > maxSubjectKeys {
				t.Fatalf("container %d: %d destinations kept", c, got)
			}
		}
		if a.recent.Len() > maxKeys {
			t.Fatalf("%d destinations kept", a.recent.Len())
		}
		if _, _, s, _ := counts(a.take()); s != 0 {
			t.Fatalf("container %d: suppressed", c)
		}
	}
	a.sweep(now.Add(forgetAfter))
	if a.recent.Len() != 0 || len(a.subjects) != 0 {
		t.Errorf("idle: %d destinations, %d containers kept", a.recent.Len(), len(a.subjects))
	}
}

func TestTheLeastRecentlySeenDestinationGoesFirst(t *testing.T) {
	a, now := newAggregate(), epoch
	for n := range maxSubjectKeys {
		now = now.Add(time.Second)
		a.observe(web, udpTo(n), now)
	}
	a.observe(web, udpTo(0), now) // seen again: number 1 is now the oldest
	now = now.Add(time.Second)
	a.observe(web, udpTo(maxSubjectKeys), now)
	a.take()
	now = now.Add(time.Second)
	a.observe(web, udpTo(0), now)
	wantLines(t, "kept", a.take(), 0, 0, 0, 0)
	a.observe(web, udpTo(1), now)
	wantLines(t, "evicted, so a first again", a.take(), 1, 0, 0, 1)
}

func TestRepeatsOfAnEvictedDestinationAreTold(t *testing.T) {
	a, now := newAggregate(), epoch
	for range 6 {
		a.observe(web, udpTo(0), now)
	}
	for n := range maxSubjectKeys {
		now = now.Add(time.Second)
		a.observe(web, udpTo(n+1), now)
	}
	wantLines(t, "all first, five repeats", a.take(), maxSubjectKeys+1, 1, 0, maxSubjectKeys+6)
}

func TestRepeatsLeaveLinesToFirstPackets(t *testing.T) {
	a, now := newAggregate(), epoch
	for n := range 10 * lineBurst {
		now = now.Add(time.Second)
		a.observe(web, udpTo(n), now)
		a.observe(web, udpTo(n), now)
	}
	a.take()
	now = now.Add(repeatEvery)
	a.sweep(now)
	wantLines(t, "repeats", a.take(), 0, lineBurst/2, 0, lineBurst/2)
	for n := range lineBurst / 2 {
		a.observe(web, udpTo(-1-n), now)
	}
	wantLines(t, "first packets", a.take(), lineBurst/2, 0, 0, lineBurst/2)
}

func TestSourcesNobodyKnowsAreLimitedPerInterface(t *testing.T) {
	a := newAggregate()
	unknown := Prefix{NoChain, "unknown", "drop"}
	on := func(bridge string, n int) Drop { d := udpTo(n); d.In = bridge; return d }
	for n := range 1000 {
		a.observe(unknown, on("br-loud", n), epoch)
	}
	a.take()
	a.observe(unknown, on("br-quiet", 5000), epoch)
	wantLines(t, "another bridge", a.take(), 1, 0, 0, 1)
}

// TestEveryPacketIsToldOnce: whatever comes when, the counts of the lines add up.
func TestEveryPacketIsToldOnce(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		a, now, sent := newAggregate(), epoch, uint64(0)
		var lines []line
		destinations := 1 + r.IntN(3000)
		for range 5000 {
			p := Prefix{fmt.Sprintf("c_%012x", r.IntN(3)), "denied", "drop"}
			a.observe(p, udpTo(r.IntN(destinations)), now)
			sent++
			now = now.Add(time.Duration(r.IntN(500)) * time.Millisecond)
			if r.IntN(100) == 0 {
				now = now.Add(time.Duration(r.IntN(7000)) * time.Second)
				a.sweep(now)
			}
			lines = append(lines, a.take()...)
		}
		a.finish(now)
		lines = append(lines, a.take()...)
		if _, _, _, told := counts(lines); told != sent {
			t.Errorf("seed %d: lines tell of %d packets of %d", seed, told, sent)
		}
	}
}
