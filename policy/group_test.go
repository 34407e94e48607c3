package policy

import (
	"slices"
	"strings"
	"testing"
)

func TestGroupsThatAreKnown(t *testing.T) {
	g := Grammar{Known: func(name Group) bool { return name == "pypi" || name == "ads_2" }}
	tests := map[string]struct {
		text, want string
		void       bool
		problems   int
	}{
		"a group stands as it is":                      {"@pypi", "@pypi", false, 0},
		"case is folded":                               {"@PyPI", "@pypi", false, 0},
		"denied, allows beside it count":               {"*.example.com, !@ads_2", "*.example.com !@ads_2", false, 0},
		"unknown ones are skipped":                     {"@npm, @pypi", "@pypi", false, 1},
		"unknown ones that are denied void the policy": {"@pypi, !@npm, !@ads_2", "!@ads_2", true, 1},
		"a denied group with ports is a lost denial":   {"@pypi, !@ads_2:443", "", true, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p, problems := g.Parse(tt.text)
			if got := texts(p.Tokens); got != tt.want || p.Void != tt.void || len(problems) != tt.problems {
				t.Errorf("Parse(%q) = %s, void %v, %v; want %s, %v and %d problems", tt.text, got, p.Void, problems, tt.want, tt.void, tt.problems)
			}
			again, _ := g.Parse(strings.ReplaceAll(texts(p.Tokens), " ", ","))
			if !slices.Equal(again.Tokens, p.Tokens) && !p.Void {
				t.Errorf("what %q prints means %v", tt.text, again.Tokens)
			}
			if l, _ := g.ParseLabels(map[string]string{LabelOutbound: tt.text}, nil); texts(l.Outbound.Tokens) != tt.want {
				t.Errorf("as a label it is %s", texts(l.Outbound.Tokens))
			}
		})
	}
	if p, _ := Parse("@pypi, *.example.com, !@pypi"); !p.Void || len(p.Tokens) != 0 {
		t.Errorf("without knowing any group: %v", p)
	}
}
