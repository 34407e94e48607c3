package main

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/spf13/cobra"

	"github.com/dockerwall/dockerwall/metrics"
	"github.com/dockerwall/dockerwall/policy"
)

// The documents are checked against the program.

func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// between is the part of a document that its marks enclose.
func between(t *testing.T, text, mark string) string {
	t.Helper()
	_, text, found := strings.Cut(text, "<!-- "+mark+" -->\n")
	part, _, closed := strings.Cut(text, "<!-- /"+mark+" -->")
	if !found || !closed {
		t.Fatalf("no part %q", mark)
	}
	return part
}

// settingsTable is every setting of the daemon.
func settingsTable() string {
	var s settings
	table := "| Flag | Variable | Older variable | Default | |\n|---|---|---|---|---|\n"
	code := func(text string) string {
		if text == "" {
			return ""
		}
		return "`" + text + "`"
	}
	for _, row := range slices.Concat(s.common(), s.policy(), s.daemon()) {
		table += fmt.Sprintf("| `--%s` | `%s` | %s | %s | %s |\n", row.flag, row.env, code(row.legacy), code(row.preset), row.usage)
	}
	return table
}

func TestReadmeHasTheSettingsOfRun(t *testing.T) {
	var s settings
	want := settingsTable()
	if got := between(t, document(t, "README.md"), "settings"); got != want {
		t.Errorf("the settings in README.md should be:\n%s", want)
	}
	var help bytes.Buffer
	if code := run(t.Context(), streams{out: &help, err: &help}, []string{"run", "--help"}); code != exitOK {
		t.Fatalf("exit %d", code)
	}
	for _, row := range slices.Concat(s.common(), s.policy(), s.daemon()) {
		if !strings.Contains(help.String(), "--"+row.flag+" ") || !strings.Contains(help.String(), "[$"+row.env) {
			t.Errorf("run --help lacks --%s or $%s", row.flag, row.env)
		}
	}
}

func TestReadmeHasAllCommands(t *testing.T) {
	readme := document(t, "README.md")
	root := newRoot(environment{getenv: os.Getenv})
	root.InitDefaultCompletionCmd()
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		if !c.HasSubCommands() && c.Parent() != nil && c.Parent().Name() != "completion" && c.Name() != "help" &&
			!strings.Contains(readme, "| `"+c.CommandPath()+"` |") {
			t.Errorf("README.md lacks %q", c.CommandPath())
		}
	}
	walk(root)
	for _, row := range regexp.MustCompile("(?m)^\\| `dockerwall ([a-z ]+)` \\|").FindAllStringSubmatch(readme, -1) {
		if c, _, err := root.Find(strings.Fields(row[1])); err != nil || "dockerwall "+row[1] != c.CommandPath() {
			t.Errorf("README.md has %q, which does not exist", row[0])
		}
	}
}

// exitCodesTable is the sentence of --help as a table.
func exitCodesTable(t *testing.T, root *cobra.Command) string {
	t.Helper()
	_, codes, found := strings.Cut(strings.ReplaceAll(root.Long, "\n", " "), "Exit codes: ")
	if !found {
		t.Fatal("--help has no exit codes")
	}
	table := "| Exit code | |\n|---|---|\n"
	for _, code := range strings.Split(strings.TrimSuffix(codes, "."), ", ") {
		number, words, _ := strings.Cut(code, " ")
		table += "| " + number + " | " + words + " |\n"
	}
	return table
}

func TestExitCodesAreDocumented(t *testing.T) {
	want := exitCodesTable(t, newRoot(environment{getenv: os.Getenv}))
	if !strings.Contains(document(t, "README.md"), want) {
		t.Errorf("README.md should have:\n%s", want)
	}
	for _, code := range []int{exitOK, exitFailure, exitUsage, exitNoDaemon, exitPermission, exitFindings, exitDegraded, exitDenied, exitUndecided} {
		if !strings.Contains(want, fmt.Sprintf("| %d |", code)) {
			t.Errorf("--help lacks exit code %d", code)
		}
	}
}

func TestAWrongCommandIsAUsageError(t *testing.T) {
	for _, args := range [][]string{{"bogus"}, {"nft", "bogus"}, {"health", "bogus"}, {"run", "--bogus"}} {
		var said bytes.Buffer
		if code := run(t.Context(), streams{out: &said, err: &said}, args); code != exitUsage || !strings.Contains(said.String(), "--help`") {
			t.Errorf("%q: exit %d, %s", args, code, said.String())
		}
	}
}

