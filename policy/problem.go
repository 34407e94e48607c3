package policy

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Severity says what a [Problem] did to the policy.
type Severity uint8

const (
	// Error means that something was refused.
	Error Severity = iota
	// Warning means that the text was understood and counts, but may not be what was meant.
	Warning
)

// String is "error" or "warning".
func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// Problem is something to correct in a text. Texts from outside are cleaned and shortened in every
// field, so that it can be printed anywhere.
type Problem struct {
	Severity Severity
	Rule     string // which rule is broken, one of the Rule constants of this package or another's
	Label    string // the label it is about, empty when the text is not a label
	Pos      int    // 1-based position in the text, in characters; 0 when it is about all of it
	Token    string // what is wrong, as written; without quotes
	Message  string
	Remedy   string // what to write or do instead
}

// String is the problem as one line, such as
// `error in dockerwall.outbound at 17, "x.y:99999": "99999" is not a port; ports are …`.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.Severity.String())
	if p.Label != "" {
		b.WriteString(" in " + p.Label)
	}
	if p.Pos > 0 {
		fmt.Fprintf(&b, " at %d", p.Pos)
	}
	if p.Token != "" {
		b.WriteString(`, "` + p.Token + `"`)
	}
	b.WriteString(": " + p.Message)
	if p.Remedy != "" {
		b.WriteString("; " + p.Remedy)
	}
	return b.String()
}

// mistake is what is wrong with one token, before it is known where the token stands.
type mistake struct {
	rule   string
	at     int // offset in the token, in bytes
	what   string
	remedy string
}

// Error makes a mistake what [ParsePattern] returns.
func (m *mistake) Error() string { return m.what + "; " + m.remedy }

// maxShown is how many characters of a foreign text are shown.
const maxShown = 64

// clean shortens foreign text and escapes what is not printable: control bytes, invalid UTF-8,
// bidirectional and invisible characters.
func clean(s string) string {
	q := quote(s)
	return q[1 : len(q)-1]
}

// quote is clean in quotation marks.
func quote(s string) string {
	n := 0
	for i := range s {
		if n == maxShown {
			return strconv.Quote(s[:i] + "…")
		}
		n++
	}
	return strconv.Quote(s)
}

// maxProblems bounds the problems reported of one text or one set of labels; one more stands for
// the rest.
const maxProblems = 20

// reports collects problems. Errors are kept in preference to warnings.
type reports struct {
	errors, warnings []Problem
	unseen           [2]int // by severity
}

func (r *reports) add(p Problem) {
	kept := &r.errors
	if p.Severity == Warning {
		kept = &r.warnings
	}
	if len(*kept) == maxProblems {
		r.unseen[p.Severity]++
		return
	}
	*kept = append(*kept, p)
}

// list is what was kept, in the order of the text.
func (r *reports) list() []Problem {
	warnings := r.warnings[:min(len(r.warnings), maxProblems-len(r.errors))]
	unseen := r.unseen[Error] + r.unseen[Warning] + len(r.warnings) - len(warnings)
	out := slices.Concat(r.errors, warnings)
	sort.SliceStable(out, func(i, j int) bool {
		return cmp.Or(strings.Compare(out[i].Label, out[j].Label), cmp.Compare(out[i].Pos, out[j].Pos)) < 0
	})
	if unseen > 0 {
		more := Problem{Severity: Warning, Rule: RuleMore, Message: fmt.Sprintf("… and %d more", unseen), Remedy: "correct these first"}
		if r.unseen[Error] > 0 {
			more.Severity = Error
		}
		out = append(out, more)
	}
	return out
}

// position is where the byte offset at of a token stands that itself stands at pos.
func position(pos int, token string, at int) int { return pos + utf8.RuneCountInString(token[:at]) }
