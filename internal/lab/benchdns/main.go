// Command benchdns measures what it costs to hold DNS answers until their addresses are in the table, and what first
// packets are lost without: no dockerwall, one that only asks, one that reads copies and one that holds, side by side
// on a Docker Engine and an internet of its own. It prints one table. It needs root for network namespaces, ends by
// itself and leaves nothing behind, also when interrupted.
//
// It exits 1 if it could not measure, and 130 when interrupted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/dockerwall/dockerwall/internal/lab"
)

func main() {
	s := sizes{denied: crowd{1: 3, 50: 50}}
	file := flag.String("json", "", "also write everything to this `file`, as JSON")
	flag.IntVar(&s.rounds, "rounds", 5, "how often each way is measured")
	flag.IntVar(&s.count, "count", 400, "names of a run at 1 at once; the other runs grow with it")
	flag.Parse()
	// SIGPIPE too: `make bench-dns | head` must not leave a lab behind.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	err := run(ctx, s, *file)
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case interrupted:
		fmt.Fprintln(os.Stderr, "\ninterrupted; everything that was started is gone")
		os.Exit(130)
	case err != nil:
		fmt.Fprintf(os.Stderr, "\nNOT MEASURED: %v\n", err)
		os.Exit(1)
	}
}

// run measures and writes what came of it.
func run(ctx context.Context, s sizes, file string) error {
	r, err := measure(ctx, s, os.Stderr)
	if err != nil {
		return err
	}
	fmt.Print(r)
	if file == "" {
		return nil
	}
	return r.write(file)
}

// measure builds a lab, measures in it and closes it, whatever happens. It says on progress what it is at.
func measure(ctx context.Context, s sizes, progress io.Writer) (r report, err error) {
	if err := s.check(); err != nil {
		return r, err
	}
	if os.Geteuid() != 0 {
		return r, errors.New("making network namespaces needs root: sudo env PATH=\"$PATH\" make bench-dns")
	}
	if _, err := lab.Fetch(ctx); err != nil {
		return r, err
	}
	path, err := lab.BuildStatic(ctx, "github.com/dockerwall/dockerwall/cmd/dockerwall")
	if err != nil {
		return r, err
	}
	binary, err := os.Open(path) // what is built meanwhile takes its name, not its place
	if err != nil {
		return r, err
	}
	defer func() { _ = binary.Close() }()
	ctx, cancel := context.WithTimeout(ctx, s.patience())
	defer cancel()
	l, err := lab.New(ctx)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	b := &bench{Lab: l, sizes: s, progress: progress, binary: fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), binary.Fd())}
	return b.measure(ctx)
}
