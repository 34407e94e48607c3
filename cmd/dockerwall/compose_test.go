package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/policy"
)

// composeFile is what a test reads of an override file.
type composeFile struct {
	Services map[string]struct {
		Labels map[string]string
	}
}

// readOverrides reads the documents of `suggest -o compose` as docker compose would: `$$` is one "$".
func readOverrides(t *testing.T, text string) (out []map[string]string) {
	t.Helper()
	for d := yaml.NewDecoder(strings.NewReader(text)); ; {
		var file composeFile
		err := d.Decode(&file)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%v:\n%s", err, text)
		}
		labels := map[string]string{}
		for name, s := range file.Services {
			if keys := slices.Collect(maps.Keys(s.Labels)); len(keys) != 1 || keys[0] != labelOutbound {
				t.Errorf("%s has labels %q", name, keys)
			}
			value := s.Labels[labelOutbound]
			if strings.Contains(strings.ReplaceAll(value, "$$", ""), "$") {
				t.Errorf("%s has a variable in %q", name, value)
			}
			labels[name] = strings.ReplaceAll(value, "$$", "$")
		}
		out = append(out, labels)
	}
}

func suggestion(container, project, service, mode, outbound string, tokens ...string) api.Suggestion {
	s := api.Suggestion{Container: container, Image: "app", Project: project, Service: service, Mode: mode, Outbound: outbound, Notes: []string{}}
	for _, t := range tokens {
		s.Tokens = append(s.Tokens, api.SuggestedToken{Token: t, Why: "seen", Packets: 1})
	}
	return s
}

func TestComposeOverrides(t *testing.T) {
	for name, test := range map[string]struct {
		all      []api.Suggestion
		want     []map[string]string
		comments []string
	}{
		"nothing to suggest is a file all the same": {nil, []map[string]string{{}}, nil},
		"a service": {
			[]api.Suggestion{suggestion("shop-web-1", "shop", "web", "audit", "a.example.com, b.example.com:443/tcp", "b.example.com:443/tcp")},
			[]map[string]string{{"web": "a.example.com, b.example.com:443/tcp"}}, []string{"# project shop\n"},
		},
		"a service that needs nothing is left out": {
			[]api.Suggestion{suggestion("shop-web-1", "shop", "web", "audit", "a.example.com"), suggestion("shop-db-1", "shop", "db", "audit", "b.example.com:1/tcp", "b.example.com:1/tcp")},
			[]map[string]string{{"db": "b.example.com:1/tcp"}}, nil,
		},
		"replicas have one label": {
			[]api.Suggestion{
				suggestion("shop-web-1", "shop", "web", "audit", "a.example.com, b.example.com:443/tcp", "b.example.com:443/tcp"),
				suggestion("shop-web-2", "shop", "web", "audit", "a.example.com"),
				suggestion("shop-web-3", "shop", "web", "audit", "a.example.com, c.example.com:443/tcp", "c.example.com:443/tcp"),
			}, []map[string]string{{"web": "a.example.com, b.example.com:443/tcp, c.example.com:443/tcp"}}, nil,
		},
		"what runs no more does not count beside what runs": {
			[]api.Suggestion{suggestion("shop-web-1", "shop", "web", "", "old.example.com:443/tcp", "old.example.com:443/tcp"), suggestion("shop-web-1", "shop", "web", "audit", "new.example.com:443/tcp", "new.example.com:443/tcp")},
			[]map[string]string{{"web": "new.example.com:443/tcp"}}, nil,
		},
		"but alone it does": {
			[]api.Suggestion{suggestion("shop-job-1", "shop", "job", "", "old.example.com:443/tcp", "old.example.com:443/tcp")},
			[]map[string]string{{"job": "old.example.com:443/tcp"}}, nil,
		},
		"projects are documents": {
			[]api.Suggestion{suggestion("b-web-1", "b", "web", "audit", "b.example.com/tcp", "b.example.com/tcp"), suggestion("a-web-1", "a", "web", "audit", "a.example.com/tcp", "a.example.com/tcp")},
			[]map[string]string{{"web": "a.example.com/tcp"}, {"web": "b.example.com/tcp"}}, nil,
		},
		"others are comments": {
			[]api.Suggestion{suggestion("lone", "", "", "audit", "a.example.com/tcp", "a.example.com/tcp"), suggestion("shop_web.1", "", "shop_web", "audit", "b.example.com/tcp", "b.example.com/tcp")},
			[]map[string]string{{}}, []string{"#   docker run --label 'dockerwall.outbound=a.example.com/tcp' …\n", "#   docker service update --container-label-add 'dockerwall.outbound=b.example.com/tcp' 'shop_web'\n"},
		},
		"names that want to be something else": {
			[]api.Suggestion{
				suggestion("x\nservices: {evil: {image: evil}}", "p\nservices:\n  evil: {}", "yes", "audit", "${HOME}, '\"#: \x1b[31m, a.example.com/tcp", "a.example.com/tcp"),
				suggestion("y", "p\nservices:\n  evil: {}", "- &a *b: {", "audit", "$$, a.example.com/tcp", "a.example.com/tcp"),
				suggestion("z\r\nevil: {}", "", "'; rm -rf / #\n", "audit", "'; rm -rf / #\n", "a.example.com/tcp"),
			},
			[]map[string]string{{"yes": "${HOME}, '\"#:  [31m, a.example.com/tcp", "- &a *b: {": "$$, a.example.com/tcp"}},
			[]string{`'dockerwall.outbound='\''; rm -rf / #' ''\''; rm -rf / #'`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out, said bytes.Buffer
			if err := printCompose(streams{out: &out, err: &said}, test.all); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, readOverrides(t, out.String())); diff != "" {
				t.Errorf("(-want +got):\n%s\n%s", diff, out.String())
			}
			for _, want := range test.comments {
				if !strings.Contains(out.String(), want) {
					t.Errorf("no comment %s in\n%s", want, out.String())
				}
			}
			if strings.ContainsAny(out.String(), "\x1b\r") {
				t.Errorf("%q", out.String())
			}
			if len(test.want) > 1 && !strings.Contains(said.String(), "--project") {
				t.Errorf("said %q", said.String())
			}
		})
	}
}

