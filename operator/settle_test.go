package operator

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerwall/dockerwall/policy"
)

// Texts of files, of which the tests of what counts are made.
const (
	definesG   = "groups:\n  g: a.example.com\n"
	definesG2  = "groups:\n  g: b.example.com\n"
	definesH   = "groups:\n  h: h.example.com\n"
	definesGH  = "groups:\n  g: a.example.com\n  h: h.example.com\n"
	deniesG    = "policies:\n  - match: {container: \"*\"}\n    deny: \"@g\"\n"
	deniesG2   = "policies:\n  - match: {container: \"*\"}\n    deny: [\"@g\", x.example.com]\n"
	plainAudit = "policies:\n  - match: {container: \"*\"}\n    mode: audit\n"
	badText    = "policies: no\n"
)

func TestWhatCounts(t *testing.T) {
	type dir map[string]string
	tests := map[string]struct {
		steps    []dir
		want     dir    // in force at the end
		gone     string // files whose groups are kept
		problems []string
		denies   string // what @g stands for where a rule denies it
	}{
		"a good file counts": {[]dir{{"a.yaml": plainAudit}}, dir{"a.yaml": plainAudit}, "", nil, ""},
		"a bad one that never was good does not": {
			[]dir{{"a.yaml": badText, "b.yaml": plainAudit}}, dir{"b.yaml": plainAudit}, "",
			[]string{"a.yaml:1:11 wrong-type: nothing of this file counts"}, "",
		},
		"of one that turns bad the last good version stays": {
			[]dir{{"a.yaml": plainAudit}, {"a.yaml": badText}, {"a.yaml": ""}}, dir{"a.yaml": plainAudit}, "",
			[]string{"a.yaml:1 says-nothing: its last good version stays in force"}, "",
		},
		"a removed one is out": {[]dir{{"a.yaml": plainAudit, "b.yaml": definesG}, {"b.yaml": definesG}}, dir{"b.yaml": definesG}, "", nil, ""},
		"one that comes back bad counts for nothing": {
			[]dir{{"a.yaml": plainAudit}, {}, {"a.yaml": badText}}, dir{}, "", []string{"a.yaml:1:11 wrong-type: nothing of this file counts"}, "",
		},
		"groups go across files, in any order": {[]dir{{"a.yaml": deniesG, "b.yaml": definesG}}, dir{"a.yaml": deniesG, "b.yaml": definesG}, "", nil, "a.example.com"},
		"a group that nobody defines": {
			[]dir{{"a.yaml": deniesG, "b.yaml": plainAudit}}, dir{"b.yaml": plainAudit}, "", []string{"a.yaml:3:12 unknown-group: nothing of this file counts"}, "",
		},
		"of two new files that define a group the later name is bad": {
			[]dir{{"a.yaml": definesG, "b.yaml": definesG2, "c.yaml": deniesG}}, dir{"a.yaml": definesG, "c.yaml": deniesG}, "",
			[]string{"b.yaml:2 group-twice: nothing of this file counts"}, "a.example.com",
		},
		"a file that counted keeps its group against a new one of an earlier name": {
			[]dir{{"b.yaml": definesG2, "c.yaml": deniesG}, {"a.yaml": definesG, "b.yaml": definesG2, "c.yaml": deniesG}}, dir{"b.yaml": definesG2, "c.yaml": deniesG}, "",
			[]string{"a.yaml:2 group-twice: nothing of this file counts"}, "b.example.com",
		},
		"a group moves to another file": {
			[]dir{{"a.yaml": definesGH, "c.yaml": deniesG}, {"a.yaml": definesH, "b.yaml": definesG2, "c.yaml": deniesG}},
			dir{"a.yaml": definesH, "b.yaml": definesG2, "c.yaml": deniesG}, "", nil, "b.example.com",
		},
		"and stays where it was while the file it moves from is bad": {
			[]dir{{"a.yaml": definesG, "c.yaml": deniesG}, {"a.yaml": badText, "b.yaml": definesG2, "c.yaml": deniesG}}, dir{"a.yaml": definesG, "c.yaml": deniesG}, "",
			[]string{"a.yaml:1:11 wrong-type: its last good version stays in force", "b.yaml:2 group-twice: nothing of this file counts"}, "a.example.com",
		},
		"a change that takes a group from a rule is bad": {
			[]dir{{"a.yaml": definesGH, "c.yaml": deniesG}, {"a.yaml": definesH, "c.yaml": deniesG}}, dir{"a.yaml": definesGH, "c.yaml": deniesG}, "",
			[]string{"a.yaml unknown-group: its last good version stays in force"}, "a.example.com",
		},
		"also where that rule's file changed as well": {
			[]dir{{"a.yaml": definesGH, "c.yaml": deniesG}, {"a.yaml": definesH, "c.yaml": deniesG2}}, dir{"a.yaml": definesGH, "c.yaml": deniesG2}, "",
			[]string{"a.yaml unknown-group: its last good version stays in force"}, "a.example.com",
		},
		"a rule outlives the file with its group": {
			[]dir{{"a.yaml": definesG, "c.yaml": deniesG}, {"c.yaml": deniesG}, {"c.yaml": deniesG}}, dir{"c.yaml": deniesG}, "a.yaml",
			[]string{"c.yaml:3:12 unknown-group"}, "a.example.com",
		},
		"until another file defines it": {
			[]dir{{"a.yaml": definesG, "c.yaml": deniesG}, {"c.yaml": deniesG}, {"b.yaml": definesG2, "c.yaml": deniesG}}, dir{"b.yaml": definesG2, "c.yaml": deniesG}, "", nil, "b.example.com",
		},
		"or the rule goes": {[]dir{{"a.yaml": definesG, "c.yaml": deniesG}, {"c.yaml": deniesG}, {"c.yaml": plainAudit}}, dir{"c.yaml": plainAudit}, "", nil, ""},
		"a rule that is written then cannot name it": {
			[]dir{{"a.yaml": definesG, "c.yaml": deniesG}, {"c.yaml": deniesG}, {"c.yaml": deniesG2, "d.yaml": deniesG}}, dir{"c.yaml": deniesG}, "a.yaml",
			[]string{"c.yaml:3:13 unknown-group: its last good version stays in force", "d.yaml:3:12 unknown-group: nothing of this file counts"}, "a.example.com",
		},
		"what depends on a file that is bad by another is bad, too": {
			[]dir{{"a.yaml": definesH, "b.yaml": definesGH, "c.yaml": deniesG}}, dir{"a.yaml": definesH}, "",
			[]string{"b.yaml:3 group-twice: nothing of this file counts", "c.yaml:3:12 unknown-group: nothing of this file counts"}, "",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var s standing
			var problems []Problem
			for _, files := range tt.steps {
				s, problems = settle(s, found(files))
			}
			got := dir{}
			for name, v := range s.files {
				got[name] = v.text
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("in force (-want +got):\n%s", diff)
			}
			gone := ""
			for _, v := range s.gone {
				gone += v.Name
			}
			if gone != tt.gone {
				t.Errorf("kept of what is gone: %q, want %q", gone, tt.gone)
			}
			if diff := cmp.Diff(tt.problems, shortened(problems)); diff != "" {
				t.Errorf("problems (-want +got):\n%s\n%v", diff, problems)
			}
			if got := denied(s.policies()); got != tt.denies {
				t.Errorf("denied by @g: %q, want %q", got, tt.denies)
			}
		})
	}
}

