package main

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

const (
	starts   = 20
	together = 3 // starts at a time
)

// starts runs n containers of the probe to their ends and returns what each did.
func (w *world) starts(t *testing.T, n int, spec func(i int) lab.RunSpec) []lab.Result {
	t.Helper()
	results := make([]lab.Result, n)
	var running errgroup.Group
	running.SetLimit(together)
	for i := range n {
		running.Go(func() (err error) {
			results[i], err = w.engine.RunProbe(t.Context(), spec(i))
			return err
		})
	}
	if err := running.Wait(); err != nil {
		t.Fatal(err)
	}
	return results
}

func TestNothingEscapesBeforeAContainersRulesStand(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	d := w.start(t)
	for _, c := range []struct {
		name, target string
		before       func()
	}{
		{"the daemon runs", "203.0.113.99", func() {}},
		{"the daemon was killed", "203.0.113.98", d.kill9},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.before()
			sent, began := 0, time.Now()
			for _, r := range w.starts(t, starts, func(i int) lab.RunSpec {
				network := []string{web, ""}[i%2] // br-*, which is fenced by its name alone, and docker0, which is not
				return lab.RunSpec{Network: network, Labels: map[string]string{"dockerwall.outbound": "203.0.113.1"}, Cmd: []string{"udp", c.target + ":9", "-count", "200"}}
			}) {
				sent += r.Sent
			}
			arrived := w.Arrived(netip.MustParseAddr(c.target))
			t.Logf("%d starts in %v: %d packets sent, %d arrived", starts, time.Since(began), sent, arrived)
			if sent != starts*200 || arrived != 0 {
				t.Errorf("%d sent, %d arrived", sent, arrived)
			}
		})
	}
	t.Run("without the table they arrive", func(t *testing.T) {
		w.host(t, w.binary, "nft", "flush")
		if _, err := w.engine.RunProbe(t.Context(), lab.RunSpec{Network: web, Cmd: []string{"udp", "203.0.113.97:9", "-count", "200"}}); err != nil {
			t.Fatal(err)
		}
		if n := w.Arrived(netip.MustParseAddr("203.0.113.97")); n != 200 {
			t.Errorf("%d arrived", n)
		}
	})
}

func TestAContainersFirstPacketIsNotLost(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.start(t)
	retransmits, failed, slowest := 0, 0, 0.0
	for _, r := range w.starts(t, 50, func(i int) lab.RunSpec {
		return lab.RunSpec{Network: web, Labels: map[string]string{"dockerwall.outbound": "203.0.113.0/24"}, Cmd: []string{"tcp", fmt.Sprintf("203.0.113.%d:80", i+1)}}
	}) {
		retransmits += r.Retransmits
		slowest = max(slowest, r.Milliseconds)
		if r.Outcome != result.OK {
			failed++
		}
	}
	t.Logf("50 starts: %d SYN retransmissions, %d failed, the slowest connection took %v ms", retransmits, failed, slowest)
	if retransmits != 0 || failed != 0 {
		t.Errorf("%d SYN retransmissions, %d failed", retransmits, failed)
	}
}

// TestTheFirstStartOfANewImageLosesNoPacket: which labels are the image's own is known by the time they are needed.
func TestTheFirstStartOfANewImageLosesNoPacket(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.start(t)
	for i := range 10 {
		image := fmt.Sprint("new-", i)
		if err := w.engine.ImportProbe(t.Context(), image, fmt.Sprintf("LABEL dockerwall.outbound=203.0.113.99 build=%d", i)); err != nil {
			t.Fatal(err)
		}
		own := lab.RunSpec{Image: image, Network: web, Labels: map[string]string{"dockerwall.outbound": "203.0.113.1"}, Cmd: []string{"tcp", "203.0.113.1:80"}}
		r, err := w.engine.RunProbe(t.Context(), own)
		if err != nil {
			t.Fatal(err)
		}
		if r.Retransmits != 0 || r.Outcome != result.OK {
			t.Errorf("image %d: %d SYN retransmissions, %s %s", i, r.Retransmits, r.Outcome, r.Error)
		}
	}
	if _, err := w.engine.RunProbe(t.Context(), lab.RunSpec{Image: "new-0", Network: web, Cmd: []string{"udp", "203.0.113.99:9", "-count", "200"}}); err != nil {
		t.Fatal(err)
	}
	if n := w.Arrived(netip.MustParseAddr("203.0.113.99")); n != 0 {
		t.Errorf("%d packets arrived that only the image allows", n)
	}
}
