package check

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/reconcile"
)

var update = flag.Bool("update", false, "rewrite the wanted part of the corpora, and the table of rules")

// TestFixtures reads testdata/check: a Compose project, maybe with GATEWAY_NETWORKS, and what must be found.
func TestFixtures(t *testing.T) {
	files, err := filepath.Glob("../testdata/check/*.txtar")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { fixture(t, file) })
	}
}

func fixture(t *testing.T, file string) {
	ar, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var o Options
	var found []Finding
	want := &ar.Files[len(ar.Files)-1]
	for _, f := range ar.Files {
		if f.Name == "GATEWAY_NETWORKS" {
			o.Networks, _ = policy.ParseNetworks(string(f.Data))
		}
	}
	p, err := Read(ar.Files[0].Name, "project", ar.Files[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	found = p.Check(o)
	for _, f := range found {
		complete(t, f)
	}
	var got strings.Builder
	if err := Print(&got, found); err != nil {
		t.Fatal(err)
	}
	if *update {
		want.Data = []byte(got.String())
		if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(want.Data), got.String()); diff != "" || want.Name != "want" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// complete says whether a finding in a file has all that a person needs: a rule that is explained, the place, what it is
// about, and what to do.
func complete(t *testing.T, f Finding) {
	t.Helper()
	known := slices.ContainsFunc(Rules(), func(r Rule) bool { return r.ID == f.Rule })
	if !known || f.Line < 1 || f.Column < 1 || f.Message == "" || f.Remedy == "" || f.Label+f.Token+f.Service == "" {
		t.Errorf("incomplete: %+v", f)
	}
	aboutLabel := strings.HasPrefix(f.Message, "the container ") || f.Rule == RuleComposeOnly || f.Rule == RuleExternal || f.Rule == reconcile.RuleUnmanaged
	if f.Label == "" && !aboutLabel {
		t.Errorf("no label: %+v", f)
	}
	if f.Severity != Error && f.Severity != Warning && f.Severity != Note {
		t.Errorf("severity: %+v", f)
	}
}

func TestUnreadableInputIsAClearError(t *testing.T) {
	deep := strings.Repeat("[", 20000)
	bomb := "a0: &a0 {x: y}\n"
	for i := range 40 {
		bomb += fmt.Sprintf("a%d: &a%d {<<: [%s]}\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	for name, c := range map[string]struct{ text, want string }{
		"nothing":               {"", "there is nothing in it; give a Compose file, the output of"},
		"no YAML":               {"services: [", "line 1"},
		"not UTF-8":             {"services:\n  a: \xff\n", "line 2 is not UTF-8"},
		"no services":           {"policy:\n  - match: x\n", `or a policy file, with "policies:" or "groups:" at its top`},
		"services that are not": {"services: [a]\n", "no services"},
		"two documents":         {"services: {}\n---\nservices: {}\n", "more than one document"},
		"50 megabytes":          {strings.Repeat(" ", 50<<20), "more than 4 MiB"},
		"deep nesting":          {"services: " + deep, "max depth"},
		"an anchor in itself":   {"services: {a: {labels: &l {<<: *l}}}\n", "too many values"},
		"anchors that multiply": {bomb + "services: {a: {labels: *a40}}\n", "too many values"},
		"a label for many":      {"x: &l {dockerwall.outbound: " + strings.Repeat("x", 1<<20) + "}\nservices: {" + manyServices(200) + "}\n", "too many values"},
		"too many services":     {"x: &l {}\nservices: {" + manyServices(20000) + "}\n", "too many values"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read("compose.yml", "", []byte(c.text))
			if err == nil || !strings.HasPrefix(err.Error(), "read compose.yml: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// manyServices have the label of anchor l.
func manyServices(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "s%d: {labels: *l}, ", i)
	}
	return b.String()
}

func TestATextIsCheckedWithoutAFile(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"nothing to find": {"www.example.com, 10.0.0.0/8", nil},
		"an error":        {"x.y:99999", []string{`error: dockerwall.outbound at 4, "x.y:99999": "99999" is not a port`}},
		"a note":          {"a.b, *.c.d", []string{`note: dockerwall.outbound at 6, "*.c.d": c.d itself is not allowed by it`}},
		"a missing name":  {"no.such.example, !gone.example, *.wild.example, wild.example", []string{`at 1, "no.such.example": the name means no address`, `at 18, "!gone.example": the name means`}},
	} {
		t.Run(name, func(t *testing.T) {
			found := Text(policy.LabelOutbound, c.text, Options{Missing: func(names []string) map[string]bool {
				return map[string]bool{"no.such.example": slices.Contains(names, "no.such.example"), "gone.example": true}
			}})
			if len(found) != len(c.want) {
				t.Fatalf("got %v, want %q", found, c.want)
			}
			for i, f := range found {
				if !strings.Contains(f.String(), c.want[i]) || f.Remedy == "" {
					t.Errorf("got %s, want %s", f, c.want[i])
				}
			}
		})
	}
}

func TestFindingsAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("services:\n")
	for i := range 11000 {
		fmt.Fprintf(&b, "  s%d: {labels: [dockerwall.outbound=x]}\n", i)
	}
	p, err := Read("compose.yml", "", []byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	found := p.Check(Options{})
	if last := found[len(found)-1]; len(found) != maxFindings+1 || last.Message != "… and 1000 more" || last.Severity != Error {
		t.Errorf("%d findings, the last %v", len(found), last)
	}
}

func FuzzRead(f *testing.F) {
	files, _ := filepath.Glob("../testdata/check/*.txtar")
	for _, file := range files {
		if ar, err := txtar.ParseFile(file); err == nil {
			f.Add(ar.Files[0].Data)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Read("compose.yml", "project", text)
		if err != nil {
			return
		}
		for _, found := range p.Check(Options{}) {
			complete(t, found)
			for _, text := range []string{found.String(), gitHub(found)} {
				if strings.ContainsAny(text, "\n\r\x1b") {
					t.Errorf("%q", text)
				}
			}
		}
	})
}
