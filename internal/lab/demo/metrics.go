package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// scrape reads the daemon's metrics, by series.
func (d *demo) scrape(ctx context.Context) (map[string]float64, error) {
	text, err := d.lab.Host.Get(ctx, "http://127.0.0.1:50000/metrics")
	if err != nil {
		return nil, fmt.Errorf("scrape metrics: %w", err)
	}
	out := map[string]float64{}
	for line := range strings.Lines(text) {
		at := strings.LastIndex(strings.TrimSpace(line), " ")
		if at < 0 || !strings.HasPrefix(line, "dockerwall_") {
			continue
		}
		if out[line[:at]], err = strconv.ParseFloat(strings.TrimSpace(line[at:]), 64); err != nil {
			return nil, fmt.Errorf("scrape metrics: %q: %w", line, err)
		}
	}
	return out, nil
}

// metrics prints the series that are not what they were before there was a container.
func (d *demo) metrics(ctx context.Context) error {
	now, err := d.scrape(ctx)
	if err != nil {
		return err
	}
	d.say("%8s %8s   (without the labels id and image, buckets and times)", "before", "now")
	var moved []string
	for series, value := range now {
		before, was := d.before[series]
		if value == before || strings.Contains(series, "_bucket{") || strings.Contains(series, "_seconds") {
			continue
		}
		old := "-"
		if was {
			old = number(before)
		}
		moved = append(moved, short(series)+fmt.Sprintf("\x00%8s %8s", old, number(value)))
	}
	slices.Sort(moved)
	for _, m := range moved {
		series, values, _ := strings.Cut(m, "\x00")
		d.say("%s   %s", values, series)
	}
	for series, want := range map[string]float64{`dockerwall_containers{state="fenced"}`: 3, "dockerwall_enforcing": 1, "dockerwall_docker_up": 1} {
		if now[series] != want {
			return fmt.Errorf("metric %s is %s, expected %s", series, number(now[series]), number(want))
		}
	}
	return nil
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// short leaves out labels that a person cannot read, and empty ones.
func short(series string) string {
	series = regexp.MustCompile(`(id|image)="[^"]*",?|domains="",?`).ReplaceAllString(series, "")
	return strings.Replace(strings.Replace(series, ",}", "}", 1), "{}", "", 1)
}
