package main

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/api"
)

// maxColumn is how many characters of a list the narrow table shows.
const maxColumn = 36

// writeStatus is health first, then a line for each container.
func writeStatus(env environment, s api.Status, wide bool) error {
	paint := colourOf(env, env.out)
	var out bytes.Buffer
	writeHealth(&out, paint, s)
	if len(s.Containers) > 0 {
		fmt.Fprintln(&out)
		width := columns(env.out)
		if wide {
			width = 0
		}
		if err := writeContainers(&out, paint, containerTable(s.Containers, wide), width); err != nil {
			return err
		}
	}
	_, err := env.out.Write(out.Bytes())
	if err == nil && isTerminal(env.err) && len(s.Containers) > 0 {
		fmt.Fprintln(env.err, "# dockerwall status CONTAINER shows all about one")
	}
	return err
}

func writeHealth(w io.Writer, paint colour, s api.Status) {
	if s.State == api.DryRun {
		next := "then restart with DRY_RUN=false, or without --dry-run, to enforce."
		if s.HostChange != nil {
			next = "then `dockerwall enforce` denies the rest."
		}
		fmt.Fprintln(w, paint.yellow("AUDIT: nothing is denied. What would be denied is counted and logged ("+whoAudits(s)+")."))
		fmt.Fprintln(w, "Next: `dockerwall suggest` says what the containers need; "+next)
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, stateWord(paint, s.State)+"  "+strings.Join(summary(s), " · "))
	for _, reason := range s.Degraded {
		fmt.Fprintln(w, paint.red("degraded:")+" "+cleanLong(reason))
	}
	for _, change := range s.Changes {
		fmt.Fprintln(w, paint.yellow("changed:")+" "+cleanLong(change))
	}
	for _, f := range s.Host {
		writeFinding(w, paint, "", f)
	}
}

// whoAudits is what has a host deny nothing.
func whoAudits(s api.Status) string {
	if s.HostChange != nil {
		return "dockerwall audit"
	}
	return "DRY_RUN"
}

func stateWord(paint colour, s api.State) string {
	word := strings.ToUpper(clean(string(s)))
	switch s {
	case api.Enforcing:
		return paint.green(word)
	case api.DryRun:
		return paint.yellow(word)
	default:
		return paint.red(word)
	}
}

func summary(s api.Status) []string {
	out := []string{countModes(s)}
	if !s.Applied.IsZero() {
		out = append(out, "table committed "+span(s.Time.Sub(s.Applied))+" ago")
	}
	if s.Docker.Up {
		out = append(out, "Docker up")
	} else {
		out = append(out, "Docker down")
	}
	return append(out, "names by "+clean(s.DNSMode), strconv.FormatUint(s.Denied.Packets, 10)+" denied")
}

// countModes is "3 containers fenced, 1 in audit, 2 not". Those that send nothing of their own are in none of them.
func countModes(s api.Status) string {
	n := map[string]int{}
	for _, c := range s.Containers {
		n[c.Stands()]++
	}
	out := fmt.Sprintf("%d %s fenced", n["fenced"], plural(n["fenced"], "container"))
	if s.State == api.DryRun {
		out = strings.Replace(out, " fenced", " would be fenced", 1)
	}
	for _, kind := range []struct{ mode, words string }{{"audit", "in audit"}, {"off", "off"}, {"unfenced", "not"}} {
		if n[kind.mode] > 0 {
			out += fmt.Sprintf(", %d %s", n[kind.mode], kind.words)
		}
	}
	return out
}

