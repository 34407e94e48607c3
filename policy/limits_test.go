package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// list is n tokens made by a format with two bytes of an address, or any two numbers.
func list(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i/256, i%256)
	}
	return b.String()
}

// ports is a prefix with n ports, no two of them neighbours.
func ports(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "10.0.0.0/8:%d,", 2*i+1)
	}
	return b.String()
}

func TestTenThousandTokens(t *testing.T) {
	tests := map[string]struct{ text string }{
		"names":               {list(10_000, "a%d-%d.example.com,")},
		"addresses":           {list(10_000, "10.%d.%d.1,")},
		"addresses and ports": {list(10_000, "10.%d.%d.1:443,")},
		"prefixes and ports":  {list(10_000, "10.%d.%d.0/31:443/tcp\n")},
		"denials":             {list(10_000, "!10.%d.%d.1:443,")},
		"many ports":          {ports(10_000)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p, problems := Parse(tt.text)
			if len(p.Tokens) != 10_000 || p.Void || len(problems) > 0 {
				t.Errorf("%d tokens, void %v, problems %v", len(p.Tokens), p.Void, problems)
			}
		})
	}
}

func TestTextsAboveTheLimits(t *testing.T) {
	many, long := list(MaxTokens, "10.%d.%d.1,"), "a.example,"+strings.Repeat(" ", MaxText)
	tests := map[string]struct {
		text   string
		tokens int
		void   bool
		errors int
	}{
		"as many tokens as fit":                 {many, MaxTokens, false, 0},
		"one more":                              {many + "b.example", MaxTokens, false, 1},
		"one more is a denial":                  {many + "!b.example", 0, true, 1},
		"a denial later":                        {many + "b.example,c.example,!d.example", 0, true, 1},
		"a denial before":                       {"!b.example," + many, MaxTokens, false, 1},
		"a long text":                           {long + ",b.example", 1, false, 1},
		"a long text with a denial":             {long + ",!b.example", 0, true, 1},
		"spaces beyond the limit":               {long, 1, false, 0},
		"a token across the limit":              {strings.Repeat(",", MaxText-5) + "b.example.com", 0, false, 1},
		"a token that ends at the limit":        {strings.Repeat(",", MaxText-9) + "b.example", 1, false, 0},
		"one megabyte of one name":              {strings.Repeat("a", MaxText), 0, false, 1},
		"one megabyte of mistakes is 20, and 1": {strings.Repeat("\xff,", MaxText/2), 0, false, maxProblems + 1},
		"one megabyte of nothing":               {strings.Repeat(",", MaxText), 0, false, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p, problems := Parse(tt.text)
			if len(p.Tokens) != tt.tokens || p.Void != tt.void {
				t.Errorf("%d tokens, void %v", len(p.Tokens), p.Void)
			}
			if len(problems) != tt.errors {
				t.Errorf("problems %v", problems)
			}
		})
	}
}

// nested is n ranges one inside the other, each with a port of its own that touches no other.
func nested(n int, prefix string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%s10.0.%d.%d-10.9.%d.%d:%d,", prefix, i/256, i%256, 255-i/256, 255-i%256, 2*i+1)
	}
	return b.String()
}

func TestNestedRangesWithPortsStayBounded(t *testing.T) {
	p, problems := Parse(nested(1000, "") + "192.0.2.1:1,192.0.2.0/24")
	if len(p.Tokens) != 1002 || len(problems) > 0 {
		t.Fatalf("1,000: %d tokens, %v", len(p.Tokens), problems)
	}
	if _, ok := Boxes(p.Tokens); !ok {
		t.Error("1,000 do not fit")
	}

	p, problems = Parse(nested(MaxTokens-4, "") + "192.0.2.1:1,192.0.2.0/24,a.example:1,!b.example")
	if got := texts(p.Tokens); p.Void || got != "192.0.2.0/24 192.0.2.1:1 a.example:1 !b.example" {
		t.Errorf("allows: %s, void %v", got, p.Void)
	}
	if len(problems) != 1 || problems[0].Severity != Error {
		t.Errorf("allows: %v", problems)
	}

	p, problems = Parse(nested(MaxTokens-2, "!") + "192.0.2.1:1,!192.0.2.1:2")
	if !p.Void || len(p.Tokens) != MaxTokens-1 || len(problems) != 1 {
		t.Fatalf("denials: %d tokens, void %v, %v", len(p.Tokens), p.Void, problems)
	}
	for _, token := range p.Tokens {
		if !token.Deny || token.Clause != (Clause{}) && !token.Dest.(Literal).Single() {
			t.Fatalf("denials: %v", token)
		}
	}
}

