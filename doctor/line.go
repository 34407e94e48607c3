package doctor

import (
	"fmt"

	"github.com/dockerwall/dockerwall/plain"
)

// Kind is what a [Report] is called in the envelope of package api.
const Kind = "Doctor"

// Report is what was found.
type Report struct {
	Version string `json:"version"` // of the program
	Fails   int    `json:"fails"`
	Warns   int    `json:"warns"`
	Skips   int    `json:"skips"`
	Lines   []Line `json:"lines"` // in the order of [Entries]
}

// Line is what was found about one thing. Its texts are clean.
type Line struct {
	Name   string `json:"name"` // stable
	Result Result `json:"result"`
	What   string `json:"what"`             // one sentence with the value seen; for Skip why there is none
	Remedy string `json:"remedy,omitempty"` // one line, with a command where there is one
}

// Result is how a thing is.
type Result string

// The results. Fail means that the fence does not stand, or not for what it is thought to.
const (
	OK   Result = "ok"
	Warn Result = "warn"
	Fail Result = "fail"
	Skip Result = "skip"
)

// Entry is one line that [Examine] gives, as docs/doctor.md has it.
type Entry struct {
	Name  string
	About string // what it looks at
	Bad   string // when it is no "ok"
}

// check is an entry and its rule. The rule is total: facts may be anything.
type check struct {
	Entry
	line func(Facts) Line
}

// Entries are all lines, in their order.
func Entries() (out []Entry) {
	for _, c := range checks() {
		out = append(out, c.Entry)
	}
	return out
}

// Examine judges facts: one line for each of [Entries].
func Examine(f Facts) Report {
	out := Report{Version: f.Version}
	for _, c := range checks() {
		line := c.line(f)
		line.Name, line.What, line.Remedy = c.Name, plain.Text(line.What, maxText), plain.Text(line.Remedy, maxText)
		switch line.Result {
		case Fail:
			out.Fails++
		case Warn:
			out.Warns++
		case Skip:
			out.Skips++
		case OK:
		}
		out.Lines = append(out.Lines, line)
	}
	return out
}

// Bounds of texts that others chose, in bytes: a line, and a word in one.
const (
	maxText = 2000
	maxWord = 200
)

// word is a text that others chose, as part of a sentence.
func word(s string) string { return plain.Text(s, maxWord) }

func ok(format string, args ...any) Line {
	return Line{Result: OK, What: fmt.Sprintf(format, args...)}
}

func warn(remedy, format string, args ...any) Line {
	return Line{Result: Warn, What: fmt.Sprintf(format, args...), Remedy: remedy}
}

func fail(remedy, format string, args ...any) Line {
	return Line{Result: Fail, What: fmt.Sprintf(format, args...), Remedy: remedy}
}

func skip(why, remedy string) Line { return Line{Result: Skip, What: why, Remedy: remedy} }

func checks() []check {
	var out []check
	for _, part := range [][]check{kernelChecks(), engineChecks(), networkChecks(), hostChecks(), daemonChecks()} {
		out = append(out, part...)
	}
	return out
}
