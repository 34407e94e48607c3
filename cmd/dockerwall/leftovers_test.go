package main

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/nft"
)

// TestLeftoversAreLookedForOnceAMinute however many ask, and also when nothing could be found out.
func TestLeftoversAreLookedForOnceAMinute(t *testing.T) {
	refused := errors.New("refused")
	for name, want := range map[string]error{"found": nil, "not found out": refused} {
		t.Run(name, func(t *testing.T) {
			var l leftovers
			looks, start := 0, time.Now()
			ask := func(after time.Duration) {
				left, err := l.at(start.Add(after), func() (nft.Leftovers, error) {
					looks++
					return nft.Leftovers{Chains: []string{"DOCKERWALL-DENY"}}, want
				})
				if left.Empty() || !errors.Is(err, want) {
					t.Errorf("%+v, %v", left, err)
				}
			}
			var all sync.WaitGroup
			for range 10 {
				all.Go(func() { ask(0) })
			}
			all.Wait()
			ask(lookAgain - 1)
			if looks != 1 {
				t.Errorf("looked %d times within a minute", looks)
			}
			ask(lookAgain)
			if looks != 2 {
				t.Errorf("looked %d times in the minute after", looks)
			}
		})
	}
}
