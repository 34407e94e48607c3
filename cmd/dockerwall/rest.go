package main

import (
	"context"
	"time"
)

// resting is how long the loop has not run when memory is given back.
const resting = 5 * time.Second

// rest calls give, which is runtime/debug.FreeOSMemory, once after runs of the loop that nothing follows: what a start and
// each full listing leave behind would stay with us, as much as is in use and half as much again. It costs a garbage
// collection, 20 ms of a core at 1,000 containers; where nothing happens there is one a minute, for the loop lists that often.
func rest(ctx context.Context, runs func() int64, give func()) error {
	var seen, given int64
	for sleep(ctx, resting) {
		now := runs()
		if now == seen && now != given {
			give()
			given = now
		}
		seen = now
	}
	return nil
}
