package policy

import (
	"strings"
	"testing"
)

func TestPatternMatch(t *testing.T) {
	tests := map[string]struct {
		pattern, name string
		want          bool
	}{
		"the name":                            {"example.com", "example.com", true},
		"the name in any case, with a dot":    {"example.com", "EXAMPLE.com.", true},
		"two dots are another name":           {"example.com", "example.com..", false},
		"a name below":                        {"example.com", "www.example.com", false},
		"wildcard, one below":                 {"*.example.com", "www.example.com", true},
		"wildcard, more below":                {"*.example.com", "A.b.EXAMPLE.com.", true},
		"wildcard, not the apex":              {"*.example.com", "example.com", false},
		"wildcard, not the apex behind a dot": {"*.example.com", ".example.com", false},
		"wildcard, not a longer label":        {"*.example.com", "badexample.com", false},
		"wildcard, not a name one shorter":    {"*.yahoo.com", "evil.com", false},
		"wildcard, not another end":           {"*.example.com", "www.example.com.evil.org", false},
		"wildcard, no empty labels":           {"*.example.com", "a..example.com", false},
		"wildcard, only empty labels":         {"*.example.com", "..example.com", false},
		"wildcard, a dot inside a label":      {"*.example.com", `evil\.example.com`, false},
		"wildcard over a top-level domain":    {"*.com", "example.com", true},
		"the Kelvin sign is no k":             {"k.example", "\u212a.example", false},
		"wildcard, the long s is no s":        {"*.s.example", "a.\u017f.example", false},
		"wildcard with an international name": {"*.bücher.example", "www.xn--bcher-kva.example", true},
		"the empty name":                      {"example.com", "", false},
		"wildcard, the empty name":            {"*.example.com", ".", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p, err := ParsePattern(tt.pattern)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Match(tt.name); got != tt.want {
				t.Errorf("%s matches %q: %v", p, tt.name, got)
			}
		})
	}
}

func TestZeroPatternMatchesNothing(t *testing.T) {
	for _, name := range []string{"", ".", "a", ".a"} {
		if (Pattern{}).Match(name) || (Pattern{wild: true}).Match(name) {
			t.Errorf("matches %q", name)
		}
	}
}

func TestParsePatternSaysWhatIsWrong(t *testing.T) {
	p, err := ParsePattern("a_b.Example.")
	if err != nil || p.Name() != "a_b.example" || p.Wild() {
		t.Errorf("got %v, %v", p, err)
	}
	p, err = ParsePattern("*.Example.")
	if err != nil || p.Name() != "example" || !p.Wild() || p.String() != "*.example" {
		t.Errorf("got %v, %v", p, err)
	}
	for text, want := range map[string]string{"a b.example": "' '", "exam\xffple.com": "UTF-8", "example": "one label", "x.*": "*.example.com"} {
		p, err := ParsePattern(text)
		if err == nil || !strings.Contains(err.Error(), want) || p != (Pattern{}) {
			t.Errorf("%q: got %v, %v", text, p, err)
		}
	}
}
