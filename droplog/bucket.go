package droplog

import "time"

// bucket limits one container's lines: burst at once, then rate a second. The zero value is full.
type bucket struct {
	spent float64 // tokens taken and not yet come back
	at    time.Time
}

// take takes a token if more than reserve are there.
func (b *bucket) take(now time.Time, reserve float64) bool {
	b.refill(now)
	if lineBurst-b.spent < reserve+1 {
		return false
	}
	b.spent++
	return true
}

func (b *bucket) full(now time.Time) bool {
	b.refill(now)
	return b.spent == 0
}

func (b *bucket) refill(now time.Time) {
	if back := now.Sub(b.at).Seconds() * lineRate; back > 0 {
		b.spent = max(0, b.spent-back)
		b.at = now
	}
}
