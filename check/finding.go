package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dockerwall/dockerwall/plain"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/sortby"
)

// Severity says how much a finding matters. The zero value is none.
type Severity string

// The severities. Errors and warnings are what fails a check; a note is worth knowing.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Note    Severity = "note"
)

// Finding is one thing to correct or to know. Texts from outside are cleaned in every field, so that it can be printed
// anywhere.
type Finding struct {
	Rule      string   `json:"rule"` // ID of one of [Rules]
	Severity  Severity `json:"severity"`
	File      string   `json:"file,omitempty"`
	Line      int      `json:"line,omitempty"`   // from 1; 0 where there is no file
	Column    int      `json:"column,omitempty"` // from 1, in characters
	Service   string   `json:"service,omitempty"`
	Container string   `json:"container,omitempty"`
	Label     string   `json:"label,omitempty"`    // key, or name of a setting
	Position  int      `json:"position,omitempty"` // in the label's value, from 1, in characters; 0 when it is about all of it
	Token     string   `json:"token,omitempty"`
	Message   string   `json:"message"`
	Remedy    string   `json:"remedy"`
}

// Stdin is the file of findings in what was piped in.
const Stdin = "-"

// Place is where something stands in a file. The zero value is nowhere.
type Place struct {
	File         string
	Line, Column int // from 1
}

// found makes a finding of a problem.
func found(p policy.Problem) Finding {
	return Finding{
		Rule: p.Rule, Severity: Severity(p.Severity.String()), Label: p.Label, Position: p.Pos, Token: p.Token,
		Message: p.Message, Remedy: p.Remedy,
	}
}

func (f Finding) at(p Place) Finding {
	f.File, f.Line, f.Column = p.File, p.Line, p.Column
	return f
}

// maxShown is how many bytes of a text of others are shown, where a DNS name fits, and maxSentence how many of a message
// that may quote some.
const (
	maxShown    = 253
	maxSentence = 2000
)

func clean(s string) string { return plain.Text(s, maxShown) }

// maxFindings bounds what is told at once; one more stands for the rest.
const maxFindings = 10000

// ordered cleans findings and puts them in the order of files, lines and names.
func ordered(list []Finding) []Finding {
	for i := range list {
		for _, text := range []*string{&list[i].File, &list[i].Service, &list[i].Container, &list[i].Label, &list[i].Token} {
			*text = clean(*text)
		}
		for _, sentence := range []*string{&list[i].Message, &list[i].Remedy} {
			*sentence = plain.Text(*sentence, maxSentence)
		}
	}
	sortby.Stable(list, func(a, b Finding) int {
		return cmp.Or(
			strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			strings.Compare(a.Service, b.Service), strings.Compare(a.Container, b.Container), strings.Compare(a.Label, b.Label),
			cmp.Compare(a.Position, b.Position), strings.Compare(a.Rule, b.Rule), strings.Compare(a.Token, b.Token),
		)
	})
	list = slices.Compact(list)
	if rest := len(list) - maxFindings; rest > 0 {
		worst := Note
		for _, f := range list[maxFindings:] {
			worst = worse(worst, f.Severity)
		}
		more := policy.Problem{Rule: policy.RuleMore, Message: fmt.Sprintf("… and %d more", rest), Remedy: "correct these first"}
		list = append(list[:maxFindings], found(more))
		list[maxFindings].Severity = worst
	}
	return list
}

func worse(a, b Severity) Severity {
	for _, s := range []Severity{Error, Warning} {
		if a == s || b == s {
			return s
		}
	}
	return Note
}

// Counts is how many findings there are of each severity.
type Counts struct{ Errors, Warnings, Notes int }

// Count counts findings.
func Count(list []Finding) (c Counts) {
	for _, f := range list {
		switch f.Severity {
		case Error:
			c.Errors++
		case Warning:
			c.Warnings++
		default:
			c.Notes++
		}
	}
	return c
}

// Fail says whether a check with these findings fails; strict counts notes too.
func (c Counts) Fail(strict bool) bool { return c.Errors+c.Warnings > 0 || strict && c.Notes > 0 }

// String is "1 error, 2 warnings, no notes".
func (c Counts) String() string {
	some := func(n int, what string) string {
		switch n {
		case 0:
			return "no " + what + "s"
		case 1:
			return "1 " + what
		}
		return fmt.Sprintf("%d %ss", n, what)
	}
	return some(c.Errors, "error") + ", " + some(c.Warnings, "warning") + ", " + some(c.Notes, "note")
}
