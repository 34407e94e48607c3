// Command bench runs the benchmarks of the budgets (BenchmarkBudget… in all packages), prints one table of them, ratios
// first, and how each cost grows; it also compares two runs. It needs root for network namespaces.
//
// It exits 1 if something could not be measured, 2 for a wrong argument. A budget that is missed is in the table, and no
// error: the machine may be slow.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/dockerwall/dockerwall/internal/lab/pair"
)

// options say what is measured, and where it goes.
type options struct {
	pattern string // of benchmarks, after BenchmarkBudget
	rounds  int
	file    string // JSON of all that was measured; "" is none
	old     string // JSON of another run to compare with
	new     string // of the run that is shown or compared; "" measures one
}

func main() {
	var o options
	flag.StringVar(&o.pattern, "bench", ".", "only benchmarks whose name matches this `pattern`, slash by slash")
	flag.IntVar(&o.rounds, "rounds", 5, "how often each case is measured")
	flag.StringVar(&o.file, "json", "", "also write everything to this `file`, as JSON")
	flag.StringVar(&o.old, "old", "", "compare with what this `file` has, of -json")
	flag.StringVar(&o.new, "new", "", "do not measure, but show or compare what this `file` has")
	flag.Parse()
	if flag.NArg() > 0 || o.rounds < 1 {
		fmt.Fprintln(os.Stderr, "bench: no arguments beside flags, and at least one round")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures or reads, and prints.
func run(ctx context.Context, o options, out, progress io.Writer) (err error) {
	var old, now report
	if o.old != "" {
		if old, err = read(o.old); err != nil {
			return err
		}
	}
	if o.new != "" {
		now, err = read(o.new)
	} else {
		now, err = measure(ctx, o, progress)
	}
	if err != nil {
		return err
	}
	if o.file != "" {
		if err := now.write(o.file); err != nil {
			return err
		}
	}
	if o.old != "" {
		_, err = fmt.Fprint(out, compare(old, now))
	} else {
		_, err = fmt.Fprint(out, now)
	}
	return err
}

// packages have benchmarks of budgets.
func packages() []string { return []string{"./nft", "./reconcile", "./cmd/dockerwall"} }

// measure runs the benchmarks. What one of them prints goes to progress, as it comes.
func measure(ctx context.Context, o options, progress io.Writer) (report, error) {
	if os.Geteuid() != 0 {
		return report{}, errors.New(`making network namespaces needs root: sudo env PATH="$PATH" make bench`)
	}
	dir, err := os.MkdirTemp("", "dockerwall-bench-")
	if err != nil {
		return report{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	figures := filepath.Join(dir, "figures")
	r := report{Machine: thisMachine(), Rounds: o.rounds, LoadBefore: load()}
	for _, p := range packages() {
		cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkBudget"+join(o.pattern), "-benchtime", "1x", "-timeout", "120m", p)
		cmd.Env = append(os.Environ(), pair.FileVariable+"="+figures, pair.RoundsVariable+"="+strconv.Itoa(o.rounds))
		cmd.Stdout, cmd.Stderr = progress, progress
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
		if err := cmd.Run(); err != nil {
			return report{}, fmt.Errorf("measure %s: %w", p, err)
		}
	}
	r.LoadAfter = load()
	r.Figures, err = readFigures(figures)
	if err == nil && len(r.Figures) == 0 {
		err = fmt.Errorf("no benchmark of a budget matches %q", o.pattern)
	}
	return r, err
}

// join makes a pattern of the first part of a name one that may stand anywhere after BenchmarkBudget.
func join(pattern string) string {
	if pattern == "." {
		return ""
	}
	return ".*" + pattern
}
