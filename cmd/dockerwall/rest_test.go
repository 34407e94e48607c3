package main

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestMemoryIsGivenBackOnceNothingGoesOn(t *testing.T) {
	tests := map[string]struct {
		every time.Duration // between runs of the loop, in the first two minutes; 0 is none
		want  int
	}{
		"never before there was a run":                {0, 0},
		"once after each run of a quiet minute":       {50 * time.Second, 2},
		"not while runs follow each other, then once": {3 * time.Second, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var runs atomic.Int64
				given := 0
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go func() { _ = rest(ctx, runs.Load, func() { given++ }) }()
				for end := time.Now().Add(2 * time.Minute); tt.every > 0 && time.Now().Add(tt.every).Before(end); {
					time.Sleep(tt.every)
					runs.Add(1)
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