func TestTokensOfTheReadmeAreUnderstood(t *testing.T) {
	rows := strings.Split(between(t, document(t, "README.md"), "labels"), "\n")[2:]
	tokens := 0
	for _, row := range rows {
		cells := strings.Split(row, "|")
		if len(cells) < 3 {
			continue
		}
		for _, token := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
			tokens++
			p, problems := policy.Parse(token[1])
			if problems = slices.DeleteFunc(problems, func(p policy.Problem) bool { return p.Severity != policy.Error }); len(problems) > 0 || len(p.Tokens) == 0 {
				t.Errorf("%s: %d tokens, %v", token[1], len(p.Tokens), problems)
			}
		}
	}
	if tokens < 20 {
		t.Errorf("%d tokens found: is the table still read?", tokens)
	}
}

func TestThePageHasTheComposeFile(t *testing.T) {
	if !strings.Contains(document(t, "docs/howto/compose.md"), "```yaml\n"+document(t, "docker-compose.yml")+"```") {
		t.Error("the snippet in docs/howto/compose.md is not docker-compose.yml")
	}
}

// TestMetricsAreDocumented wants every family that a document names to exist, with the labels that docs/metrics.md explains.
// The list of all of them is generated: see metricsPage.
func TestMetricsAreDocumented(t *testing.T) {
	labels := map[string][]string{}
	for _, f := range families(t) {
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels[f.GetName()] = append(labels[f.GetName()], l.GetName())
		}
		labels[f.GetName()] = append(labels[f.GetName()], "") // none
	}
	for _, p := range allPages(t) {
		for _, family := range regexp.MustCompile("`(dockerwall_[a-z_]+[a-z])`").FindAllStringSubmatch(p.text(), -1) {
			if labels[family[1]] == nil {
				t.Errorf("%s has %s, which does not exist", p.name, family[1])
			}
		}
	}
	explained := labelValues(t)
	for at := range explained {
		if !slices.Contains(labels[at.family], at.label) {
			t.Errorf("docs/metrics.md explains label %s of %s, which does not exist", at.label, at.family)
		}
	}
	if len(explained) < 15 {
		t.Errorf("%d labels are explained: is the table still read?", len(explained))
	}
}

type labelOf struct{ family, label string }

// labelValues are those that docs/metrics.md explains.
func labelValues(t *testing.T) map[labelOf][]string {
	t.Helper()
	out := map[labelOf][]string{}
	word := regexp.MustCompile("`([^`]+)`")
	for row := range strings.Lines(between(t, document(t, "docs/metrics.md"), "values")) {
		cells := strings.Split(row, "|")
		family, label := word.FindStringSubmatch(cells[1]), word.FindStringSubmatch(cells[2])
		if family == nil || label == nil {
			continue
		}
		for _, value := range word.FindAllStringSubmatch(cells[3], -1) {
			at := labelOf{family[1], label[1]}
			out[at] = append(out[at], value[1])
		}
	}
	return out
}

// families are ours, in a scrape in which everything moved.
func families(t *testing.T) []*dto.MetricFamily {
	t.Helper()
	denied := metrics.Denied{Dst: netip.MustParseAddr("192.0.2.1"), Port: 443, Proto: 6, Packets: 1, Bytes: 60}
	snapshot := metrics.Snapshot{
		Containers:      []metrics.Container{{ID: strings.Repeat("a", 64), Name: "web", Sent: []metrics.Part{{Name: "sent", Packets: 2}}, Drops: []metrics.Part{{Name: "drop", Packets: 1}}, Denied: []metrics.Denied{denied}}},
		LabelErrors:     []metrics.LabelErrors{{ID: strings.Repeat("a", 64), Name: "web", Count: 1}},
		FirstSeen:       []metrics.FirstSeen{{ID: strings.Repeat("a", 64), Name: "web", Count: 1}},
		Reasons:         map[string]uint64{"unknown": 1},
		Sets:            []metrics.Set{{Kind: "denied", Elements: 1, Capacity: 2}},
		ResolverQueries: map[string]uint64{"answer": 1},
		DNS: metrics.DNS{
			Replies: map[string]uint64{"learned": 1}, Refused: map[string]uint64{"host": 1}, Errors: map[string]uint64{"verdict": 1},
		},
	}
	m, err := metrics.New(metrics.Options{Source: func(context.Context) metrics.Snapshot { return snapshot }})
	if err != nil {
		t.Fatal(err)
	}
	m.Applied(time.Millisecond, nil)
	families, err := m.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(families, func(f *dto.MetricFamily) bool { return !strings.HasPrefix(f.GetName(), "dockerwall_") })
}
