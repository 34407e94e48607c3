// Command fetch fills the lab's cache with its Engines and Prometheus and prints their folders, so that no test spends
// its time on it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/dockerwall/dockerwall/internal/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir, err := lab.Fetch(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("the Engine of the lab:", dir)
	// The tests that use the others say so themselves, and fail in CI; the rest can run without.
	say(ctx, "the newest Engine:", lab.FetchNewest)
	say(ctx, "Prometheus:", lab.FetchPrometheus)
	say(ctx, "a system with systemd:", lab.FetchSystem)
}

func say(ctx context.Context, what string, fetch func(context.Context) (string, error)) {
	dir, err := fetch(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	fmt.Println(what, dir)
}
