package check

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerwall/dockerwall/policy"
)

func TestGitHubAnnotationsAreEscaped(t *testing.T) {
	for name, c := range map[string]struct {
		finding Finding
		want    string
	}{
		"an error in a file": {
			Finding{Rule: "url", Severity: Error, File: "a/compose.yml", Line: 3, Column: 7, Service: "web", Label: "dockerwall.outbound", Position: 2, Token: "x", Message: "m", Remedy: "r"},
			`::error file=a/compose.yml,line=3,col=7,title=dockerwall url::web: dockerwall.outbound at 2, "x": m; r`,
		},
		"a file that is not a property's end": {
			Finding{Rule: "url", Severity: Warning, File: "a,b:c%d\r\n.yml", Line: 1, Column: 1, Message: "50%", Remedy: "a::b, c\r\nd"},
			"::warning file=a%2Cb%3Ac%25d%0D%0A.yml,line=1,col=1,title=dockerwall url::50%25; a::b, c%0D%0Ad",
		},
		"a note on what was piped in": {
			Finding{Rule: "mode-off", Severity: Note, File: Stdin, Line: 1, Column: 1, Message: "m", Remedy: "r"}, "::notice title=dockerwall mode-off::m; r",
		},
		"a container":      {Finding{Rule: "url", Severity: Error, Container: "db", Message: "m", Remedy: "r"}, "::error title=dockerwall url::db: m; r"},
		"a file, no place": {Finding{Rule: "url", Severity: Error, File: "f", Message: "m", Remedy: "r"}, "::error file=f,title=dockerwall url::m; r"},
	} {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			if err := PrintGitHub(&got, []Finding{c.finding}); err != nil || got.String() != c.want+"\n" {
				t.Errorf("got  %s want %s (%v)", got.String(), c.want, err)
			}
		})
	}
}

// TestSARIF checks what the schema of SARIF 2.1.0 requires, and what GitHub's code scanning asks for besides.
func TestSARIF(t *testing.T) {
	list := []Finding{
		{Rule: policy.RuleURL, Severity: Error, File: "my dir/ä.yml", Line: 3, Column: 7, Service: "web", Message: "m", Remedy: "r"},
		{Rule: RuleApex, Severity: Note, Container: "db", Message: "m", Remedy: "r"},
		{Rule: RuleOff, Severity: Note, File: Stdin, Line: 1, Column: 1, Message: "m", Remedy: "r"},
	}
	for name, findings := range map[string][]Finding{"findings": list, "none": nil} {
		t.Run(name, func(t *testing.T) {
			var text bytes.Buffer
			if err := PrintSARIF(&text, "v1", findings); err != nil {
				t.Fatal(err)
			}
			var log map[string]any
			if err := json.Unmarshal(text.Bytes(), &log); err != nil {
				t.Fatal(err)
			}
			runs, _ := log["runs"].([]any)
			if log["version"] != "2.1.0" || !strings.HasPrefix(log["$schema"].(string), "https://") || len(runs) != 1 {
				t.Fatalf("log: %v", log)
			}
			run := runs[0].(map[string]any)
			rules := sarifRules(t, run)
			results, ok := run["results"].([]any) // null would mean that the program did not run (3.14.23)
			if !ok || len(results) != len(findings) {
				t.Fatalf("results: %v", run["results"])
			}
			for i, result := range results {
				sarifResultIs(t, result.(map[string]any), rules, findings[i])
			}
		})
	}
}

func sarifRules(t *testing.T, run map[string]any) []string {
	t.Helper()
	driver := run["tool"].(map[string]any)["driver"].(map[string]any)
	if driver["name"] != "dockerwall" {
		t.Errorf("driver: %v", driver)
	}
	var ids []string
	for _, r := range driver["rules"].([]any) {
		rule := r.(map[string]any)
		for _, key := range []string{"shortDescription", "fullDescription", "help"} {
			if text, _ := rule[key].(map[string]any)["text"].(string); text == "" {
				t.Errorf("%s has no %s", rule["id"], key)
			}
		}
		if level := rule["defaultConfiguration"].(map[string]any)["level"]; !slices.Contains([]any{"error", "warning", "note"}, level) {
			t.Errorf("%s: level %v", rule["id"], level)
		}
		ids = append(ids, rule["id"].(string))
	}
	return ids
}

func sarifResultIs(t *testing.T, result map[string]any, rules []string, f Finding) {
	t.Helper()
	index := int(result["ruleIndex"].(float64))
	if result["ruleId"] != f.Rule || rules[index] != f.Rule || result["level"] != string(f.Severity) || result["message"].(map[string]any)["text"] == "" {
		t.Errorf("result: %v", result)
	}
	location := result["locations"].([]any)
	var got string
	if len(location) > 0 {
		if physical, ok := location[0].(map[string]any)["physicalLocation"].(map[string]any); ok {
			text, _ := json.Marshal(physical)
			got = string(text)
		}
	}
	want := ""
	if f.File != "" && f.File != Stdin {
		want = `{"artifactLocation":{"uri":"my%20dir/%C3%A4.yml"},"region":{"startColumn":7,"startLine":3}}`
	}
	if got != want {
		t.Errorf("location %s, want %s", got, want)
	}
}

func TestFileURI(t *testing.T) {
	for path, want := range map[string]string{"a.yml": "a.yml", "./a b.yml": "./a%20b.yml", "/x/a.yml": "file:///x/a.yml", "a:b.yml": "./a:b.yml"} {
		if got := fileURI(path); got != want {
			t.Errorf("fileURI(%q) = %q, want %q", path, got, want)
		}
	}
}

// TestRulesAreDocumented compares docs/check.md.
func TestRulesAreDocumented(t *testing.T) {
	const mark, end = "<!-- rules -->\n", "<!-- /rules -->"
	file := filepath.Join("..", "docs", "check.md")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(text), mark)
	got, tail, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatal("docs/check.md has no part for the rules")
	}
	want := "| Rule | | What it finds | Why |\n|---|---|---|---|\n"
	for _, r := range Rules() {
		want += "| `" + r.ID + "` | " + string(r.Severity) + " | " + r.Title + " | " + r.Help + " |\n"
	}
	if *update {
		if err := os.WriteFile(file, []byte(head+mark+want+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		got = want
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/check.md (-want +got), see -update:\n%s", diff)
	}
}

func TestRulesAreExplainedOnce(t *testing.T) {
	rules := Rules()
	for i, r := range rules {
		if i > 0 && rules[i-1].ID == r.ID || r.Title == "" || r.Help == "" || strings.ContainsAny(r.ID, " _") || strings.ToLower(r.ID) != r.ID || strings.Contains(r.Title+r.Help, "|") {
			t.Errorf("%+v", r)
		}
	}
}
