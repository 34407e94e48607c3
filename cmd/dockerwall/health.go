package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dockerwall/dockerwall/api"
)

const healthTimeout = 5 * time.Second

func newHealth(env environment) *cobra.Command {
	var s settings
	c := &cobra.Command{
		Use: "health", Short: "Exit 0 if the daemon fences, else 1", Args: cobra.NoArgs,
		Long: `Health asks the daemon over its socket and exits 0 or 1, never anything else: it is made for HEALTHCHECK.
What is degraded while the fence stands, and the first few problems, are said on the error stream.`,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), healthTimeout)
			defer cancel()
			h, err := api.Dial(s.socket).Health(ctx)
			switch {
			case errors.Is(err, context.DeadlineExceeded):
				fmt.Fprintf(env.err, "unhealthy: the daemon has not answered for %v: it hangs, or this host is overloaded; if that lasts, restart it\n", healthTimeout)
			case err != nil:
				fmt.Fprintln(env.err, "unhealthy: "+err.Error())
			case !h.Healthy:
				fmt.Fprintln(env.err, "unhealthy: "+strings.Join(h.Reasons, "; "))
			default:
				for _, reason := range h.Reasons {
					fmt.Fprintln(env.err, "degraded: "+reason)
				}
				for _, finding := range h.Findings {
					fmt.Fprintln(env.err, "problem: "+finding)
				}
				if more := h.Problems - len(h.Findings); more > 0 {
					fmt.Fprintf(env.err, "and %d more; see `dockerwall status`\n", more)
				}
				_, err = fmt.Fprintln(env.out, "healthy")
				return err
			}
			return silent{exitFailure}
		},
	}
	declare(c, env, s.common())
	return c
}
