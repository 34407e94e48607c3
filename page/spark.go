package page

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	bars      = 48 // half hours of a day
	barPitch  = 4  // in units of the drawing
	sparkHigh = 24
	sparkWide = bars * barPitch
)

// spark is a day's denials as a drawing: one stroke upwards for each half hour that had any.
type spark struct {
	Path  string // of SVG
	Text  string // the same in words
	Short string // and in few
}

// newSpark draws the last 48 of history, newest last; nil without any, which is not the same as none denied.
func newSpark(history []uint64) *spark {
	if len(history) == 0 {
		return nil
	}
	history = history[max(0, len(history)-bars):]
	first := bars - len(history)
	highest, total := slices.Max(history), uint64(0)
	var path strings.Builder
	for i, n := range history {
		total += n
		if n == 0 {
			continue
		}
		high := 2 + int(float64(n)/float64(highest)*(sparkHigh-3))
		fmt.Fprintf(&path, "M%d %dv-%d", (first+i)*barPitch+barPitch/2, sparkHigh, high)
	}
	text, short := "none denied in the last 24 h", "none"
	if total > 0 {
		back := time.Duration(len(history)-slices.Index(history, highest)) * 30 * time.Minute
		text = fmt.Sprintf("%s denied in the last 24 h, most (%s) within half an hour, from %s ago", number(total), number(highest), span(back))
		short = number(total) + ", at most " + number(highest)
	}
	return &spark{path.String(), text, short}
}
