package main

import (
	"sync"
	"time"

	"github.com/dockerwall/dockerwall/nft"
)

// lookAgain is how old what was found of the old program may be: it changes by hand only, and each scrape and status asks.
const lookAgain = time.Minute

// leftovers are what was found of the old program. The zero value has not looked yet.
type leftovers struct {
	mu   sync.Mutex
	next time.Time // when to look again
	last nft.Leftovers
	err  error
}

// at is what was found at most a minute before now. Who comes while another looks waits for it.
func (l *leftovers) at(now time.Time, look func() (nft.Leftovers, error)) (nft.Leftovers, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !now.Before(l.next) {
		l.last, l.err = look()
		l.next = now.Add(lookAgain)
	}
	return l.last, l.err
}
