package policy

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

func FuzzParse(f *testing.F) {
	for _, text := range seeds() {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, problems := Parse(text)
		checkPolicy(t, p, problems)
		checkReparse(t, p)
		checkPermuted(t, text, p)
		if void, _ := Parse(text + ",!"); len(void.Tokens) > 0 && !void.Tokens[0].Deny || !void.Void {
			t.Errorf("a bad denial leaves %s", texts(void.Tokens))
		}
		for _, problem := range problems {
			checkPrintable(t, problem)
		}
	})
}

func checkPolicy(t *testing.T, p Policy, problems []Problem) {
	t.Helper()
	for i, token := range p.Tokens {
		if i > 0 && p.Tokens[i-1].Compare(token) >= 0 {
			t.Errorf("%v stands before %v", p.Tokens[i-1], token)
		}
		if p.Void && !token.Deny {
			t.Errorf("void, but allows %v", token)
		}
		if l, ok := token.Dest.(Literal); ok && (l.Last.Less(l.First) || l.First.BitLen() != l.Last.BitLen() || l.First.Is4In6() || l.First.Zone() != "") {
			t.Errorf("%v is not canonical", token)
		}
	}
	if slices.ContainsFunc(problems, func(p Problem) bool { return p.Severity == Error && strings.HasPrefix(p.Token, "!") }) && !p.Void {
		t.Errorf("an error on a denial, but not void: %v", problems)
	}
}

func checkReparse(t *testing.T, p Policy) {
	t.Helper()
	again, problems := Parse(strings.ReplaceAll(texts(p.Tokens), " ", ","))
	if !slices.Equal(again.Tokens, p.Tokens) || again.Void {
		t.Errorf("%s became %s: %v", texts(p.Tokens), texts(again.Tokens), problems)
	}
}

func checkPermuted(t *testing.T, text string, p Policy) {
	t.Helper()
	parts := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' })
	if len(parts) > MaxTokens || len(text) > MaxText {
		return // what is beyond the limits depends on the order
	}
	slices.Reverse(parts)
	if q, _ := Parse(strings.Join(parts, "\n,")); !slices.Equal(p.Tokens, q.Tokens) || p.Void != q.Void {
		t.Errorf("%s, backwards %s", texts(p.Tokens), texts(q.Tokens))
	}
}

func FuzzParseLabels(f *testing.F) {
	f.Add("dockerwall.outbound", "a.example", "dockerwall.mode", "audit", true)
	f.Add("dockerwall.output", "!a.example", "dockerwall.outbound", "*", false)
	f.Add("Dockerwall.deny", "reject", "dockerwall.\x1b", "\xff", false)
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 string, image bool) {
		labels := map[string]string{k1: v1, k2: v2}
		var images map[string]string
		if image {
			images = map[string]string{k1: v1}
		}
		l, problems := ParseLabels(labels, images)
		checkPolicy(t, l.Outbound, nil)
		for _, p := range problems {
			checkPrintable(t, p)
		}
		if image && k1 == LabelMode && l.Mode != ModeEnforce || image && k1 == LabelOutbound && len(l.Outbound.Tokens) > 0 {
			t.Errorf("the image decides: %+v", l)
		}
	})
}

func FuzzPattern(f *testing.F) {
	for _, s := range []string{"example.com", "*.example.com", "*.com", "WWW.Example.", "bücher.example", "a*.x", `a\.b.c`, "\u212a.x"} {
		f.Add(s, "www.example.com")
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, s, name string) {
		p, err := ParsePattern(s)
		if err != nil {
			if p != (Pattern{}) {
				t.Errorf("%v in spite of %v", p, err)
			}
			return
		}
		if again, err := ParsePattern(p.String()); err != nil || again != p {
			t.Errorf("%q became %v, then %v, %v", s, p, again, err)
		}
		if p.Match(p.Name()) == p.Wild() || !p.Match("x."+p.Name()) == p.Wild() || p.Match("x"+p.Name()) {
			t.Errorf("%v matches wrongly", p)
		}
		folded := strings.TrimSuffix(name, ".")
		if p.Match(name) && !strings.HasSuffix(strings.ToLower("."+folded), "."+p.Name()) {
			t.Errorf("%v matches %q", p, name)
		}
	})
}

// seeds are the texts of the corpora and of the tables.
func seeds() []string {
	out := []string{
		"a.example, *.b.example:443/tcp\n!c.example", "10.0.0.1/8, ::ffff:10.0.0.0/104, 192.0.2.1-192.0.2.9:80-90",
		"[2001:db8::/32]:443/udp,2001:db8::1:443/icmp", "_dns_,!_dns_,_host_:1,_internet_/tcp,*,*:1", "!@github,*", "https://x/y,a*.x,x.*,**.x",
		"0.0.0.0/0:1-65535,255.255.255.255/tcp,!::/0", "bücher.example,\uff01x.example,\xff,\u202e",
	}
	files, _ := filepath.Glob("../testdata/labels/*.txtar")
	for _, file := range files {
		if ar, err := txtar.ParseFile(file); err == nil {
			for _, f := range ar.Files {
				out = append(out, string(f.Data))
			}
		}
	}
	return out
}
