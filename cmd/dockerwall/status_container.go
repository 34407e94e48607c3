package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/policy"
)

// writeContainer is all that there is to know about one container.
func writeContainer(env environment, s api.Status, c api.Container) error {
	paint := colourOf(env, env.out)
	var out bytes.Buffer
	writeIdentity(&out, paint, s, c)
	for _, write := range []func(io.Writer, api.Status, api.Container) error{writePolicy, writeNames} {
		if err := write(&out, s, c); err != nil {
			return err
		}
	}
	if len(c.Findings) > 0 {
		fmt.Fprintln(&out, "\nFindings")
	}
	for _, f := range c.Findings {
		writeFinding(&out, paint, "  ", f)
	}
	_, err := env.out.Write(out.Bytes())
	if err == nil && isTerminal(env.err) && c.Denied.Packets > 0 {
		fmt.Fprintf(env.err, "# dockerwall watch %s shows what is denied, dockerwall suggest %[1]s what would allow it\n", clean(c.Name))
	}
	return err
}

func writeIdentity(w io.Writer, paint colour, s api.Status, c api.Container) {
	fmt.Fprintf(w, "%s  %s: %s\n", paint.bold(clean(c.Name)), modeWord(paint, clean(c.Mode)), modeMeaning(s, c))
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "  %-10s %s\n", name, clean(value))
		}
	}
	if c.ModeOrigin != "" && c.ModeOrigin != "implied" && c.ModeOrigin != policy.LabelMode {
		origin := c.ModeOrigin
		if m := c.ModeChange; m != nil {
			origin = modeChangeText(*m, s.Time)
		}
		field("mode from", origin)
	}
	field("id", c.ID)
	field("image", c.Image)
	field("project", c.Project)
	field("service", c.Service)
	field("shares", c.Shares)
	field("networks", strings.Join(c.Networks, ", "))
	field("addresses", strings.Join(addresses(c), ", "))
	name := "outbound"
	for _, line := range wrap(cleanLabel(c.Outbound), 66) { // with what is before it, 79 columns
		fmt.Fprintf(w, "  %-10s %s\n", name, line)
		name = ""
	}
	if c.Shares == "" && c.Unfenced == "" && !c.Alone() {
		field("sent", amount(c.Sent))
		field("denied", amount(c.Denied)+lastDay(c.History))
	}
}

// stampText is who said something at run time, and for how long.
func stampText(s api.Stamp, now time.Time) string {
	out := fmt.Sprintf(", by uid %d", s.UID)
	if !s.Until.IsZero() {
		out += ", " + span(s.Until.Sub(now)) + " left"
	}
	return out
}

func modeChangeText(m api.ModeChange, now time.Time) string {
	out := "set at run time"
	if m.Paused {
		out = "paused"
	}
	out += stampText(m.Stamp, now)
	if m.Confirm {
		out += ", then back unless it is confirmed"
	}
	return out
}

func modeMeaning(s api.Status, c api.Container) string {
	switch {
	case c.Mode == "unfenced":
		return clean(c.Unfenced)
	case c.Mode == "off":
		return "nothing is denied, what it sends is only counted"
	case c.Shares != "":
		return "as " + clean(c.Shares) + " has it, whose network and policy count; sent and denied stand there"
	case c.Alone():
		return "it has no network, so it sends nothing"
	case s.State == api.DryRun:
		return "but nothing is denied to anybody (" + whoAudits(s) + ")"
	case c.Mode == "audit":
		return "what its policy denies passes, and is counted and logged"
	case c.Deny == "reject":
		return "what its policy denies is rejected"
	}
	return "what its policy denies is dropped"
}

// cleanLabel is a label, as a terminal may have it: line breaks, which part tokens, are shown as commas.
func cleanLabel(label string) string {
	var parts []string
	for part := range strings.FieldsFuncSeq(label, func(r rune) bool { return r == ',' || r == '\n' }) {
		if part = clean(strings.TrimSpace(part)); part != "" && len(parts) < 200 {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ", ")
}

// wrap breaks a list after commas; none for an empty one.
func wrap(text string, width int) (lines []string) {
	line := ""
	for part := range strings.SplitSeq(text, ", ") {
		switch {
		case line == "":
			line = part
		case len(line)+2+len(part) > width:
			lines = append(lines, line+",")
			line = part
		default:
			line += ", " + part
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

func lastDay(history []uint64) string {
	var n uint64
	for _, packets := range history {
		n += packets
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("; %d of them in the last 24 h, as far as the daemon ran", n)
}

func writePolicy(w io.Writer, s api.Status, c api.Container) error {
	if len(c.Policy) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	t := newTable(w, "TOKEN", "FROM")
	for _, token := range c.Policy {
		origin := token.Origin
		if token.Grant != nil {
			origin += stampText(*token.Grant, s.Time)
		}
		t.row(token.Token, origin)
	}
	return t.flush()
}

func writeNames(w io.Writer, s api.Status, c api.Container) error {
	if len(c.Names) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	t := newTable(w, "NAME", "TOKEN", "ADDRESS", "STAYS")
	for _, name := range c.Names {
		if len(name.Addrs) == 0 {
			t.row(name.Name, name.Token, "-", name.Error)
		}
		for _, a := range name.Addrs {
			t.row(name.Name, name.Token, a.Addr.String(), remaining(s.Time, a.Expires, name.Deny))
		}
	}
	if err := t.flush(); err != nil {
		return err
	}
	if c.MoreNames > 0 {
		fmt.Fprintf(w, "and %d more names beneath wildcards\n", c.MoreNames)
	}
	return nil
}

// remaining is how long an address stays without being heard again.
func remaining(now, expires time.Time, deny bool) string {
	switch {
	case deny:
		return "as long as it is denied"
	case expires.IsZero():
		return ""
	case !expires.After(now):
		return "until it is asked again"
	}
	return span(expires.Sub(now))
}

// writeFinding is what is wrong, where, and what to do.
func writeFinding(w io.Writer, paint colour, indent string, f api.Finding) {
	severity := paint.yellow(clean(f.Severity))
	if f.Severity == "error" {
		severity = paint.red(f.Severity)
	}
	where := ""
	if f.Label != "" {
		where += " in " + clean(f.Label)
	}
	if f.Position > 0 {
		where += fmt.Sprintf(" at %d", f.Position)
	}
	if f.Token != "" {
		where += `, "` + clean(f.Token) + `"`
	}
	fmt.Fprintf(w, "%s%s%s: %s\n", indent, severity, where, cleanLong(f.Message))
	if f.Remedy != "" {
		fmt.Fprintf(w, "%s  -> %s\n", indent, cleanLong(f.Remedy))
	}
}
