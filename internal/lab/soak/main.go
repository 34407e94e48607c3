// Command soak keeps a daemon busy on a Docker Engine and an internet of its own, for minutes or hours: containers, networks
// and names come and go, denied packets pour in, clients ask, the settings are read anew. Meanwhile probes look for packets
// that leak or are lost, and samples are taken of all that could grow. In the end it prints them as a table, each line with
// a verdict. It needs root for network namespaces, ends by itself and leaves nothing behind, also when interrupted.
//
// It exits 1 if something grew, leaked or was lost, or if it could not measure, and 130 when interrupted.
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
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
)

func main() {
	var o options
	file := flag.String("json", "", "also write everything to this `file`, as JSON")
	flag.DurationVar(&o.length, "for", 5*time.Minute, "how long the load lasts")
	flag.DurationVar(&o.every, "every", 5*time.Second, "between samples")
	flag.Parse()
	// SIGPIPE too: `make soak | head` must not leave a lab behind.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	r, err := measure(ctx, o, os.Stderr)
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
	fmt.Print(r)
	if *file != "" {
		err = r.write(*file)
	}
	if err != nil || !r.Good() {
		fmt.Fprintln(os.Stderr, errors.Join(errors.New("FAILED"), err))
		os.Exit(1)
	}
}

// measure builds a lab, soaks in it and closes it, whatever happens. It says on progress what it is at.
func measure(ctx context.Context, o options, progress io.Writer) (r report, err error) {
	s, err := newSoak(ctx, o, progress)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.stage(ctx); err != nil {
		return r, err
	}
	return s.soak(ctx)
}

// newSoak builds the lab; close ends it.
func newSoak(ctx context.Context, o options, progress io.Writer) (*soak, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("making network namespaces needs root: sudo env PATH=\"$PATH\" make soak")
	}
	if _, err := lab.Fetch(ctx); err != nil {
		return nil, err
	}
	s := &soak{options: o, progress: progress, done: map[string]int{}}
	for _, p := range []struct {
		pkg  string
		path *string
	}{
		{"github.com/dockerwall/dockerwall/cmd/dockerwall", &s.binary},
		{"github.com/dockerwall/dockerwall/internal/lab/probe", &s.probe},
	} {
		if err := s.build(ctx, p.pkg, p.path); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	var err error
	if s.Lab, err = lab.New(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}
