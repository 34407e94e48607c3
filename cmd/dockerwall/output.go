package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/plain"
)

// The formats of -o. A command may have others of its own.
const (
	asTable = "table"
	asJSON  = "json"
	asJSONL = "jsonl"
	asYAML  = "yaml"
)

// outputFlag is -o with the formats a command knows; the first is the default.
func outputFlag(c *cobra.Command, value *string, formats ...string) {
	c.Flags().StringVarP(value, "output", "o", formats[0], "format: "+strings.Join(formats, ", "))
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	check := c.PreRun
	c.PreRunE = func(c *cobra.Command, args []string) error {
		if check != nil {
			check(c, args)
		}
		if !slices.Contains(formats, *value) {
			return usageError{fmt.Errorf("-o %q: want %s", *value, strings.Join(formats, " or "))}
		}
		return nil
	}
	c.PreRun = nil
}

// printObject prints one object for programs, in its envelope: as JSON, as one line of it, or as YAML.
func printObject[T any](w io.Writer, format, kind string, spec T) error {
	object := api.Wrap(kind, spec)
	if format == asYAML {
		return printYAML(w, object)
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	if format != asJSONL {
		e.SetIndent("", "  ")
	}
	if err := e.Encode(object); err != nil {
		return err
	}
	_, err := io.WriteString(w, escaped(text.String(), func(r rune) string {
		if r > 0xffff {
			high, low := utf16.EncodeRune(r)
			return fmt.Sprintf(`\u%04x\u%04x`, high, low)
		}
		return fmt.Sprintf(`\u%04x`, r)
	}))
	return err
}

// escaped is JSON or YAML without the characters that turn a line's direction, or are not seen: they only stand within
// quotes, where an escape means the same.
func escaped(text string, escape func(rune) string) string {
	var out strings.Builder
	for _, r := range text {
		if r == '\n' || unicode.IsPrint(r) {
			out.WriteRune(r)
		} else {
			out.WriteString(escape(r))
		}
	}
	return out.String()
}

// printYAML prints what JSON has, with its names and in its order.
func printYAML(w io.Writer, object any) error {
	text, err := json.Marshal(object)
	if err != nil {
		return err
	}
	var node yaml.Node // JSON is YAML
	if err := yaml.Unmarshal(text, &node); err != nil {
		return fmt.Errorf("print YAML: %w", err)
	}
	block(&node)
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(&node); err != nil {
		return fmt.Errorf("print YAML: %w", err)
	}
	_, err = io.WriteString(w, escaped(out.String(), func(r rune) string { return fmt.Sprintf(`\U%08X`, r) }))
	return err
}

// block takes the braces and quotes of JSON away; what needs quotes gets them when it is encoded.
func block(n *yaml.Node) {
	n.Style = 0
	if strings.ContainsFunc(n.Value, func(r rune) bool { return !unicode.IsPrint(r) }) {
		n.Style = yaml.DoubleQuotedStyle
	}
	for _, child := range n.Content {
		block(child)
	}
}

// table writes columns; a row is the cells of a line. Cells are cleaned: they may be text that others chose.
type table struct {
	rows [][]string
	out  io.Writer
}

func newTable(w io.Writer, head ...string) *table { return &table{out: w, rows: [][]string{head}} }

func (t *table) row(cells ...string) {
	for i := range cells {
		cells[i] = clean(cells[i])
	}
	t.rows = append(t.rows, cells)
}

const (
	columnGap = 3
	minColumn = 8 // characters that fit leaves of a column
)

// fit shortens the columns with these heads, the widest first, until a line has no more than width characters, or they
// cannot be shorter. Width 0 is any.
func (t *table) fit(width int, heads ...string) {
	if width == 0 {
		return
	}
	widths, total := make([]int, len(t.rows[0])), -columnGap
	for i := range widths {
		for _, row := range t.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
		total += widths[i] + columnGap
	}
	for ; total > width; total-- {
		widest := -1
		for i, head := range t.rows[0] {
			if slices.Contains(heads, head) && widths[i] > minColumn && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	for _, row := range t.rows {
		for i := range row {
			row[i] = shorten(row[i], widths[i])
		}
	}
}

// flush writes the table, without spaces at the ends of lines.
func (t *table) flush() error {
	var text bytes.Buffer
	w := tabwriter.NewWriter(&text, 0, 0, columnGap, ' ', 0)
	for _, row := range t.rows {
		fmt.Fprintln(w, strings.Join(row, "\t")) // empty cells too, or columns end at the row that lacks them
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(text.String()) {
		if _, err := fmt.Fprintln(t.out, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// maxCell is how many bytes of one text of others are shown; a DNS name fits.
const maxCell = 253

// clean is a text that others chose, as a terminal may have it.
func clean(s string) string { return plain.Text(s, maxCell) }

// cleanLong is clean for our own sentences, which texts of others may be part of.
func cleanLong(s string) string { return plain.Text(s, 4*maxCell) }
