package operator

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"
)

const schemaFile = "../packaging/schema/policy.schema.json"

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// valid says what the schema has against a text, nil for nothing.
func valid(t *testing.T, s *jsonschema.Schema, text string) error {
	t.Helper()
	var value any
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		return err
	}
	return s.Validate(value)
}

// TestTheSchemaAcceptsWhatTheParserDoes holds the schema for editors against the corpora and the documents; it refuses no
// good file, and of bad ones only those pass whose mistake is in a token, or in what YAML lets stand.
func TestTheSchemaAcceptsWhatTheParserDoes(t *testing.T) {
	s := compiledSchema(t)
	passes := []string{ // what a schema cannot see
		"anchors", "directive", "documents", "hidden-carriage-return", "hidden-line-separator", "hidden-next-line", "lone-bang", "merge", "says-nothing", "tokens", "tokens-in-a-text",
	}
	for _, kind := range []string{"good", "bad"} {
		files, err := filepath.Glob("../testdata/policies/" + kind + "/*.txtar")
		if err != nil || len(files) == 0 {
			t.Fatal(err)
		}
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".txtar")
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			err = valid(t, s, string(ar.Files[0].Data))
			if (err == nil) != (kind == "good") && !slices.Contains(passes, name) {
				t.Errorf("%s/%s: the schema says %v", kind, name, err)
			}
		}
	}
	texts := examples(t)
	if len(texts) < 5 {
		t.Errorf("%d examples in the documents", len(texts))
	}
	for place, text := range texts {
		if err := valid(t, s, text); err != nil {
			t.Errorf("%s: %v", place, err)
		}
		if _, problems := Parse("x.yaml", []byte(text)); Bad(problems) {
			t.Errorf("%s: %v", place, problems)
		}
	}
}

// examples are the policy files in the documents.
func examples(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	howtos, err := filepath.Glob("../docs/howto/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append([]string{"README.md", "docs/policies.md"}, howtos...) {
		text, err := os.ReadFile(filepath.Join("..", strings.TrimPrefix(page, "../")))
		if err != nil {
			t.Fatal(err)
		}
		for i, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
			if Is([]byte(block[1])) {
				out[fmt.Sprintf("%s, block %d", page, i+1)] = block[1]
			}
		}
	}
	return out
}

// TestTheSchemaHasTheKeysOfTheParser asks the parser for its keys and words: it names them when one is wrong.
func TestTheSchemaHasTheKeysOfTheParser(t *testing.T) {
	text, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	type node struct {
		Properties map[string]struct {
			Enum []string
		}
		Defs map[string]node `yaml:"$defs"`
	}
	var schema node
	if err := yaml.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	keys := func(n node) (out []string) { return sortedKeys(n.Properties) }
	enum := func(key string) []string { return schema.Defs["rule"].Properties[key].Enum }
	tests := map[string]struct {
		file string
		want []string
	}{
		"at the top":     {"nokey: 1\n", keys(schema)},
		"of a rule":      {"policies: [{match: {container: x}, mode: off, nokey: 1}]\n", keys(schema.Defs["rule"])},
		"of a match":     {"policies: [{match: {nokey: 1}, mode: off}]\n", keys(schema.Defs["match"])},
		"of modes":       {"policies: [{match: {container: x}, mode: noword}]\n", enum("mode")},
		"of deny-action": {"policies: [{match: {container: x}, deny-action: noword}]\n", enum("deny-action")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, problems := Parse("x.yaml", []byte(tt.file))
			if len(problems) != 1 || len(tt.want) == 0 {
				t.Fatalf("%v, %q", problems, tt.want)
			}
			if got := "write " + oneOf(tt.want); problems[0].Remedy != got {
				t.Errorf("the parser says %q, the schema %q", problems[0].Remedy, got)
			}
		})
	}
}
