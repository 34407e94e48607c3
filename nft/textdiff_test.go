package nft

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestTextDiff(t *testing.T) {
	table := func(objects ...string) string {
		return "table inet dockerwall {\n" + strings.Join(objects, "\n") + "}\n"
	}
	chain := func(name string, rules ...string) string {
		return "\tchain " + name + " {\n\t\t" + strings.Join(rules, "\n\t\t") + "\n\t}\n"
	}
	set := func(elements ...string) string {
		return "\tset s {\n\t\ttype ipv4_addr\n\t\telements = { " + strings.Join(elements, ",\n\t\t\t     ") + " }\n\t}\n"
	}
	tests := map[string]struct{ from, to, want string }{
		"equal":                         {table(chain("a", "drop")), table(chain("a", "drop")), ""},
		"titles and order do not count": {table("\t# one\n", chain("a", "drop"), chain("b", "drop")), table(chain("b", "drop"), "\t# two\n", chain("a", "drop")), ""},
		"from nothing":                  {"", table(chain("a", "drop")), "+table inet dockerwall {\n+}\n+\tchain a {\n+\t\tdrop\n+\t}\n"},
		"a rule moves": {
			table(chain("a", "1", "2", "3", "4", "5", "6")), table(chain("a", "1", "2", "4", "5", "3", "6")),
			" \tchain a {\n \t\t1\n \t\t2\n-\t\t3\n \t\t4\n \t\t5\n+\t\t3\n \t\t6\n",
		},
		"what is far from a change is left out": {
			table(chain("a", "1", "2", "3", "4", "5")), table(chain("a", "1", "2", "3", "4", "6")), " \tchain a {\n \t\t…\n \t\t3\n \t\t4\n-\t\t5\n+\t\t6\n",
		},
		"the last element goes":                     {table(set("1.1.1.1", "2.2.2.2")), table(set("1.1.1.1")), " \tset s {\n-\t\telement 2.2.2.2\n"},
		"a comment with a bracket":                  {table(set(`1.1.1.1 comment "a },"`, "2.2.2.2")), table(set(`1.1.1.1 comment "a },"`, "3.3.3.3")), " \tset s {\n-\t\telement 2.2.2.2\n+\t\telement 3.3.3.3\n"},
		"a rule that is not understood is no title": {table(chain("a", "# [queue]")), table(chain("a")), " \tchain a {\n-\t\t# [queue]\n+\t\t\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := TextDiff(test.from, test.to); got != test.want {
				t.Errorf("got\n%swant\n%s", got, test.want)
			}
		})
	}
}

func TestScriptLeadsFromOneTextToTheOther(t *testing.T) {
	g := newGenerator(t)
	side := func(script []string, sign byte) []string {
		var out []string
		for _, line := range script {
			if line[0] == ' ' || line[0] == sign {
				out = append(out, line[1:])
			}
		}
		return out
	}
	for range 2000 {
		lists := [2][]string{}
		for i := range lists {
			for range g.Intn(12) {
				lists[i] = append(lists[i], fmt.Sprint(g.Intn(5)))
			}
		}
		s := script(lists[0], lists[1])
		if !slices.Equal(side(s, '-'), lists[0]) || !slices.Equal(side(s, '+'), lists[1]) {
			t.Fatalf("%q to %q by %q", lists[0], lists[1], s)
		}
	}
}

func TestHugeTextsCompareInBoundedMemory(t *testing.T) {
	var from, to []string
	for i := range 4000 {
		from, to = append(from, fmt.Sprint("a", i)), append(to, fmt.Sprint("b", i))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if got := len(script(from, to)); got != len(from)+len(to) {
		t.Errorf("%d lines", got)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 4*maxCells {
		t.Errorf("%d bytes", used)
	}
}