func containerTable(containers []api.Container, wide bool) *table {
	head := []string{"NAME", "MODE", "NETWORKS", "OUTBOUND", "SENT", "DENIED", "NOTES"}
	if wide {
		head = []string{"NAME", "MODE", "ID", "IMAGE", "NETWORKS", "ADDRESSES", "OUTBOUND", "SENT", "DENIED", "NOTES"}
	}
	t := newTable(nil, head...)
	for _, c := range containers {
		outbound := strings.Join(tokens(c), ", ")
		cells := []string{
			c.Name, c.Mode, shorten(strings.Join(c.Networks, ", "), maxColumn), shorten(outbound, maxColumn),
			strconv.FormatUint(c.Sent.Packets, 10), strconv.FormatUint(c.Denied.Packets, 10), notes(c),
		}
		if wide {
			cells = []string{
				c.Name, c.Mode, c.ID[:min(12, len(c.ID))], c.Image, strings.Join(c.Networks, ", "), strings.Join(addresses(c), ", "), outbound,
				amount(c.Sent), amount(c.Denied), notes(c),
			}
		}
		t.row(cells...)
	}
	return t
}

// writeContainers writes a table of containers no wider than the terminal, as far as that can be; width 0 is any.
func writeContainers(w io.Writer, paint colour, t *table, width int) error {
	var text bytes.Buffer
	t.out = &text
	t.fit(width, "NETWORKS", "OUTBOUND", "NOTES")
	if err := t.flush(); err != nil {
		return err
	}
	return paintColumn(w, paint, text.String(), "MODE")
}

// tokens are what counts for a container and somebody wrote, as it is written.
func tokens(c api.Container) (out []string) {
	for _, t := range c.Policy {
		if t.Origin != "implied" {
			out = append(out, t.Token)
		}
	}
	return out
}

func addresses(c api.Container) (out []string) {
	for _, a := range c.Addrs {
		out = append(out, a.String())
	}
	return out
}

// notes say what is special about a container, the worst first.
func notes(c api.Container) string {
	var out []string
	n := map[string]int{}
	for _, f := range c.Findings {
		n[f.Severity]++
	}
	for _, severity := range []string{"error", "warning"} {
		if count := n[severity]; count > 0 {
			out = append(out, fmt.Sprintf("%d %s", count, plural(count, severity)))
		}
	}
	switch {
	case c.Unfenced != "":
		out = append(out, c.Unfenced)
	case c.Shares != "":
		out = append(out, "in the network of "+c.Shares)
	case c.Alone():
		out = append(out, "no network")
	}
	return strings.Join(out, ", ")
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// shorten cuts a list for the eye; it is cleaned already where that matters.
func shorten(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return text
}

// paintColumn colours the words of a column by what they mean, once the table is laid out: escapes have no width.
func paintColumn(w io.Writer, paint colour, text, column string) error {
	at := -1
	for line := range strings.Lines(text) {
		r := []rune(line)
		if at < 0 {
			at = len([]rune(line[:max(strings.Index(line, column), 0)]))
			line = paint.bold(strings.TrimSuffix(line, "\n")) + "\n"
		} else if at < len(r) {
			word, rest, _ := strings.Cut(string(r[at:]), " ")
			line = string(r[:at]) + modeWord(paint, word) + " " + rest
		}
		if _, err := io.WriteString(w, line); err != nil {
			return err
		}
	}
	return nil
}

func modeWord(paint colour, word string) string {
	switch word {
	case "enforce":
		return paint.green(word)
	case "audit", "off":
		return paint.yellow(word)
	case "unfenced":
		return paint.red(word)
	}
	return word
}

// span is a time for people, of one unit: "3 s", "5 min", "2 h", "4 d".
func span(d time.Duration) string {
	switch d = max(d, 0); {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}

// amount is "14 packets, 1.2 kB".
func amount(c api.Count) string {
	return fmt.Sprintf("%d %s, %s", c.Packets, plural(int(min(c.Packets, 2)), "packet"), bytesText(c.Bytes))
}

// bytesText is a number of bytes in decimal units.
func bytesText(n uint64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n), ""
	for _, unit = range []string{"kB", "MB", "GB", "TB", "PB", "EB"} {
		if value /= 1000; value < 999.95 {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}
