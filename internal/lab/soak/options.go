package main

import (
	"errors"
	"time"
)

// options say how long and how often.
type options struct {
	length time.Duration // of the load
	every  time.Duration // between samples
}

const (
	// lasting is longer than what was learned lives at least, and than what is bounded takes to fill up: from then on as much
	// goes as comes.
	lasting = 12 * time.Minute
	// long is the shortest load of which that is a part.
	long = 30 * time.Minute
)

func (o options) check() error {
	if o.length < 5*time.Second || o.length > 7*24*time.Hour || o.every < 100*time.Millisecond || o.every > o.length/5 {
		return errors.New("-for is from 5s to 168h, -every from 100ms to a fifth of it")
	}
	return nil
}

// warmUp is how long samples say nothing yet: what is bounded fills up.
func (o options) warmUp() time.Duration {
	if o.length >= long {
		return lasting
	}
	return o.length / 3
}

// pool is how many of something there are, after which the first comes again: in a short load all of them come while it
// warms up, at some of them a second.
func (o options) pool(most, perSecond int) int {
	return max(1, min(most, int(o.warmUp().Seconds())*perSecond*3/4))
}
