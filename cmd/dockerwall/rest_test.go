package main

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestMemoryIsGivenBackWhenNothingGoesOn(t *testing.T) {
	const live = 80 << 20
	tests := map[string]struct {
		every, runs time.Duration // 6 MB are made, and the loop runs, this often for two minutes; 0 is never
		want        int
	}{
		"never where nothing is thrown away":        {0, 50 * time.Second, 0},
		"once an eighth of what lives was":          {25 * time.Second, 0, 2},
		"not while the loop runs, then once":        {time.Second, 3 * time.Second, 1},
		"between runs that are far from each other": {10 * time.Second, 50 * time.Second, 6},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var runs atomic.Int64
				var made atomic.Uint64
				given := 0
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go func() {
					_ = rest(ctx, restOptions{runs.Load, func() (uint64, uint64) { return made.Load(), live }, func() { given++ }})
				}()
				time.Sleep(time.Second / 2) // never at the moment it looks
				began := time.Now()
				for range 120 {
					time.Sleep(time.Second)
					since := time.Since(began)
					if tt.every > 0 && since%tt.every == 0 {
						made.Add(6 << 20)
					}
					if tt.runs > 0 && since%tt.runs == 0 {
						runs.Add(1)
					}
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				if given != tt.want {
					t.Errorf("given back %d times, want %d", given, tt.want)
				}
			})
		})
	}
}

func TestTheHeapIsKnown(t *testing.T) {
	made, live := heap()
	garbage := make([]byte, 8<<20)
	again, _ := heap()
	if again-made < uint64(len(garbage)) || again-made > 64<<20 || live > made {
		t.Errorf("%d and %d, then %d bytes made, %d live", made, live, again, live)
	}
}
