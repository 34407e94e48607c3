// Command fetch fills the lab's cache with its Engines and prints their folders, so that no test spends its time on it.
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
	newest, err := lab.FetchNewest(ctx)
	if err != nil { // the tests that use it say so themselves, and fail in CI; the others can run
		fmt.Fprintln(os.Stderr, err)
		return
	}
	fmt.Println("the newest Engine:", newest)
}
