package policy

import (
	"fmt"
	"strings"
	"testing"
)

func TestPortsOfNamesAreBounded(t *testing.T) {
	text := func(n int, token func(int) string) string {
		tokens := make([]string, n)
		for i := range tokens {
			tokens[i] = token(i)
		}
		return strings.Join(tokens, ",")
	}
	names := func(i int) string { return fmt.Sprintf("a%d.example.com:%d", i, i+1) }
	denied := func(i int) string { return "!" + names(i) }
	onePort := func(i int) string { return fmt.Sprintf("a%d.example.com:443", i) }
	addresses := func(i int) string { return fmt.Sprintf("192.0.2.%d:%d", i, i+1) }
	host := func(i int) string { return fmt.Sprintf("_host_:%d", i+1) }
	notHost := func(i int) string { return "!" + host(i) }
	for name, test := range map[string]struct {
		text   string
		tokens int
		void   bool
		errors int
	}{
		"as many as there may be":            {text(MaxClauses, names), MaxClauses, false, 0},
		"one more leaves all of them out":    {text(MaxClauses+1, names) + ",192.0.2.1,b.example.com", 2, false, 1},
		"names with one port are unbounded":  {text(1000, onePort), 1000, false, 0},
		"addresses with ports are unbounded": {text(200, addresses), 200, false, 0},
		"denied ones deny every port":        {text(MaxClauses+1, denied) + ",192.0.2.1", MaxClauses + 1, true, 1},
		"ports of the host":                  {text(MaxClauses+1, host) + ",192.0.2.1", 1, false, 1},
		"denied ports of the host":           {text(MaxClauses+1, notHost) + ",192.0.2.1", 1, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			p, problems := Parse(test.text)
			errors := 0
			for _, problem := range problems {
				if problem.Severity == Error {
					errors++
				}
			}
			if len(p.Tokens) != test.tokens || p.Void != test.void || errors != test.errors {
				t.Errorf("%d tokens, void %v, %d errors: %v", len(p.Tokens), p.Void, errors, problems)
			}
		})
	}
}
