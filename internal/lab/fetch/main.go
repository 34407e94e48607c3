// Command fetch fills the lab's cache with an Engine and prints its folder, so that no test spends its time on it.
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
}
