package nft

import (
	"errors"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestCountersAreWholeDuringCommits reads them while containers come and go: those that stay are there each time, once.
// Without a look at the generation one of the first few dozen readings is not so.
func TestCountersAreWholeDuringCommits(t *testing.T) {
	const coming = 40
	k, r := open(t, namespace(t)), fleet(500)
	apply(t, k, r)
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 0; ; i = (i + 1) % coming {
			select {
			case <-stop:
				ended <- nil
				return
			default:
			}
			without := r
			without.Containers = slices.Delete(slices.Clone(r.Containers), i, i+1)
			for _, next := range []Ruleset{without, r} {
				if _, err := k.Apply(next); err != nil {
					ended <- err
					return
				}
			}
		}
	}()
	readings, changing := 0, 0
	for start := time.Now(); time.Since(start) < 2*time.Second || readings < 20; {
		c, err := k.Counters()
		if errors.Is(err, ErrChanging) {
			changing++
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		readings++
		times := map[string]int{}
		for _, p := range c.Parts {
			times[p.Name]++
		}
		for _, stays := range r.Containers[coming:] {
			if n := times[chainOf(stays.ID)+"_drop"]; n != 1 {
				t.Fatalf("reading %d has the counter of %s %d times", readings, stays.ID, n)
			}
		}
	}
	close(stop)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	t.Logf("%d readings; %d times nf_tables changed too often", readings, changing)
}

// TestCountersOfNoTableSayThatThereIsNone so that a status knows.
func TestCountersOfNoTableSayThatThereIsNone(t *testing.T) {
	k := open(t, namespace(t))
	if _, err := k.Counters(); !errors.Is(err, unix.ENOENT) {
		t.Errorf("the error is %v", err)
	}
}
