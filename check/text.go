package check

import (
	"fmt"
	"io"
	"strings"
)

// String is a finding as compilers write them, in one line: place, severity, subject, message, remedy and rule.
func (f Finding) String() string {
	var b strings.Builder
	if f.File != "" {
		b.WriteString(f.File + ":")
		if f.Line > 0 {
			fmt.Fprintf(&b, "%d:%d:", f.Line, f.Column)
		}
		b.WriteByte(' ')
	}
	b.WriteString(string(f.Severity) + ": ")
	if subject := f.subject(); subject != "" {
		b.WriteString(subject + ": ")
	}
	b.WriteString(f.text() + " [" + f.Rule + "]")
	return b.String()
}

func (f Finding) subject() string { return f.Service + f.Container }

// text is the finding without its place.
func (f Finding) text() string {
	var b strings.Builder
	b.WriteString(f.Label)
	if f.Position > 0 {
		fmt.Fprintf(&b, " at %d", f.Position)
	}
	if f.Token != "" {
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(`"` + f.Token + `"`)
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	return b.String() + f.Message + "; " + f.Remedy
}

// Print writes findings for people, one a line.
func Print(w io.Writer, list []Finding) error {
	for _, f := range list {
		if _, err := fmt.Fprintln(w, f); err != nil {
			return err
		}
	}
	return nil
}
