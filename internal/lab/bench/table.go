package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/dockerwall/dockerwall/internal/lab/pair"
)

// String is the report for people: Markdown, so that it can go into a page as it is.
func (r report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Linux %s, %d CPUs, %s; medians of %d rounds, (least to most) of them; load %s before, %s after\n\n",
		r.Machine.Kernel, r.Machine.CPUs, r.Machine.Go, r.Rounds, r.LoadBefore, r.LoadAfter)
	rows := [][]string{{"Ratio", "Case", "N", "dockerwall", "Beside it", "Budget", ""}}
	for _, f := range r.Figures {
		rows = append(rows, []string{ratioOf(f), f.Case, sizeOf(f), spread(f.Ours, f.Unit), besideOf(f), budgetOf(f), verdictOf(f)})
	}
	b.WriteString(markdown(rows))
	if growths := r.growths(); len(growths) > 1 {
		b.WriteString("\nHow costs grow with N: the exponent k of cost ~ N^k, of the line through the logarithms.\n\n" + markdown(growths))
	}
	return b.String()
}

func ratioOf(f pair.Figure) string {
	ratios := f.Ratios()
	if len(ratios) == 0 {
		return "-"
	}
	return spread(ratios, "")
}

func sizeOf(f pair.Figure) string {
	if f.N == 0 {
		return ""
	}
	return strconv.Itoa(f.N)
}

func besideOf(f pair.Figure) string {
	if f.Beside == "" {
		return ""
	}
	return f.Beside + ": " + spread(f.Theirs, f.Unit)
}

// spread is the median, with the least and the most where there are several samples.
func spread(s pair.Samples, unit string) string {
	if len(s) == 0 {
		return "-"
	}
	text := strings.TrimSpace(short(s.Median()) + " " + unit)
	if len(s) > 1 {
		text += fmt.Sprintf(" (%s to %s)", short(slices.Min(s)), short(slices.Max(s)))
	}
	return text
}

// short has three digits that count.
func short(f float64) string {
	if f >= 100 || f <= -100 {
		return strconv.FormatFloat(f, 'f', 0, 64)
	}
	return strconv.FormatFloat(f, 'g', 3, 64)
}

func budgetOf(f pair.Figure) string {
	sign := "<="
	if f.More {
		sign = ">="
	}
	var parts []string
	if f.MaxRatio != 0 {
		parts = append(parts, fmt.Sprintf("ratio %s %s", sign, short(f.MaxRatio)))
	}
	if f.Max != 0 {
		text := fmt.Sprintf("%s %s %s", sign, short(f.Max), f.Unit)
		if f.P95 {
			text += fmt.Sprintf(" p95: it is %s", short(f.Ours.Quantile(0.95)))
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

func verdictOf(f pair.Figure) string {
	switch {
	case f.MaxRatio == 0 && f.Max == 0:
		return ""
	case f.Met():
		return "met"
	}
	return "MISSED"
}

// growths are rows of how costs grow.
func (r report) growths() [][]string {
	rows := [][]string{{"Case", "From N to N", "k", "k beside it"}}
	var done []string
	for _, f := range r.Figures {
		if slices.Contains(done, f.Case) {
			continue
		}
		done = append(done, f.Case)
		var same []pair.Figure
		for _, g := range r.Figures {
			if g.Case == f.Case && g.N > 0 && !g.More {
				same = append(same, g)
			}
		}
		if len(same) < 3 {
			continue
		}
		slices.SortFunc(same, func(a, b pair.Figure) int { return a.N - b.N })
		rows = append(rows, []string{f.Case, fmt.Sprintf("%d to %d", same[0].N, same[len(same)-1].N),
			exponent(same, func(f pair.Figure) pair.Samples { return f.Ours }), exponent(same, func(f pair.Figure) pair.Samples { return f.Theirs })})
	}
	return rows
}

// exponent is the slope of the line through the logarithms of N and of the medians, by least squares.
func exponent(figures []pair.Figure, of func(pair.Figure) pair.Samples) string {
	var n, sumX, sumY, sumXX, sumXY float64
	for _, f := range figures {
		value := of(f).Median()
		if value <= 0 {
			return "-"
		}
		x, y := math.Log(float64(f.N)), math.Log(value)
		n, sumX, sumY, sumXX, sumXY = n+1, sumX+x, sumY+y, sumXX+x*x, sumXY+x*y
	}
	return strconv.FormatFloat((n*sumXY-sumX*sumY)/(n*sumXX-sumX*sumX), 'f', 2, 64)
}

// compare shows the cases that two runs have, the ratio of new to old first.
func compare(old, now report) string {
	rows := [][]string{{"New to old", "Case", "N", "Old", "New", "Ratio beside, old", "new"}}
	for _, f := range now.Figures {
		i := find(old.Figures, f)
		if i < 0 || old.Figures[i].Ours.Median() == 0 {
			continue
		}
		before := old.Figures[i]
		rows = append(rows, []string{short(f.Ours.Median() / before.Ours.Median()), f.Case, sizeOf(f), spread(before.Ours, f.Unit), spread(f.Ours, f.Unit), ratioOf(before), ratioOf(f)})
	}
	return fmt.Sprintf("old: Linux %s, load %s; new: Linux %s, load %s. Two runs: trust the ratios beside more than the times.\n\n",
		old.Machine.Kernel, old.LoadBefore, now.Machine.Kernel, now.LoadBefore) + markdown(rows)
}

// markdown is a table whose columns also stand below each other as text.
func markdown(rows [][]string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 1, ' ', 0)
	for i, row := range rows {
		fmt.Fprintf(w, "| %s\t|\n", strings.Join(row, "\t| "))
		if i == 0 {
			fmt.Fprintf(w, "|%s---\t|\n", strings.Repeat("---\t|", len(row)-1))
		}
	}
	_ = w.Flush() // to memory
	return b.String()
}
