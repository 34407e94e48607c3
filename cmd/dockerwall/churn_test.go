package main

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

const (
	churned = 100 // starts and stops
	movers  = 2   // containers that are connected and disconnected meanwhile
)

// TestChurnLeaksNothingAndDeniesNothingWrongly starts containers with an address each that they may reach and one that
// they may not, while others change networks. What they send first, from their first moment on, tells.
func TestChurnLeaksNothingAndDeniesNothingWrongly(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	d := w.start(t)
	steady := w.labelled(t, "203.0.113.1")
	stream := steady.stream(t, "203.0.113.1:7")
	stop := w.churnNetworks(t)
	failed, late, sent := 0, 0, 0
	for i, r := range w.starts(t, churned, func(i int) lab.RunSpec {
		allowed := "198.18.1." + strconv.Itoa(i)
		return lab.RunSpec{Network: []string{web, other}[i%2], Labels: map[string]string{"dockerwall.outbound": allowed},
			Cmd: []string{"script", "udp 198.18.2." + strconv.Itoa(i) + ":9 -count 50", "tcp " + allowed + ":80"}}
	}) {
		if r.Outcome != result.OK {
			t.Errorf("container %d: %+v", i, r)
			failed++
		}
		late += r.Retransmits
		sent++
	}
	moves := stop()
	var leaked uint64
	flows, err := w.Flows()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range flows {
		if netip.MustParsePrefix("198.18.2.0/24").Contains(f.Destination) {
			leaked += f.Packets
		}
	}
	t.Logf("%d starts, %d moves: %d failed, %d SYN retransmissions, %d packets leaked", sent, moves, failed, late, leaked)
	if failed+late != 0 || leaked != 0 || moves < movers {
		t.Error("that is not what their labels say")
	}
	stream.flows(t)
	w.healthy(t, d)
	eventually(t, func() error {
		if diff, _ := w.command(t.Context(), "nft", "diff").Output(); len(diff) > 0 {
			return fmt.Errorf("the table is not what a fresh build is:\n%s", diff)
		}
		return nil
	})
}

// churnNetworks connects and disconnects containers until the function it returns is called, which tells how often.
// Each may go to one address and floods another from whatever network it has.
func (w *world) churnNetworks(t *testing.T) func() int {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running errgroup.Group
	var mu sync.Mutex
	moves := 0
	for i := range movers {
		b := w.run(t, lab.RunSpec{Network: web, Labels: map[string]string{"dockerwall.outbound": "203.0.113.2"}})
		flood := b.ns.Command(context.WithoutCancel(t.Context()), w.probe, "udp", "198.18.2."+strconv.Itoa(200+i)+":9", "-count", "1000000", "-rate", "500")
		if err := flood.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = flood.Process.Kill(); _ = flood.Wait() })
		running.Go(func() error {
			for ctx.Err() == nil {
				for _, act := range []string{"connect", "disconnect"} {
					if _, err := w.engine.CLI(t.Context(), "network", act, other, b.ID); err != nil {
						return err
					}
				}
				mu.Lock()
				moves++
				mu.Unlock()
			}
			return nil
		})
	}
	return func() int {
		cancel()
		if err := running.Wait(); err != nil {
			t.Error(err)
		}
		return moves
	}
}
