// Command demo shows what dockerwall does, on real input: a Docker Engine and an internet of its own, the built
// daemon, three containers, who reaches what and why, the ruleset, and the metrics that moved. It needs root for
// network namespaces, ends by itself and leaves nothing behind, also when interrupted.
//
// Every line it prints comes from something that happened. Where an outcome is not the expected one it says so and
// exits 1; it exits 130 when interrupted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// patience is how long all but the first fetch may take.
const patience = 2 * time.Minute

func main() {
	whole := flag.Bool("all", false, "print the whole ruleset, not only the parts that decide")
	flag.Parse()
	// SIGPIPE too: `make demo | head` must not leave a lab behind.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	code := run(ctx, newPage(os.Stdout), *whole)
	stop()
	os.Exit(code)
}

// run is main without the process: it returns the exit code.
func run(ctx context.Context, out *page, whole bool) int {
	began := time.Now()
	err := show(ctx, out, whole)
	switch {
	case err != nil && interrupted(ctx), ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "\ninterrupted; everything that was started is gone")
		return 130
	case err != nil:
		fmt.Fprintf(os.Stderr, "\nTHE DEMO FAILED: %v\n", err)
		return 1
	}
	out.printf("\nDone in %.0f s. Everything that was started is gone.\n", time.Since(began).Seconds())
	return 0
}

// show runs the demo and closes its lab, whatever happens.
func show(ctx context.Context, out *page, whole bool) (err error) {
	out.printf("dockerwall on a Docker Engine and an internet of its own, in network namespaces.\n" +
		"This machine's interfaces, rules, services and Docker are not touched.\n")
	if os.Geteuid() != 0 {
		return errors.New("making network namespaces needs root: sudo env PATH=\"$PATH\" make demo")
	}
	out.step("Fetching what is missing, building dockerwall")
	if _, err := lab.Fetch(ctx); err != nil {
		return err
	}
	bin, err := lab.BuildStatic(ctx, "github.com/dockerwall/dockerwall/cmd/dockerwall")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	l, err := lab.New(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	d := &demo{page: out, lab: l, bin: bin, whole: whole}
	if err := d.play(ctx); err != nil {
		return fmt.Errorf("%w%s", err, d.daemon.tail())
	}
	return nil
}

// interrupted says whether a Ctrl-C is what made the demo fail: it goes to the programs the demo runs,
// too, and may end one of them before the demo hears of it.
func interrupted(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return true
	case <-time.After(200 * time.Millisecond):
		return false
	}
}
