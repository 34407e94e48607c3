package check

import (
	"fmt"
	"io"
	"strings"
)

// PrintGitHub writes findings as workflow commands of GitHub Actions, which shows them beside the lines they are about
// (docs.github.com, "Workflow commands for GitHub Actions": ::error file={name},line={line},col={col},title={title}::{message}).
func PrintGitHub(w io.Writer, list []Finding) error {
	for _, f := range list {
		if _, err := fmt.Fprintln(w, gitHub(f)); err != nil {
			return err
		}
	}
	return nil
}

func gitHub(f Finding) string {
	command := map[Severity]string{Error: "error", Warning: "warning", Note: "notice"}[f.Severity]
	var properties []string
	if f.File != "" && f.File != Stdin {
		properties = append(properties, "file="+property(f.File))
		if f.Line > 0 {
			properties = append(properties, fmt.Sprintf("line=%d,col=%d", f.Line, f.Column))
		}
	}
	properties = append(properties, "title="+property("dockerwall "+f.Rule))
	text := f.text()
	if subject := f.subject(); subject != "" {
		text = subject + ": " + text
	}
	return "::" + command + " " + strings.Join(properties, ",") + "::" + data(text)
}

// data and property escape as @actions/core does (packages/core/src/command.ts, escapeData and escapeProperty).
func data(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

func property(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(s)
}