func TestBoxesAreCounted(t *testing.T) {
	// Each prefix with a neighbouring port cuts the outer one: four boxes of one token.
	text := func(n int) string { return "10.0.0.0/8:80," + list(n, "10.%d.%d.64/26:81,") }
	p, problems := Parse(text(MaxBoxes/4 - 1))
	if boxes, ok := Boxes(p.Tokens); !ok || len(boxes) != MaxBoxes-2 || len(problems) > 0 {
		t.Errorf("%d boxes, %v, %v", len(boxes), ok, problems)
	}
	if p, problems = Parse(text(MaxBoxes / 4)); len(p.Tokens) != 0 || len(problems) != 1 {
		t.Errorf("%d tokens, %v", len(p.Tokens), problems)
	}
}

func TestHostileTextsStayBounded(t *testing.T) {
	for name, text := range hostileTexts() {
		p, problems := Parse(text)
		if len(problems) > maxProblems+1 {
			t.Errorf("%s: %d problems", name, len(problems))
		}
		for _, p := range problems {
			checkPrintable(t, p)
		}
		for i := range 4 {
			deny, single := i&1 > 0, i&2 > 0
			tokens := slices.DeleteFunc(slices.Clone(p.Tokens), func(t Token) bool {
				l, ok := t.Dest.(Literal)
				return !ok || t.Deny != deny || l.Single() != single
			})
			if boxes, ok := Boxes(tokens); !ok || len(boxes) > MaxBoxes {
				t.Errorf("%s: %d boxes, %v", name, len(boxes), ok)
			}
		}
	}
}

func checkPrintable(t *testing.T, p Problem) {
	t.Helper()
	s := p.String()
	if !utf8.ValidString(s) || len(s) > 1500 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\u202e' || r == '\ufeff' }) {
		t.Errorf("%d bytes: %q", len(s), s)
	}
	if p.Message == "" || p.Remedy == "" || p.Rule == "" {
		t.Errorf("says too little: %+v", p)
	}
}

func hostileTexts() map[string]string {
	return map[string]string{
		"nested ranges":           nested(MaxTokens, ""),
		"nested denied ranges":    nested(MaxTokens, "!"),
		"one prefix, all ports":   ports(MaxTokens),
		"single and all ports":    "10.0.0.0/8/tcp," + list(MaxTokens, "10.%d.%d.1:80,"),
		"ports under many":        ports(MaxTokens/2) + list(MaxTokens/2, "10.%d.%d.0/31:9,"),
		"control bytes":           strings.Repeat("\x1b[2J\x00\u202e\ufeff.x,", MaxText/16),
		"one token of nonsense":   strings.Repeat("\xff\x00", MaxText/2),
		"international names":     list(MaxTokens, "bücher%d-%d.example,"),
		"long international name": strings.Repeat("ü", 500) + ".example",
		"bad labels":              strings.Repeat("ü*:@!/[].x,", MaxText/16),
		"denied and allowed":      list(MaxTokens/2, "!10.%d.%d.0/24:%[2]d,") + list(MaxTokens/2, "10.%d.%d.7:%[2]d,"),
		"colons":                  strings.Repeat(":", 1000) + "," + strings.Repeat("1:", 500),
		"slashes":                 strings.Repeat("/", 1000) + "," + strings.Repeat("1/", 500),
		"names under denials":     list(MaxTokens/2, "!*.a%d-%d.example,") + list(MaxTokens/2, "b.b.b.a%d-%d.example,"),
	}
}

func BenchmarkParse(b *testing.B) {
	texts := hostileTexts()
	texts["10,000 names"] = list(10_000, "a%d-%d.example.com,")
	texts["10,000 addresses and ports"] = list(10_000, "10.%d.%d.1:443,")
	for name, text := range texts {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				Parse(text)
			}
		})
	}
}
