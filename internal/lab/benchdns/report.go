package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// report is everything that was measured.
type report struct {
	Versions versions `json:"versions"`
	Sizes    said     `json:"sizes"`
	Rows     []row    `json:"rows"`
	Samples  []sample `json:"samples"`
}

// versions are what was measured, and on what.
type versions struct {
	Kernel     string `json:"kernel"`
	Docker     string `json:"docker"`
	Dockerwall string `json:"dockerwall"`
	CPUs       int    `json:"cpus"`
	HoldMode   string `json:"hold_mode"`
	LoadBefore string `json:"load_before"` // of 1, 5 and 15 minutes
	LoadAfter  string `json:"load_after"`
}

// said is the sizes as JSON.
type said struct {
	Rounds  int   `json:"rounds"`
	Latency crowd `json:"latency"` // names of a run, by contacts at once
}

func (s sizes) said() said {
	out := said{Rounds: s.rounds, Latency: crowd{}}
	for _, atOnce := range crowds() {
		out.Latency[atOnce] = s.latency(atOnce)
	}
	return out
}

// versions asks the parts.
func (b *bench) versions(ctx context.Context, v *versions) (err error) {
	v.CPUs = runtime.NumCPU()
	if v.Docker, err = b.docker.Version(ctx); err != nil {
		return err
	}
	out, err := b.command(ctx, "version").Output()
	if err != nil {
		return fmt.Errorf("dockerwall version: %w", err)
	}
	v.Dockerwall = strings.TrimPrefix(string(bytes.TrimSpace(out)), "dockerwall ")
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return fmt.Errorf("ask for the kernel's version: %w", err)
	}
	v.Kernel = unix.ByteSliceToString(name.Release[:])
	return nil
}

func load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(text))
	return strings.Join(fields[:min(3, len(fields))], " ")
}

// write writes the report as JSON.
func (r report) write(file string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// String is the report for people.
func (r report) String() string {
	var b strings.Builder
	v := r.Versions
	fmt.Fprintf(&b, "\nLinux %s, Docker %s, dockerwall %s, %d CPUs; load average %s before, %s after\n",
		v.Kernel, v.Docker, v.Dockerwall, v.CPUs, v.LoadBefore, v.LoadAfter)
	fmt.Fprintf(&b, "medians of %d rounds of %d fresh names at 1 at once and %d at 50 at once; times in ms\n\n",
		r.Sizes.Rounds, r.Sizes.Latency[1], r.Sizes.Latency[50])
	b.WriteString(table(r.Rows))
	fmt.Fprintf(&b, `
added    median difference from "%s" in the same round
lost     connections of a container that may reach only what is learned: their SYN had to be sent again, or the
         connection never stood. connect is theirs, of those that stood. "%s" learns nothing below a wildcard.
`, plain(), plain())
	for _, row := range r.Rows {
		if row.Unresolved+row.Other > 0 {
			fmt.Fprintf(&b, "CAUTION  %s, %d at once: %d names were not resolved, %d connections were late or failed for other reasons\n",
				row.title(), row.AtOnce, row.Unresolved, row.Other)
		}
	}
	return b.String()
}

// title is the way, and which of its modes it was where there are several.
func (r row) title() string {
	for _, w := range ways() {
		if w.name == r.Way && len(w.modes) > 1 {
			return r.Way + " (" + r.Mode + ")"
		}
	}
	return r.Way
}

// table puts the rows in columns: the first two to the left, numbers to the right.
func table(rows []row) string {
	cells := [][]string{
		{"at once", "way", "DNS p50", "p99", "added p50", "p99", "first packets lost", "connect p50", "p99"},
	}
	for i, r := range rows {
		if i == 0 || rows[i-1].AtOnce != r.AtOnce {
			cells = append(cells, make([]string, len(cells[0])))
		}
		cells = append(cells, []string{
			strconv.Itoa(r.AtOnce), r.title(), number(&r.DNSP50), number(&r.DNSP99), signed(r.AddedP50), signed(r.AddedP99),
			fmt.Sprintf("%d of %d", r.Lost, r.Contacts), number(r.ConnectP50), number(r.ConnectP99),
		})
	}
	return columns(cells)
}

func columns(cells [][]string) string {
	widths := make([]int, len(cells[0]))
	for _, line := range cells {
		for i, cell := range line {
			widths[i] = max(widths[i], len(cell))
		}
	}
	var b strings.Builder
	for _, line := range cells {
		text := fmt.Sprintf("%-*s  %-*s", widths[0], line[0], widths[1], line[1])
		for i := 2; i < len(line); i++ {
			text += fmt.Sprintf("  %*s", widths[i], line[i])
		}
		b.WriteString(strings.TrimRight(text, " ") + "\n")
	}
	return b.String()
}

func number(f *float64) string {
	if f == nil {
		return "-"
	}
	return strconv.FormatFloat(*f, 'f', 2, 64)
}

func signed(f *float64) string {
	if f == nil {
		return "-"
	}
	return fmt.Sprintf("%+.2f", *f)
}
