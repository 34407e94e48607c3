package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dockerwall/dockerwall/api"
)

const suggestTimeout = 30 * time.Second

const suggestHelp = `Suggest says what would have to be allowed for what containers were seen to send while it was denied, or
passed in audit: the fewest tokens, names before addresses, always with port and protocol, never more
than was seen. It is made from observations that outlive containers and the daemon: see docs/observations.md.

With a container, by name or the beginning of its ID, it is about that one.

    dockerwall suggest                              what to look at
    dockerwall suggest -o compose > egress.yaml     docker compose -f compose.yaml -f egress.yaml up -d
    docker run --label "$(dockerwall suggest web -o label)" …

Exit codes: 0 also when there is nothing to suggest.`

// kindSuggestion is the kind of a line of `suggest -o jsonl`.
const kindSuggestion = "Suggestion"

// The formats that only suggest has.
const (
	asLabel   = "label"
	asCompose = "compose"
)

func newSuggest(env environment) *cobra.Command {
	var s settings
	var format, project string
	c := &cobra.Command{
		Use: "suggest [CONTAINER]", Short: "Say what to allow for what was denied", Long: suggestHelp, Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			container := strings.Join(args, "")
			if format == asLabel && container == "" {
				return usageError{fmt.Errorf("-o %s is about one container: name it", asLabel)}
			}
			ctx, cancel := context.WithTimeout(c.Context(), suggestTimeout)
			defer cancel()
			all, err := api.Dial(s.socket).Suggest(ctx, container)
			if err != nil {
				return withHint(err)
			}
			if project != "" {
				all = slices.DeleteFunc(all, func(s api.Suggestion) bool { return s.Project != project })
			}
			return printSuggestions(env.streams, format, all)
		},
	}
	c.ValidArgsFunction = func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return containerNames(c)
	}
	declare(c, env, s.common())
	outputFlag(c, &format, asTable, asLabel, asCompose, asJSON, asJSONL, asYAML)
	c.Flags().StringVar(&project, "project", "", "only containers of this project of docker compose")
	return c
}

func printSuggestions(to streams, format string, all []api.Suggestion) error {
	useful := slices.ContainsFunc(all, func(s api.Suggestion) bool { return len(s.Tokens) > 0 })
	if !useful {
		fmt.Fprintln(to.err, "nothing to suggest: nothing was denied that a label could allow")
	}
	switch format {
	case asLabel:
		return printLabel(to, all)
	case asCompose:
		return printCompose(to, all)
	case asTable:
		return printSuggestionsText(to.out, columns(to.out), all)
	case asJSONL:
		for _, s := range all {
			if err := printObject(to.out, asJSONL, kindSuggestion, s); err != nil {
				return err
			}
		}
		return nil
	}
	return printObject(to.out, format, api.KindSuggestions, all)
}

// printLabel prints one label. Of several images that a container was made from, the one that runs counts.
func printLabel(to streams, all []api.Suggestion) error {
	if running := slices.DeleteFunc(slices.Clone(all), func(s api.Suggestion) bool { return s.Mode == "" }); len(running) > 0 {
		all = running
	}
	if len(all) > 1 {
		return fmt.Errorf("%s ran with %d images and does not run now: see `dockerwall suggest %[1]s`", clean(all[0].Container), len(all))
	}
	for _, s := range all {
		for _, note := range s.Notes {
			fmt.Fprintln(to.err, "note: "+cleanNote(note))
		}
		if s.Outbound != "" {
			if _, err := fmt.Fprintln(to.out, labelOutbound+"="+labelText(s.Outbound)); err != nil {
				return err
			}
		}
	}
	return nil
}

// printSuggestionsText keeps reasons within a width, if there is one; tokens are to be copied whole.
func printSuggestionsText(w io.Writer, width int, all []api.Suggestion) error {
	first := true
	for _, s := range all {
		if len(s.Tokens) == 0 && len(s.Notes) == 0 {
			continue
		}
		if !first {
			fmt.Fprintln(w)
		}
		first = false
		if err := printSuggestion(w, width, s); err != nil {
			return err
		}
	}
	return nil
}

func printSuggestion(w io.Writer, width int, s api.Suggestion) error {
	mode := s.Mode
	if mode == "" {
		mode = "does not run now"
	}
	fmt.Fprintf(w, "%s (%s), %s; observed from %s to %s\n", clean(s.Container), clean(s.Image), mode, minute(s.From), minute(s.Until))
	if len(s.Tokens) > 0 {
		t := newTable(w, "TOKEN", "PACKETS", "FIRST", "LAST", "WHY")
		for _, one := range s.Tokens {
			t.row(one.Token, strconv.FormatUint(one.Packets, 10), minute(one.First), minute(one.Last), one.Why)
		}
		t.fit(width, "WHY")
		if err := t.flush(); err != nil {
			return err
		}
	}
	for _, note := range s.Notes {
		fmt.Fprintln(w, "note: "+cleanNote(note))
	}
	if len(s.Tokens) > 0 {
		_, err := fmt.Fprintf(w, "\n    %s: %s\n", labelOutbound, yamlText(composeValue(s.Outbound)))
		return err
	}
	return nil
}

func minute(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }
