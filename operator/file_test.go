package operator

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"golang.org/x/tools/txtar"

	"github.com/dockerwall/dockerwall/policy"
)

var update = flag.Bool("update", false, "rewrite the wanted part of the corpora")

// TestFiles reads testdata/policies: files, what they say, and what is wrong with them.
func TestFiles(t *testing.T) {
	for _, kind := range []string{"bad", "good"} {
		files, err := filepath.Glob("../testdata/policies/" + kind + "/*.txtar")
		if err != nil || len(files) == 0 {
			t.Fatalf("%d files, %v", len(files), err)
		}
		for _, file := range files {
			t.Run(kind+"/"+strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
				ar, err := txtar.ParseFile(file)
				if err != nil || len(ar.Files) != 2 {
					t.Fatal(err)
				}
				f, problems := Parse("file.yaml", ar.Files[0].Data)
				got := describe(f, problems)
				if *update {
					ar.Files[1].Data = []byte(got)
					if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				if want := string(ar.Files[1].Data); got != want {
					t.Errorf("got\n%swant\n%s", got, want)
				}
				if Bad(problems) != (kind == "bad") {
					t.Errorf("bad is %v", Bad(problems))
				}
				checkProblems(t, f, problems)
			})
		}
	}
}

// checkProblems checks what holds for any text.
func checkProblems(t *testing.T, f File, problems []Problem) {
	t.Helper()
	if Bad(problems) && (len(f.Rules) > 0 || len(f.Groups) > 0) {
		t.Errorf("a bad file says %+v", f)
	}
	if len(problems) > maxProblems+1 {
		t.Errorf("%d problems", len(problems))
	}
	for _, p := range problems {
		if p.Message == "" || p.Remedy == "" || p.Rule == "" || p.Line == 0 && p.Rule != policy.RuleMore && p.Rule != policy.RuleLimit {
			t.Errorf("%+v lacks something", p)
		}
		if strings.Contains(p.Message, "beside it counts") {
			t.Errorf("%q speaks of a label", p.Message)
		}
		if strings.ContainsFunc(p.String(), func(r rune) bool { return !unicode.IsPrint(r) }) || len(p.String()) > 2000 {
			t.Errorf("%q cannot be printed", p.String())
		}
	}
	for _, r := range f.Rules {
		if r.Policy.Void || r.Line == 0 || r.Match.Matches(Subject{}) && !everyone(r.Match) {
			t.Errorf("%+v", r)
		}
		for _, token := range r.Policy.Tokens {
			if r.Lines[token] == 0 {
				t.Errorf("%v stands on no line", token)
			}
		}
	}
	for _, g := range f.Groups {
		allow, deny := g.Policy.Groups()
		if !policy.IsGroup(string(g.Name)) || len(g.Policy.Tokens) == 0 || len(allow)+len(deny) > 0 || slices.ContainsFunc(g.Policy.Tokens, func(t policy.Token) bool { return t.Deny }) {
			t.Errorf("%+v", g)
		}
	}
}

// everyone says whether a match could be for a container without any name.
func everyone(m Match) bool {
	return slices.ContainsFunc(slices.Concat(m.Container, m.Image), func(g string) bool { return strings.Trim(g, "*") == "" })
}

func describe(f File, problems []Problem) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintln(&b, p)
	}
	for _, g := range f.Groups {
		fmt.Fprintf(&b, "group @%s, line %d\n", g.Name, g.Line)
		tokens(&b, g.Policy, g.Lines)
	}
	for _, r := range f.Rules {
		fmt.Fprintf(&b, "rule, line %d: %s", r.Line, r.Match.describe())
		if r.Mode != nil {
			fmt.Fprintf(&b, "; mode %v", *r.Mode)
		}
		if r.Reject != nil {
			fmt.Fprintf(&b, "; reject %v", *r.Reject)
		}
		b.WriteString("\n")
		tokens(&b, r.Policy, r.Lines)
	}
	return b.String()
}