// found are the files of a directory.
func found(files map[string]string) (out []candidate) {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f, problems := Parse(name, []byte(files[name]))
		out = append(out, candidate{version{f, files[name]}, problems})
	}
	return out
}

// shortened are places and rules of problems, and what counts.
func shortened(problems []Problem) (out []string) {
	for _, p := range problems {
		s := p.Place() + " " + p.Rule
		if _, then, ok := strings.Cut(p.Message, " ("); ok {
			s += ": " + strings.TrimSuffix(then, ")")
		}
		out = append(out, s)
	}
	return out
}

// denied is what the groups stand for that rules deny.
func denied(p Policies) string {
	var out []string
	for _, r := range p.Rules {
		_, deny := r.Policy.Groups()
		for _, g := range deny {
			for _, token := range p.Groups[g].Policy.Tokens {
				out = append(out, token.String())
			}
		}
	}
	return strings.Join(out, " ")
}

// TestNoOrderWidens changes a directory at random, and asks that a denial which counted goes only when its file said so:
// by a version without it that is whole, or by going.
func TestNoOrderWidens(t *testing.T) {
	texts := []string{definesG, definesG2, definesH, definesGH, deniesG, deniesG2, plainAudit, badText, "", "gone"}
	var s standing
	files := map[string]string{}
	seed := uint32(1)
	for step := range 2000 {
		seed = seed*1664525 + 1013904223
		name, text := fmt.Sprintf("%c.yaml", 'a'+seed>>8%3), texts[seed>>16%uint32(len(texts))]
		if files[name] = text; text == "gone" {
			delete(files, name)
		}
		before := s
		s, _ = settle(s, found(files))
		again, problems := settle(s, found(files))
		if !cmp.Equal(texted(s), texted(again)) {
			t.Fatalf("step %d: the same directory settles as %v, then as %v", step, texted(s), texted(again))
		}
		for other, v := range before.files {
			now, ok := s.files[other]
			if _, there := files[other]; there && !ok {
				t.Fatalf("step %d: %s is lost", step, other)
			}
			if ok && now.text != v.text && now.text != files[other] {
				t.Fatalf("step %d: %s is neither what it was nor what it is", step, other)
			}
		}
		for _, r := range s.policies().Rules {
			if strings.Contains(s.files[r.File].text, "deny") && denied(Policies{Rules: []Rule{r}, Groups: s.policies().Groups}) == "" {
				t.Fatalf("step %d: %s denies nothing: %v", step, r.File, problems)
			}
		}
	}
}

