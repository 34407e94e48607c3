// Package pair measures things side by side: a round takes each once, one after the other, in an order that changes from
// round to round, and what is compared is the ratio within a round. So what the machine does besides falls on both.
package pair

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
)

// Figure is what was measured of one case at one size.
type Figure struct {
	Case string  `json:"case"`           // "first commit"
	N    int     `json:"n,omitempty"`    // what it is a case of, such as containers; 0 where there is no size
	Unit string  `json:"unit"`           // of Ours and Theirs: "ms"
	Ours Samples `json:"ours"`           // one a round
	More bool    `json:"more,omitempty"` // more is better

	Beside string  `json:"beside,omitempty"` // what Theirs are of: "nft -f"; "" compares with nothing
	Theirs Samples `json:"theirs,omitempty"` // one a round

	// The budget of DESIGN.md section 10; 0 is none. MaxRatio is of Ours to Theirs, Max of Ours; where More is better they
	// are the least.
	MaxRatio float64 `json:"max_ratio,omitempty"`
	Max      float64 `json:"max,omitempty"`
	P95      bool    `json:"p95,omitempty"` // Max is of the 95th percentile, not of the median
}

// Samples are values of one thing, one a round.
type Samples []float64

// Quantile is the value below which a share of the samples lies, the nearest one; 0 of none.
func (s Samples) Quantile(q float64) float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// Median is the middle sample, or the middle of the middle two; 0 of none.
func (s Samples) Median() float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// Ratios are those of Ours to Theirs, round by round; nil without Theirs.
func (f Figure) Ratios() Samples {
	out := make(Samples, 0, len(f.Theirs))
	for i, theirs := range f.Theirs {
		if i < len(f.Ours) && theirs != 0 {
			out = append(out, f.Ours[i]/theirs)
		}
	}
	return out
}

// Met says whether the figure keeps its budget; true where there is none.
func (f Figure) Met() bool {
	keeps := func(value, budget float64) bool {
		return budget == 0 || !f.More && value <= budget || f.More && value >= budget
	}
	value := f.Ours.Median()
	if f.P95 {
		value = f.Ours.Quantile(0.95)
	}
	return keeps(value, f.Max) && (f.MaxRatio == 0 || len(f.Theirs) > 0 && keeps(f.Ratios().Median(), f.MaxRatio))
}

// RoundsVariable says how many rounds are measured; five where it is not set.
const RoundsVariable = "DOCKERWALL_BENCH_ROUNDS"

// Rounds calls each of the ways once a round; the one that was first is last in the next.
func Rounds(ways ...func(round int)) {
	n, err := strconv.Atoi(os.Getenv(RoundsVariable))
	if err != nil || n < 1 {
		n = 5
	}
	for round := range n {
		for i := range ways {
			ways[(round+i)%len(ways)](round)
		}
	}
}

// FileVariable names the file that [Figure.Report] also writes to, a JSON object a line.
const FileVariable = "DOCKERWALL_BENCH_FILE"

// Report gives the medians to a benchmark, and all of the figure to the file that the variable names.
func (f Figure) Report(b *testing.B) {
	b.Helper()
	b.ReportMetric(0, "ns/op") // of all ways together, and so of no use
	b.ReportMetric(f.Ours.Median(), f.Unit)
	if len(f.Theirs) > 0 {
		b.ReportMetric(f.Theirs.Median(), f.Unit+"-beside")
		b.ReportMetric(f.Ratios().Median(), "ratio")
	}
	if path := os.Getenv(FileVariable); path != "" {
		if err := f.write(path); err != nil {
			b.Fatal(err)
		}
	}
}

func (f Figure) write(path string) error {
	line, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Case, err)
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := file.Write(append(line, '\n')); err != nil {
		_ = file.Close()
		return err
	}
	return file.Close()
}
