package nft

import (
	"fmt"
	"slices"
	"strings"
)

// TextDiff compares two prints of tables object by object: lines that are only in from come behind
// "-", those only in to behind "+", under the object they stand in and, for rules, between their
// neighbours. Titles, notes behind rules and the order of objects do not count; elements of sets are lines of their own.
// The result is "" if nothing differs.
func TextDiff(from, to string) string {
	before, after := objectsIn(from), objectsIn(to)
	heads := func(list []*object) map[string]*object {
		out := make(map[string]*object, len(list))
		for _, o := range list {
			out[o.table+o.head] = o
		}
		return out
	}
	var b strings.Builder
	then := heads(after)
	for _, o := range before {
		if next := then[o.table+o.head]; next != nil {
			o.writeChanges(&b, next)
		} else {
			o.writeWhole(&b, "-")
		}
	}
	old := heads(before)
	for _, o := range after {
		if old[o.table+o.head] == nil {
			o.writeWhole(&b, "+")
		}
	}
	return b.String()
}

// object is a block of a print: a counter, set, map or chain. Lines outside of any have no head.
type object struct {
	table    string // the line that it stands under
	head     string
	lines    []string
	elements []string // in no order
}

const (
	elementsBegin = "\t\telements = { "
	elementIndent = "\t\t\t     "
)

func objectsIn(text string) []*object {
	outside := &object{}
	out, now, listing, table := []*object{outside}, outside, false, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		first := strings.HasPrefix(line, elementsBegin)
		switch {
		case first || listing:
			element := strings.TrimPrefix(strings.TrimPrefix(line, elementsBegin), elementIndent)
			element, listing = strings.CutSuffix(element, ",")
			now.elements = append(now.elements, "\t\telement "+strings.TrimSuffix(element, " }"))
		case strings.HasPrefix(line, "\t# "), line == "":
		case line == "\t}":
			now = outside
		case now == outside && strings.HasPrefix(line, "\t") && strings.HasSuffix(line, " {"):
			now = &object{table: table, head: line}
			out = append(out, now)
		default:
			if strings.HasPrefix(line, "table ") {
				table = line
			}
			now.lines = append(now.lines, unnoted(line))
		}
	}
	return out
}

// unnoted is a line without the note behind it, which has no quotation mark; one within quotes is a text's own.
func unnoted(line string) string {
	quoted := strings.LastIndexByte(line, '"') + 1
	if i := strings.Index(line[quoted:], " # "); i >= 0 {
		return line[:quoted+i]
	}
	return line
}

func (o *object) writeWhole(b *strings.Builder, sign string) {
	lines := append([]string{o.head}, o.lines...)
	for _, line := range append(append(lines, o.elements...), "\t}") {
		fmt.Fprintf(b, "%s%s\n", sign, line)
	}
}

// writeChanges writes how o became next.
func (o *object) writeChanges(b *strings.Builder, next *object) {
	changes := append(lineChanges(o.lines, next.lines), elementChanges(o.elements, next.elements)...)
	if len(changes) == 0 {
		return
	}
	if o.head != "" {
		fmt.Fprintf(b, " %s\n", o.head)
	}
	for _, c := range changes {
		fmt.Fprintf(b, "%s\n", c)
	}
}

func elementChanges(from, to []string) []string {
	return append(without("-", from, to), without("+", to, from)...)
}

// without returns the lines of one list that the other has not, behind a sign.
func without(sign string, lines, other []string) []string {
	there := make(map[string]bool, len(other))
	for _, line := range other {
		there[line] = true
	}
	var out []string
	for _, line := range lines {
		if !there[line] {
			out = append(out, sign+line)
		}
	}
	return out
}

// contextLines is how many lines that stayed are shown on each side of a change.
const contextLines = 2

// lineChanges returns the lines that changed, in their order, with those next to them; nil if none.
func lineChanges(from, to []string) []string {
	if slices.Equal(from, to) {
		return nil
	}
	all := script(from, to)
	changed := func(i int) bool { return i >= 0 && i < len(all) && all[i][0] != ' ' }
	var out []string
	for i, line := range all {
		near := false
		for j := i - contextLines; j <= i+contextLines; j++ {
			near = near || changed(j)
		}
		switch {
		case near:
			out = append(out, line)
		case len(out) == 0 || out[len(out)-1] != " \t\t…":
			out = append(out, " \t\t…")
		}
	}
	return out
}

// script is the whole of both lists with the fewest changes: each line behind "-", "+" or " ".
func script(from, to []string) []string {
	head := 0
	for head < min(len(from), len(to)) && from[head] == to[head] {
		head++
	}
	tail := 0
	for tail < min(len(from), len(to))-head && from[len(from)-1-tail] == to[len(to)-1-tail] {
		tail++
	}
	out := signed(" ", from[:head])
	out = append(out, middle(from[head:len(from)-tail], to[head:len(to)-tail])...)
	return append(out, signed(" ", from[len(from)-tail:])...)
}

func signed(sign string, lines []string) []string {
	out := make([]string, 0, len(lines))
	for _, line := range lines {
		out = append(out, sign+line)
	}
	return out
}

// maxCells bounds the memory of a comparison (16 MB); past it all of one list goes for all of the other.
const maxCells = 4 << 20

// middle compares by the longest common subsequence.
func middle(from, to []string) []string {
	n, m := len(from), len(to)
	if n == 0 || m == 0 || n > maxCells/m {
		return append(signed("-", from), signed("+", to)...)
	}
	cells := make([]int32, (n+1)*(m+1))
	common := func(i, j int) *int32 { return &cells[i*(m+1)+j] } // of from[i:] and to[j:]
	for i := n - 1; i >= 0; i-- {
		for j := m - 1; j >= 0; j-- {
			if from[i] == to[j] {
				*common(i, j) = *common(i+1, j+1) + 1
			} else {
				*common(i, j) = max(*common(i+1, j), *common(i, j+1))
			}
		}
	}
	var out []string
	i, j := 0, 0
	for i < n && j < m {
		switch {
		case from[i] == to[j]:
			out, i, j = append(out, " "+from[i]), i+1, j+1
		case *common(i+1, j) >= *common(i, j+1):
			out, i = append(out, "-"+from[i]), i+1
		default:
			out, j = append(out, "+"+to[j]), j+1
		}
	}
	return append(append(out, signed("-", from[i:])...), signed("+", to[j:])...)
}