func (m Match) describe() string {
	var out []string
	add := func(key string, globs []string) {
		if len(globs) > 0 {
			out = append(out, key+" "+strings.Join(globs, "|"))
		}
	}
	add("container", m.Container)
	add("project", m.Project)
	add("service", m.Service)
	add("swarm-service", m.SwarmService)
	add("image", m.Image)
	add("network", m.Network)
	for _, key := range sortedKeys(m.Labels) {
		add("label "+key, m.Labels[key])
	}
	return strings.Join(out, ", ")
}

func tokens(b *strings.Builder, p policy.Policy, lines map[policy.Token]int) {
	for _, t := range p.Tokens {
		fmt.Fprintf(b, "  %v, line %d\n", t, lines[t])
	}
}

func TestTextsThatNoCorpusHolds(t *testing.T) {
	tests := map[string]struct {
		text, want string
	}{
		"not UTF-8":       {"policies:\n  - match: {project: \"\xff\"}\n", "x.yaml:2: error: the file is not UTF-8 from here on"},
		"UTF-16":          {"\xff\xfep\x00o\x00", "x.yaml:1: error: the file is not UTF-8 from here on"},
		"too large":       {"policies: []\n#" + strings.Repeat("x", MaxFile), "x.yaml: error: the file is larger than 1 MiB"},
		"nothing":         {"", "x.yaml:1: error: the file is empty"},
		"zero bytes":      {strings.Repeat("\x00", 4096), "x.yaml:1: error: this is not YAML: control characters are not allowed"},
		"too many tokens": {"groups:\n  a: |\n" + strings.Repeat("    a.example.com,\n", policy.MaxTokens+1), "x.yaml:2:6: error: more destinations than can be held"},
		"too many rules":  {"policies:\n" + strings.Repeat("  - {match: {container: x}, mode: off}\n", maxRules+1), "x.yaml:258:5: error: the file has more rules than can be held"},
		"deeply nested":   {"policies: " + strings.Repeat("[", 100000), "x.yaml:1: error: this is not YAML: exceeded max depth of 10000"},
		"a name of lines": {"groups: {a: x.example.com}\n\"\\e[31m\\n\": 1\n", `x.yaml:2:1: error: "\x1b[31m\n" is not known here`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f, problems := Parse("x.yaml", []byte(tt.text))
			checkProblems(t, f, problems)
			if len(problems) != 1 || !strings.HasPrefix(problems[0].String(), tt.want) {
				t.Errorf("%v, want %s", problems, tt.want)
			}
		})
	}
}

func FuzzFile(f *testing.F) {
	files, err := filepath.Glob("../testdata/policies/*/*.txtar")
	if err != nil || len(files) == 0 {
		f.Fatal(err)
	}
	for _, file := range files {
		ar, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(ar.Files[0].Data)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file, problems := Parse("x.yaml", text)
		checkProblems(t, file, problems)
		p, _ := Combine([]File{file}, nil)
		for _, r := range p.Rules {
			for _, token := range r.Policy.Tokens {
				if g, ok := token.Dest.(policy.Group); ok && p.Groups[g].Name == "" {
					t.Errorf("%v counts without being there", token)
				}
			}
		}
	})
}

// TestALineThatHasEverythingIsReadAtOnce, as programs write JSON.
func TestALineThatHasEverythingIsReadAtOnce(t *testing.T) {
	var words []string
	for i := range 50_000 {
		words = append(words, fmt.Sprintf("%q", fmt.Sprintf("10.%d.%d.1", i/250, i%250)))
	}
	text := `{"policies": [{"match": {"container": "a"}, "allow": [` + strings.Join(words, ", ") + `, "é.example.com:0"]}]}`
	began := time.Now()
	_, problems := Parse("x.yaml", []byte(text))
	if took := time.Since(began); took > 10*time.Second { // a tenth of a second, were it not for the machine
		t.Errorf("it took %v", took)
	}
	if len(problems) != 1 || problems[0].Rule != policy.RuleLimit {
		t.Errorf("%v", problems)
	}
}
