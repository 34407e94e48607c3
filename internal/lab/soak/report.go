package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// report is everything that came of it.
type report struct {
	Kernel, Docker, Dockerwall string
	CPUs                       int
	Began, Ended               time.Time
	WarmUp                     float64 // seconds, of which samples are not judged
	Done                       map[string]int
	Leaked                     uint64   // packets that nobody may send, and that arrived
	Wrong                      int      // how often something was not as it must be
	Wrongs                     []string // the first of these
	Warnings                   int      // that the daemon logged, errors too
	Warned                     []string // the first of these
	Rows                       []row
	Samples                    []sample
}

// describe asks the parts for their versions.
func (s *soak) describe(ctx context.Context, r *report) (err error) {
	r.CPUs = runtime.NumCPU()
	if r.Docker, err = s.docker.Version(ctx); err != nil {
		return err
	}
	if r.Dockerwall, err = s.version(ctx); err != nil {
		return err
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return fmt.Errorf("ask for the kernel's version: %w", err)
	}
	r.Kernel = unix.ByteSliceToString(name.Release[:])
	return nil
}

// Good says that nothing grew, leaked or was lost, and that something was done.
func (r report) Good() bool {
	return r.Leaked == 0 && r.Wrong == 0 && len(r.Done) > 0 && len(r.Rows) > 0 &&
		!slices.ContainsFunc(r.Rows, func(r row) bool { return r.grows() || r.Start == 0 && r.End == 0 && !r.Free })
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
	fmt.Fprintf(&b, "\nLinux %s, Docker %s, dockerwall %s, %d CPUs; %v, the first %v not judged\n\n", r.Kernel, r.Docker, r.Dockerwall, r.CPUs,
		r.Ended.Sub(r.Began).Round(time.Second), time.Duration(r.WarmUp*float64(time.Second)).Round(time.Second))
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "start\tend\tmost\tgrowth\tallowed\t  verdict\t")
	for _, row := range r.Rows {
		fmt.Fprintf(w, "%.1f\t%.1f\t%.1f\t%+.1f\t%s\t  %s\t %s\n", row.Start, row.End, row.Max, row.Growth, row.allowed(), row.verdict(), row.Title)
	}
	_ = w.Flush()
	b.WriteString("\nstart and end are medians of the first and the last fifth; growth is that of the line through all samples.\n\n")
	for _, what := range slices.Sorted(maps.Keys(r.Done)) {
		fmt.Fprintf(&b, "%9d  %s\n", r.Done[what], what)
	}
	fmt.Fprintf(&b, "\n%9d  packets leaked\n%9d  times something was lost or wrong\n", r.Leaked, r.Wrong)
	for _, w := range r.Wrongs {
		fmt.Fprintf(&b, "WRONG      %s\n", w)
	}
	fmt.Fprintf(&b, "%9d  warnings of the daemon\n", r.Warnings)
	for _, w := range r.Warned {
		fmt.Fprintf(&b, "           %s\n", w)
	}
	return b.String()
}

func (r row) allowed() string {
	if r.Free {
		return "-"
	}
	return fmt.Sprintf("%+.1f", r.Allowed)
}

func (r row) verdict() string {
	switch {
	case r.Free:
		return "follows the load"
	case r.grows():
		return "GROWS"
	case r.Start == 0 && r.End == 0:
		return "NOT SEEN"
	}
	return "flat"
}
