package main

import (
	"errors"
	"time"
)

// crowd is a number for each number of contacts that are made at once.
type crowd map[int]int

// crowds are the numbers of contacts at once.
func crowds() []int { return []int{1, 50} }

// sizes are how much is measured.
type sizes struct {
	rounds int
	count  int   // names of a latency run at 1 at once
	denied crowd // first contacts of the way that allows none, in all: each waits for its timeout
}

func (s sizes) check() error {
	if s.rounds < 1 || s.rounds > 100 || s.count < 2 || s.count > 10000 {
		return errors.New("-rounds is from 1 to 100, -count from 2 to 10000")
	}
	return nil
}

// latency is how many names one run resolves to see how long that takes.
func (s sizes) latency(atOnce int) int {
	if atOnce == 1 {
		return s.count
	}
	return s.count * 5 / 2
}

// loss is how many first contacts are made in a round to see which lose their first packet. Lost ones take a second
// each.
func (s sizes) loss(w way, atOnce, round int) int {
	if w.denies {
		if round > 0 {
			return 0
		}
		return s.denied[atOnce]
	}
	total := s.count / 2
	if atOnce > 1 {
		total = s.count * 5 / 2
	}
	return total*(round+1)/s.rounds - total*round/s.rounds
}

// patience is how long all of it may take: the lab, each round, and first contacts at 1 at once that are all lost.
func (s sizes) patience() time.Duration {
	return 2*time.Minute + time.Duration(s.rounds)*time.Minute + time.Duration(s.count)*time.Second
}
