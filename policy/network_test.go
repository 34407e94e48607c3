package policy

import (
	"slices"
	"strings"
	"testing"
)

func TestParseNetworks(t *testing.T) {
	tests := map[string]struct {
		text         string
		managed      string
		only, except string
		problem      string
	}{
		"empty is every one":                      {"", "a b c", "", "", ""},
		"names are only those":                    {"b, a,b", "a b", "a b", "", ""},
		"exclusions are all but those":            {"!a\n! b", "c", "", "a b", ""},
		"names minus exclusions":                  {"a,b,!c", "a b", "a b", "c", ""},
		"an exclusion beats a name":               {"a,b,!a", "b", "a b", "a", "both named and excluded"},
		"an exclusion of nothing frees none":      {"!", "a b c", "", "", "nothing follows"},
		"a doubled exclusion frees none":          {"!!a", "a b c", "", "", "only in front"},
		"a full width exclusion is not a name":    {"\uff01a", "a b c", "", "", "every network is managed"},
		"an unclear name makes every one managed": {"a, b\x00, !c", "a b", "", "c", "not printable"},
		"invalid UTF-8":                           {"\xff", "a b c", "", "", "not printable"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			n, problems := ParseNetworks(tt.text)
			var managed []string
			for _, network := range []string{"a", "b", "c"} {
				if n.Manages(network) {
					managed = append(managed, network)
				}
			}
			only, except := n.Names()
			if strings.Join(managed, " ") != tt.managed || strings.Join(only, " ") != tt.only || strings.Join(except, " ") != tt.except {
				t.Errorf("manages %v, only %v, except %v", managed, only, except)
			}
			if n.Only() != (tt.only != "") {
				t.Errorf("Only: %v", n.Only())
			}
			if (len(problems) > 0) != (tt.problem != "") || tt.problem != "" && !strings.Contains(problems[0].String(), tt.problem) {
				t.Errorf("problems %v", problems)
			}
		})
	}
}

func TestParseNetworksBoundsProblems(t *testing.T) {
	_, problems := ParseNetworks(strings.Repeat("!,", 1000))
	if len(problems) != maxProblems+1 || !strings.Contains(problems[maxProblems].Message, "980 more") {
		t.Errorf("%d problems: %v", len(problems), problems)
	}
	if slices.ContainsFunc(problems, func(p Problem) bool { return p.Severity != Error }) {
		t.Error("a warning")
	}
}
