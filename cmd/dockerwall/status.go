package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/dockerwall/dockerwall/api"
)

// asWide is the table with more columns.
const asWide = "wide"

const statusTimeout = 30 * time.Second

// kindContainer is the kind of a line of `status -o jsonl`.
const kindContainer = "Container"

func newStatus(env environment) *cobra.Command {
	var s settings
	var output string
	c := &cobra.Command{
		Use: "status [CONTAINER]", Short: "Show the state of the fence and of every container", Args: cobra.MaximumNArgs(1),
		Long: `Status asks the daemon over its socket: first whether the fence is whole and what keeps it from that, then a line for
each running container; of one CONTAINER, given by name or by the beginning of its ID, all there is to know.

MODE is enforce, audit (nothing is denied, but counted), off, or unfenced: not to be fenced, NOTES says why. OUTBOUND
is what counts for the container, defaults included; SENT and DENIED are packets beyond its networks. "names by" says
how DNS answers are learned from: queue and xt, before the container has them; copy, beside it; ask, by asking alone.
On a terminal long cells are shortened; "-o wide" has them whole, with IDs, images and addresses.

It exits 6 when the fence is degraded, whatever is printed.`,
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return containerNames(c)
		},
		RunE: func(c *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), statusTimeout)
			defer cancel()
			status, err := api.Dial(s.socket).Status(ctx)
			if err != nil {
				return withHint(err)
			}
			if len(args) == 1 {
				err = printContainer(env, output, status, args[0])
			} else {
				err = printStatus(env, output, status)
			}
			if err == nil && len(status.Degraded) > 0 {
				return silent{exitDegraded}
			}
			return err
		},
	}
	declare(c, env, s.common())
	outputFlag(c, &output, asTable, asWide, asJSON, asJSONL, asYAML)
	return c
}

// withHint adds what to do where the daemon cannot be asked.
func withHint(err error) error {
	switch {
	case errors.Is(err, api.ErrNoDaemon):
		return fmt.Errorf("%w; start it with `systemctl start dockerwall`, `docker compose up -d` or `dockerwall run`, or name its socket with --socket or DOCKERWALL_SOCKET", err)
	case errors.Is(err, api.ErrPermission):
		return fmt.Errorf("%w; run this as root (sudo), or as a member of the group that has the socket (`%s`)", err, api.SocketGroup)
	}
	return err
}

// printStatus is of all containers. In jsonl they are the lines.
func printStatus(env environment, output string, s api.Status) error {
	switch output {
	case asTable, asWide:
		return writeStatus(env, s, output == asWide)
	case asJSONL:
		for _, c := range s.Containers {
			if err := printObject(env.out, asJSONL, kindContainer, c); err != nil {
				return err
			}
		}
		return nil
	}
	return printObject(env.out, output, api.KindStatus, s)
}

// printContainer is of one.
func printContainer(env environment, output string, s api.Status, name string) error {
	c, err := find(s.Containers, name)
	if err != nil {
		return err
	}
	if output == asTable || output == asWide {
		return writeContainer(env, s, c)
	}
	return printObject(env.out, output, kindContainer, c)
}
