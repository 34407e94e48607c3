package page

import (
	"fmt"
	"strconv"
	"time"

	"github.com/dockerwall/dockerwall/plain"
)

// How many bytes of a text of others are shown.
const (
	maxName     = 80
	maxDNS      = 253 // a whole name
	maxSentence = 300
	maxLabel    = 400
)

// clip is a text that others chose, cleaned, and cut with a mark.
func clip(s string, limit int) string {
	if len(s) > limit {
		return plain.Text(s, limit) + "…"
	}
	return plain.Text(s, limit)
}

// whole is a text to be copied, cleaned; "" when it is longer than limit, for half of it would mean something else.
func whole(s string, limit int) string {
	if len(s) > limit {
		return ""
	}
	return plain.Label(s)
}

// number is 1234567 as "1,234,567".
func number(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func plural(n uint64, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// size is bytes in decimal units: "1.2 MB".
func size(n uint64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n), 0
	for value >= 999.5 && unit < 6 {
		value /= 1000
		unit++
	}
	digits := 0
	if value < 9.95 {
		digits = 1
	}
	return strconv.FormatFloat(value, 'f', digits, 64) + " " + []string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}[unit]
}

// span is a duration in its largest unit: "51 s", "12 min", "3 h", "4 days". Less than nothing is "0 s".
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return "0 s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

func ago(t, now time.Time) string { return span(now.Sub(t)) + " ago" }

// clock is the time of day in UTC, with the date when it is not today's.
func clock(t, now time.Time) string {
	t, now = t.UTC(), now.UTC()
	if t.YearDay() != now.YearDay() || t.Year() != now.Year() {
		return t.Format("01-02 15:04")
	}
	return t.Format("15:04:05")
}
