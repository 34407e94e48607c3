package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// Manual pages and docs/reference are written from the commands, the metrics and the objects of the API by
//
//	go test ./cmd/dockerwall -run TestTheReference -update
//
// and compared in every test run.

const written = "<!-- written by `go test ./cmd/dockerwall -run TestTheReference -update` -->\n\n"

func TestTheReferenceIsWhatTheProgramSays(t *testing.T) {
	root := newRoot(environment{getenv: func(string) string { return "" }})
	compareDir(t, "docs/reference", map[string]string{
		"commands.md": commandsPage(t, root),
		"metrics.md":  metricsPage(t),
		"api.md":      apiPage(t),
		"settings.md": "# Settings\n\n" + written + "Of `dockerwall run`. A flag beats its variable, which beats the older one. The packages read variables from " +
			"/etc/default/dockerwall.\n\n" + settingsTable(),
		"exit-codes.md": "# Exit codes\n\n" + written + exitCodesTable(t, root) + "\n`dockerwall health` exits 0 or 1, never anything else.\n",
		"labels.md":     "# Labels\n\n" + written + strings.ReplaceAll(strings.TrimSpace(labelsSection(t)), "](docs/", "](../") + "\n",
	})
	compareDir(t, "packaging/man", manPages(t, root))
}

// compareDir compares all files of a directory, or writes them.
func compareDir(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	path := filepath.Join("..", "..", dir)
	if *update {
		rewrite(t, path, want)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, ok := want[e.Name()]; !ok {
			t.Errorf("%s/%s is about nothing that there is", dir, e.Name())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got, err := os.ReadFile(filepath.Join(path, name)); err != nil || string(got) != want[name] {
			t.Errorf("%s/%s is not what the program says (%v); run the test with -update", dir, name, err)
		}
	}
}

func rewrite(t *testing.T, path string, files map[string]string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(path, name), []byte(text), 0o644); err != nil { //nolint:gosec // a document
			t.Fatal(err)
		}
	}
}

// commandsPage is every command with its flags.
func commandsPage(t *testing.T, root *cobra.Command) string {
	t.Helper()
	var out bytes.Buffer
	fmt.Fprint(&out, "# Commands\n\n", written)
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		fmt.Fprintf(&out, "## %s\n\n%s\n\n", c.CommandPath(), c.Short)
		fmt.Fprintf(&out, "```\n%s\n```\n\n", strings.TrimSpace(helpOf(c)))
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				walk(sub)
			}
		}
	}
	walk(root)
	return strings.TrimRight(out.String(), "\n") + "\n"
}

// helpOf is what --help prints.
func helpOf(c *cobra.Command) string {
	var out bytes.Buffer
	c.InitDefaultHelpFlag()
	c.SetOut(&out)
	_ = c.Help()
	return out.String()
}

// manPages are those of section 8, one for each command, and that of the labels.
func manPages(t *testing.T, root *cobra.Command) map[string]string {
	t.Helper()
	root.DisableAutoGenTag = true
	dir := t.TempDir()
	day := time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC) // of the form of these pages
	header := &doc.GenManHeader{Section: "8", Date: &day, Source: "dockerwall", Manual: "dockerwall manual"}
	if err := doc.GenManTree(root, header, dir); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{"dockerwall-labels.5": labelsPage(t)}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(text)
	}
	return out
}

// labelsSection is the README's about labels, without what is below it.
func labelsSection(t *testing.T) string {
	t.Helper()
	_, section, found := strings.Cut(document(t, "README.md"), "\n## Labels\n")
	section, _, closed := strings.Cut(section, "\n### ")
	if !found || !closed {
		t.Fatal("README.md has no section about labels")
	}
	return section
}

// labelsPage is that section as a manual page.
func labelsPage(t *testing.T) string {
	t.Helper()
	page := "% DOCKERWALL-LABELS 5 \"Nov 2026\" dockerwall \"dockerwall manual\"\n\n# NAME\n\ndockerwall-labels - what a container's labels open\n\n# DESCRIPTION\n" +
		listed(labelsSection(t)) +
		"\n# SEE ALSO\n\n**dockerwall**(8), **dockerwall-check**(8), **dockerwall-explain**(8)\n"
	return string(md2man.Render([]byte(page)))
}

// listed is a text with its tables as lists of definitions, which fit on any terminal.
func listed(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		switch {
		case strings.HasPrefix(line, "<!--"), strings.HasPrefix(line, "|---"), strings.HasPrefix(line, "| Token"), strings.HasPrefix(line, "| Label"):
		case len(cells) == 4:
			fmt.Fprintf(&out, "%s\n: %s\n\n", strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2]))
		default:
			out.WriteString(line)
		}
	}
	return out.String()
}

// TestManualPagesRender has groff set each page, as man does: warnings are mistakes.
func TestManualPagesRender(t *testing.T) {
	if _, err := exec.LookPath("groff"); err != nil {
		lab.Cannot(t, "needs the program groff")
	}
	pages, err := filepath.Glob(filepath.Join("..", "..", "packaging", "man", "*"))
	if err != nil || len(pages) < 5 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, page := range pages {
		command := exec.CommandContext(t.Context(), "groff", "-wmac", "-t", "-man", "-Kutf8", "-Tutf8", "-rLL=100n", "-P-cbou", page)
		var warnings bytes.Buffer
		command.Stderr = &warnings
		text, err := command.Output()
		if err != nil || warnings.Len() > 0 || !bytes.Contains(text, []byte("NAME")) {
			t.Errorf("%s: %v, %s\n%.300s", page, err, warnings.Bytes(), text)
		}
	}
}

// metricsPage is every family of ours, as a scrape in which everything moved has it.
func metricsPage(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	fmt.Fprintf(&out, "# Metrics\n\n%sWhat they mean together is in [metrics.md](../metrics.md).\n\n| Family | Type | Labels | |\n|---|---|---|---|\n", written)
	for _, f := range families(t) {
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), cell(f.GetHelp()))
	}
	return out.String()
}
