package main

import (
	"context"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dockerwall/dockerwall/api"
)

const observationsHelp = `Observations prints what containers were seen to reach and what they were denied, with the policies that
counted by then: docs/observations.md. "dockerwall check --simulate" judges it by other policies, also on
another machine.

With a container, by name or the beginning of its ID, it is about that one.

    dockerwall observations
    dockerwall observations -o json > seen.json
    dockerwall check --simulate --observations seen.json compose.yaml`

func newObservations(env environment) *cobra.Command {
	var s settings
	var format string
	c := &cobra.Command{
		Use: "observations [CONTAINER]", Short: "Print what containers were seen to reach, and what they were denied", Long: observationsHelp, Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), suggestTimeout)
			defer cancel()
			seen, err := api.Dial(s.socket).Observations(ctx, strings.Join(args, ""))
			if err != nil {
				return withHint(err)
			}
			if format == asTable {
				return printObserved(env.out, seen)
			}
			return printObject(env.out, format, api.KindObservations, seen)
		},
	}
	c.ValidArgsFunction = func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return containerNames(c)
	}
	declare(c, env, s.common())
	outputFlag(c, &format, asTable, asJSON, asJSONL, asYAML)
	return c
}

// printObserved prints a line for each destination.
func printObserved(w io.Writer, seen api.Observations) error {
	t := newTable(w, "CONTAINER", "DESTINATION", "VERDICT", "COUNT", "FIRST", "LAST", "NAMES")
	for _, s := range seen.Subjects {
		for _, r := range s.Records {
			t.row(clean(s.Container), destinationText(r.Destination, r.Port, r.Protocol), r.Verdict, strconv.FormatUint(r.Count, 10), minute(r.First), minute(r.Last),
				clean(strings.Join(r.Names, ", ")))
		}
		if s.Lost > 0 {
			t.row(clean(s.Container), "(not recorded)", api.VerdictAllowed, strconv.FormatUint(s.Lost, 10), minute(s.Since), minute(s.Last), "")
		}
	}
	t.fit(columns(w), "NAMES")
	return t.flush()
}
