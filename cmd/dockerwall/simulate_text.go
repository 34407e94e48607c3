package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/simulate"
)

// printSimulation prints a report; in text, what it comes to goes to err.
func printSimulation(to streams, format string, r simulate.Report) error {
	if format != asText {
		return printObject(to.out, format, kindSimulation, r)
	}
	first := true
	for _, c := range r.Worst() {
		if !c.Changed() && len(c.Notes) == 0 {
			continue
		}
		if !first {
			fmt.Fprintln(to.out)
		}
		first = false
		if err := printSimulated(to.out, columns(to.out), c); err != nil {
			return err
		}
	}
	for _, note := range r.Notes {
		fmt.Fprintln(to.err, "note: "+cleanNote(note))
	}
	fmt.Fprintf(to.err, "%s, %s; observed from %s to %s\n", would(r.Denied, r.Passed), number(len(r.Containers), "container"), minute(r.Since), minute(r.Until))
	return nil
}

// would is what a change comes to: "would newly deny 3 of 214 connections (2 of 17 destinations)".
func would(denied, passed simulate.Tally) string {
	if denied.Destinations == 0 {
		return fmt.Sprintf("would newly deny nothing of %s (%s)", quantity(passed.Connections, "connection"), quantity(uint64(passed.Destinations), "destination"))
	}
	return fmt.Sprintf("would newly deny %d of %s (%d of %s)",
		denied.Connections, quantity(passed.Connections, "connection"), denied.Destinations, quantity(uint64(passed.Destinations), "destination"))
}

func quantity(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func printSimulated(w io.Writer, width int, c simulate.Container) error {
	runs := ""
	if !c.Running {
		runs = ", does not run now"
	}
	fmt.Fprintf(w, "%s (%s), %s%s; observed from %s to %s\n", clean(c.Container), clean(c.Image), c.Mode, runs, minute(c.Since), minute(c.Last))
	var denied simulate.Tally
	for _, f := range c.Denied {
		denied.Connections += f.Connections
		denied.Destinations++
	}
	fmt.Fprintln(w, would(denied, c.Passed))
	if err := printFlows(w, width, "CONNECTIONS", c.Denied); err != nil {
		return err
	}
	if len(c.Allowed) > 0 {
		fmt.Fprintf(w, "would newly allow %s, denied so far\n", number(len(c.Allowed), "destination"))
		if err := printFlows(w, width, "PACKETS", c.Allowed); err != nil {
			return err
		}
	}
	if n := len(c.Undecided); n > 0 {
		fmt.Fprintf(w, "cannot tell of %s: they passed when they were seen, and no policy allows them by the names that are known\n", number(n, "destination"))
		if err := printFlows(w, width, "CONNECTIONS", c.Undecided); err != nil {
			return err
		}
	}
	if c.Unchanged > 0 {
		fmt.Fprintf(w, "%s as before\n", number(c.Unchanged, "destination"))
	}
	if c.Lost > 0 {
		fmt.Fprintf(w, "note: %s were seen and not recorded, at least\n", quantity(c.Lost, "more connection"))
	}
	for _, note := range c.Notes {
		fmt.Fprintln(w, "note: "+cleanNote(note))
	}
	return nil
}

// printFlows prints a table of destinations.
func printFlows(w io.Writer, width int, counts string, flows []simulate.Flow) error {
	if len(flows) == 0 {
		return nil
	}
	t := newTable(w, "  DESTINATION", "NAMES", counts, "LAST", "TO ALLOW IT")
	for _, f := range flows {
		to := destinationText(f.Destination, f.Port, f.Protocol)
		if f.Via.IsValid() {
			to += " (by " + f.Via.String() + ")"
		}
		allow := f.Token
		if f.By != "" {
			allow = "take away " + cleanNote(f.By)
		}
		t.row("  "+to, clean(strings.Join(f.Names, ", ")), strconv.FormatUint(f.Connections, 10), last(f.Last), allow)
	}
	t.fit(width, "NAMES")
	return t.flush()
}

func last(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return minute(t)
}