func texted(s standing) map[string]string {
	out := map[string]string{}
	for name, v := range s.files {
		out[name] = v.text
	}
	for group, v := range s.gone {
		out["@"+string(group)] = v.text
	}
	return out
}

func TestCopiesThatDoNotGoTogether(t *testing.T) {
	s := standing{files: map[string]version{}, gone: map[policy.Group]version{}}
	allows := "policies:\n  - match: {container: \"*\"}\n    allow: [www.example.com, \"@h\"]\n    deny: [\"@g\", x.example.com]\n"
	now := map[string]string{"a.yaml": definesG, "b.yaml": definesG2, "c.yaml": allows}
	for _, c := range found(now) {
		s.files[c.Name] = c.version
	}
	s, problems := settle(s, found(now))
	if got := denied(s.policies()); got != "a.example.com" {
		t.Errorf("@g is %q", got)
	}
	if want := []string{"b.yaml:2 group-twice", "c.yaml:3:31 unknown-group"}; !slices.Equal(shortened(problems), want) {
		t.Errorf("%v", problems)
	}
	tokens := s.policies().Rules[0].Policy.Tokens
	if allowed := slices.ContainsFunc(tokens, func(t policy.Token) bool { return t.Dest == policy.Group("h") }); allowed || len(tokens) != 3 {
		t.Errorf("%v", tokens)
	}
	delete(now, "a.yaml")
	delete(now, "b.yaml")
	s, _ = settle(standing{files: map[string]version{"c.yaml": s.files["c.yaml"]}}, found(now))
	if got := fmt.Sprint(s.policies().Rules[0].Policy.Tokens); got != "[!x.example.com]" {
		t.Errorf("without the groups: %s", got)
	}
}
