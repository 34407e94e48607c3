package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// resting is how long the loop has not run when memory is given back.
const resting = 5 * time.Second

// restOptions are what rest goes by.
type restOptions struct {
	runs func() int64               // of the loop, so far
	heap func() (made, live uint64) // bytes: allocated so far, and those in use at the last collection
	give func()
}

func (f *fence) restOptions() restOptions {
	return restOptions{f.noted.runs.Load, heap, debug.FreeOSMemory}
}

// rest gives memory back when nothing goes on and an eighth of what is in use was thrown away, or 4 MB: what a start, a
// listing and a reading of all counters leave behind would stay with us, half as much again as is in use. It costs a garbage
// collection, 20 ms of a core at 1,000 containers, where nothing happens twice or three times a minute.
func rest(ctx context.Context, o restOptions) error {
	var seen int64
	var given uint64 // what was made until then
	for sleep(ctx, resting) {
		runs := o.runs()
		made, live := o.heap()
		if runs == seen && made-given > max(live/8, 4<<20) {
			o.give()
			given = made
		}
		seen = runs
	}
	return nil
}

func heap() (made, live uint64) {
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64(), samples[1].Value.Uint64()
}