// TestSuggestionsOfSeveral skips what has nothing to say, and gives programs a line for each.
func TestSuggestionsOfSeveral(t *testing.T) {
	all := []api.Suggestion{
		suggestion("aaa", "", "", "enforce", ""), suggestion("web", "", "", "audit", "a.example.com", "a.example.com"),
		suggestion("xyz", "", "", "audit", "b.example.com", "b.example.com"),
	}
	var table, lines, said bytes.Buffer
	if err := printSuggestions(streams{out: &table, err: &said}, asTable, all); err != nil {
		t.Fatal(err)
	}
	if parts := strings.Split(table.String(), "\n\nxyz ("); !strings.HasPrefix(table.String(), "web (") || len(parts) != 2 {
		t.Errorf("%q", table.String())
	}
	if err := printSuggestions(streams{out: &lines, err: &said}, asJSONL, all); err != nil {
		t.Fatal(err)
	}
	if text := lines.String(); strings.Count(text, "\n") != 3 || strings.Count(text, `"kind":"Suggestion",`) != 3 || said.Len() > 0 {
		t.Errorf("%s%s", text, said.String())
	}
}

func TestAShellReadsALabelAsOneWord(t *testing.T) {
	for name, label := range map[string]string{
		"plain": "a.example.com", "quotes": `it's "so" 'x'`, "a command": "$(touch /tmp/x) `id` ; # \\", "a variable": "$HOME ${X}",
	} {
		t.Run(name, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+quoted(label)).Output()
			if err != nil || string(out) != label {
				t.Errorf("%q, %v", out, err)
			}
		})
	}
}

func TestSuggestSaysWhenThereIsNothing(t *testing.T) {
	for _, format := range []string{asTable, asLabel, asCompose, asJSON, asJSONL, asYAML} {
		t.Run(format, func(t *testing.T) {
			var out, said bytes.Buffer
			all := []api.Suggestion{suggestion("web", "", "", "enforce", "a.example.com")}
			if err := printSuggestions(streams{out: &out, err: &said}, format, all); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(said.String(), "nothing to suggest") || strings.Contains(out.String(), "nothing") {
				t.Errorf("%q, %q", out.String(), said.String())
			}
			if format == asLabel && out.String() != "dockerwall.outbound=a.example.com\n" {
				t.Errorf("%q", out.String())
			}
		})
	}
}

// TestTheLabelOfManyContainersKeepsWithinBounds: of a text with too many ports all names with ports are left out, and
// whoever is in one of the containers chooses ports to knock at.
func TestTheLabelOfManyContainersKeepsWithinBounds(t *testing.T) {
	scan := func(name string, first int) api.Suggestion {
		tokens := make([]string, 0, policy.MaxClauses)
		for i := range policy.MaxClauses - 1 {
			tokens = append(tokens, fmt.Sprintf("a.example.com:%d/tcp", first+2*i))
		}
		return suggestion(name, "shop", "web", "audit", "www.example.com:443/tcp, "+strings.Join(tokens, ", "), tokens...)
	}
	var out, said bytes.Buffer
	if err := printCompose(streams{out: &out, err: &said}, []api.Suggestion{scan("shop-web-1", 1001), scan("shop-web-2", 2001)}); err != nil {
		t.Fatal(err)
	}
	p, problems := policy.Parse(readOverrides(t, out.String())[0]["web"])
	if len(problems) > 0 || len(p.Tokens) != policy.MaxClauses {
		t.Errorf("%d tokens, %v", len(p.Tokens), problems)
	}
	if !strings.Contains(said.String(), "note on web: ") {
		t.Errorf("%q", said.String())
	}
}

func TestALabelMeansTheSameWhenItIsShown(t *testing.T) {
	for name, label := range map[string]string{
		"two names with a tab between":         "www.exam\tple.com, 192.0.2.7",
		"a wrong denial, which voids":          "www.example.com, !ads.ex\u200bample.com",
		"a direction mark":                     "www.\u202eexample.com",
		"what is no UTF-8":                     "www.exam\xffple.com",
		"spaces of all kinds around":           "\u00a0www.example.com\t,\v192.0.2.7\r",
		"nothing that could not be shown":      "www.example.com, !10.0.0.0/8, bücher.example",
		"an escape that colours what comes":    "\x1b[31mwww.example.com",
		"a wide exclamation mark and a joiner": "\uff01a.exam\u200dple.com, b.example.com",
	} {
		t.Run(name, func(t *testing.T) {
			shown := labelText(label)
			want, _ := policy.Parse(label)
			got, _ := policy.Parse(shown)
			if !slices.Equal(got.Tokens, want.Tokens) || got.Void != want.Void || clean(shown) != shown {
				t.Errorf("%q became %q: %v, was %v", label, shown, got, want)
			}
		})
	}
}
