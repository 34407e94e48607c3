package main

import (
	"slices"
)

// line says how something that is sampled is shown, and how much it may grow.
type line struct {
	of    string
	title string
	unit  float64 // that it is shown in
	rate  bool    // it is a total: shown and judged by how much is added a second
	free  bool    // it follows the load: shown only

	share, most float64 // it may grow by this part of its start, or by so much if that is more
	young       float64 // and by so much more while it was judged for less than ten minutes: heaps and files settle
}

const (
	kib = 1 << 10
	mib = 1 << 20
)

func lines() []line {
	return []line{
		{of: "rss", title: "resident memory, MiB", unit: mib, share: 0.1, most: 4 * mib, young: 24 * mib},
		{of: "heap", title: "heap at which Go collects, MiB", unit: mib, share: 0.1, most: 4 * mib, young: 24 * mib},
		{of: "fds", title: "file descriptors", unit: 1, most: 6, young: 10},
		{of: "goroutines", title: "goroutines", unit: 1, most: 10, young: 20},
		{of: "threads", title: "threads", unit: 1, most: 4, young: 8},
		{of: "elements", title: "elements of kernel sets", unit: 1, share: 0.1, most: 100, young: 500},
		{of: "objects", title: "sets, chains, rules, counters", unit: 1, share: 0.1, most: 60, young: 100},
		{of: "table", title: "listing of the tables, KiB", unit: kib, share: 0.1, most: 20 * kib, young: 200 * kib},
		{of: "scrape", title: "a scrape, KiB", unit: kib, share: 0.1, most: 10 * kib, young: 200 * kib},
		{of: "state", title: "state directory, KiB", unit: kib, share: 0.1, most: 64 * kib, young: mib},
		{of: "log", title: "log, bytes/s", unit: 1, rate: true, share: 0.5, most: 1000, young: 4000},
		{of: "decisions", title: "decision log, KiB/s", unit: kib, rate: true, free: true},
		{of: "cpu", title: "CPU, cores", unit: 1, rate: true, share: 0.3, most: 0.1, young: 0.5},
		{of: "late", title: "DNS answers that went on uncommitted, /s", unit: 1, rate: true, free: true},
		{of: "conntrack", title: "conntrack entries of the host", unit: 1, free: true},
	}
}

// row is a line of the table: medians of the first and the last fifth after the warm-up, and what was made of all.
type row struct {
	Title      string
	Start, End float64
	Max        float64
	Growth     float64 // of the line through all samples, over their time
	Allowed    float64 // growth; 0 with Free
	Free       bool
}

// grows says that it is not flat.
func (r row) grows() bool { return !r.Free && r.Growth > r.Allowed }

// point is a value at a time in seconds.
type point struct{ at, value float64 }

// judge makes a row of each line.
func judge(r report) (rows []row) {
	for _, l := range lines() {
		points := l.points(r.Samples)
		points = slices.DeleteFunc(points, func(p point) bool { return p.at < r.WarmUp })
		rows = append(rows, l.row(points))
	}
	return rows
}

// points are a line's values, in its unit.
func (l line) points(samples []sample) (out []point) {
	for i, s := range samples {
		v := s.Values[l.of]
		if l.rate {
			if i == 0 {
				continue
			}
			before := samples[i-1]
			v = (v - before.Values[l.of]) / (s.At - before.At)
		}
		out = append(out, point{s.At, v / l.unit})
	}
	return out
}

func (l line) row(points []point) row {
	out := row{Title: l.title, Free: l.free}
	if len(points) < 5 {
		return out
	}
	fifth, span := len(points)/5, points[len(points)-1].at-points[0].at
	out.Start, out.End = middle(points[:fifth]), middle(points[len(points)-fifth:])
	for _, p := range points {
		out.Max = max(out.Max, p.value)
	}
	out.Growth = slope(points) * span
	if !l.free {
		out.Allowed = max(l.share*out.Start, l.most/l.unit)
		if span < 600 {
			out.Allowed += l.young / l.unit
		}
	}
	return out
}

// slope is the median of the slopes between all pairs of points (Theil and Sen): peaks move it little. Of many points
// every second, third and so on is taken.
func slope(points []point) float64 {
	const most = 400
	step := (len(points) + most - 1) / most
	var slopes []float64
	for i := 0; i < len(points); i += step {
		for j := i + step; j < len(points); j += step {
			slopes = append(slopes, (points[j].value-points[i].value)/(points[j].at-points[i].at))
		}
	}
	if len(slopes) == 0 {
		return 0
	}
	slices.Sort(slopes)
	return slopes[len(slopes)/2]
}

func middle(points []point) float64 {
	var values []float64
	for _, p := range points {
		values = append(values, p.value)
	}
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}
