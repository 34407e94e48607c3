package page

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"flag"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/dockerwall/dockerwall/api"
)

var update = flag.Bool("update", false, "rewrite the golden file")

func rendered(t testing.TB, p Page) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := Render(&out, p); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestThePageOfAShop(t *testing.T) {
	const golden = "testdata/shop.html"
	got := rendered(t, shop())
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("-want +got; -update rewrites it:\n%s", diff)
	}
}

func TestThePageStaysSmall(t *testing.T) {
	long := crowd(1000)
	fill(reflect.ValueOf(&long), strings.Repeat(`<&">`, 1000))
	tests := map[string]struct {
		page Page
		most int
	}{
		"20 containers":                         {crowd(20), 60_000},
		"1,000 containers":                      {crowd(1000), 300_000},
		"1,000 containers with endless texts":   {long, 2_000_000},
		"nothing available":                     {Page{Now: noon()}, 12_000},
		"a host without containers or denials":  {Page{Now: noon(), Status: &api.Status{}, Denials: []api.Denial{}}, 12_000},
		"a whole day of a denial every minute ": {many(shop(), 1440), 60_000},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			n := len(rendered(t, tt.page))
			t.Logf("%d bytes", n)
			if n > tt.most {
				t.Errorf("%d bytes, of %d", n, tt.most)
			}
		})
	}
}

// many has n denials of different destinations.
func many(p Page, n int) Page {
	c := crowd(n / 4)
	p.Denials = c.Denials
	return p
}

func TestWhatIsFoldedIsCounted(t *testing.T) {
	p := crowd(1000)
	p.Status.Containers[7].Findings = nil
	text := string(rendered(t, p))
	for _, want := range []string{"and 900 more", "and 3975 more destinations", "<b>crowd-0001</b>", "<b>crowd-0397</b>"} { // every fourth has a mistake
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q", want)
		}
	}
	if strings.Contains(text, "<b>crowd-0000</b>") {
		t.Error("one without mistakes is shown before those with")
	}
}

func TestPartsThatAreMissingAreSaid(t *testing.T) {
	for name, tt := range map[string]struct {
		page Page
		want []string
	}{
		"nothing":                {Page{}, []string{"STATUS NOT AVAILABLE", "The status is not available", "Denials are not available"}},
		"audit, no suggestions":  {Page{Status: &api.Status{State: api.DryRun}, Denials: []api.Denial{}}, []string{"AUDIT", "None runs", "Nothing was denied", "Suggestions are not available"}},
		"audit, nothing to add":  {Page{Status: &api.Status{State: api.DryRun}, Suggestions: []api.Suggestion{}}, []string{"Nothing to add was seen"}},
		"the table is not there": {Page{Status: &api.Status{State: api.Failing, Degraded: []string{"commit table: no"}}}, []string{"DEGRADED", "commit table: no", "not connected", "never"}},
	} {
		t.Run(name, func(t *testing.T) {
			text := string(rendered(t, tt.page))
			for _, want := range tt.want {
				if !strings.Contains(text, want) {
					t.Errorf("lacks %q", want)
				}
			}
		})
	}
	if strings.Contains(string(rendered(t, Page{Status: &api.Status{State: api.Enforcing}})), "Suggestions</h2>") {
		t.Error("suggestions are spoken of where nobody is in audit")
	}
}

// TestThePolicyKnowsTheStyle reads the style as a browser does: what its hash is of.
func TestThePolicyKnowsTheStyle(t *testing.T) {
	_, rest, _ := strings.Cut(string(rendered(t, shop())), "<style>")
	text, _, found := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(text))
	if !found || !strings.Contains(Policy(), "style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
		t.Errorf("the policy is %s", Policy())
	}
}

// corpus is what an attacker may call a container, an image, a label or a name.
func corpus() []string {
	return []string{
		`<script>alert(1)</script>`, `</style><script>alert(1)</script>`, `</title><img src=x onerror=alert(1)>`, `"><svg onload=alert(1)>`,
		`' onmouseover='alert(1)`, `<!-- `, `--> <b>x`, `]]>`, `{{.Style}}`, `javascript:alert(1)`, `&lt;script&gt;`, `<a href="//x.example">x</a>`,
		"a\x1b[31mred\x1b[0m", "a\x1b]0;title\x07", "a\x9b31mred", "a\u009b2J", "a\rb\nc\td\x00e", "a\u202egnp.exe", "a\u2066b\u2069", "a\xffb\xc0\x80",
		"a\u200bb\ufeff", "\u2028a\u2029", `</code></td></tr></table><h1>x`, strings.Repeat("<b>", 4000), "0x" + strings.Repeat("é", 400),
	}
}

// fill gives every text in v the same value, and leaves one element in every list that had any.
func fill(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			fill(v.Elem(), text)
		}
	case reflect.Slice:
		for i := range v.Len() {
			fill(v.Index(i), text)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i), text)
			}
		}
	case reflect.String:
		v.SetString(text)
	default:
	}
}

// elements are the elements and attributes of a document, each once.
func elements(t testing.TB, document []byte) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	drawing := regexp.MustCompile(`^(M\d+ \d+v-\d+)*$`)
	root, err := html.Parse(bytes.NewReader(document))
	if err != nil {
		t.Fatal(err)
	}
	for n := range root.Descendants() {
		switch n.Type {
		case html.ElementNode:
			out["<"+n.Data+">"] = true
			for _, a := range n.Attr {
				if n.Data == "path" && a.Key == "d" && drawing.MatchString(a.Val) {
					continue
				}
				out["<"+n.Data+" "+a.Key+"="+a.Val+">"] = true
			}
		case html.CommentNode:
			out["<!--"+n.Data] = true
		default:
		}
	}
	return out
}

// known is all markup that the page has of its own.
func known(t testing.TB) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	live, dry, filled := shop(), shop(), shop()
	live.Live, dry.Status.State = true, api.DryRun
	dry.Suggestions[0].Outbound = strings.Repeat("x", maxOutbound+1)
	filled.Status.Changes = []string{""}
	fill(reflect.ValueOf(&filled), "x")
	for _, p := range []Page{live, dry, filled, crowd(1000), {}, {Status: &api.Status{State: api.DryRun}}} {
		for m := range elements(t, rendered(t, p)) {
			out[m] = true
		}
	}
	return out
}

// hostile renders a page in which every text is the same, and looks for what comes of it.
func hostile(t testing.TB, known map[string]bool, base Page, text string) {
	t.Helper()
	base.Status.Changes = []string{""}
	fill(reflect.ValueOf(&base), text)
	document := rendered(t, base)
	for m := range elements(t, document) {
		if !known[m] {
			t.Errorf("%q makes %s", text, m)
		}
	}
	for _, r := range string(document) {
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029') {
			t.Errorf("%q: %U is in the page", text, r)
		}
	}
}

func TestTextsOfOthersStayTexts(t *testing.T) {
	known := known(t)
	for _, text := range corpus() {
		hostile(t, known, shop(), text)
		p := shop()
		p.Status.State, p.Status.Degraded = api.DryRun, nil
		hostileOnce(t, known, p, text)
	}
}

// hostileOnce gives one text at a time the value, so that the others' meaning stays: a mode, a reason, a verdict.
func hostileOnce(t testing.TB, known map[string]bool, p Page, text string) {
	t.Helper()
	for i := range p.Status.Containers {
		c := &p.Status.Containers[i]
		c.Name, c.Outbound, c.Project, c.Unfenced = text, text, text, text
		for j := range c.Names {
			c.Names[j].Name, c.Names[j].Error, c.Names[j].Deny = text, text, true
		}
	}
	for i := range p.Denials {
		p.Denials[i].Names, p.Denials[i].Token = []string{text}, text
	}
	document := rendered(t, p)
	for m := range elements(t, document) {
		if !known[m] && m != `<span class=bad>` {
			t.Errorf("%q makes %s", text, m)
		}
	}
}

func TestATokenIsShownWholeOrNotAtAll(t *testing.T) {
	p := shop()
	long := strings.Repeat("a.", 200) + "example.org:443"
	for i := range p.Denials {
		p.Denials[i].Token = long
	}
	if text := string(rendered(t, p)); strings.Contains(text, long[:100]) {
		t.Error("a part of a token is there to be copied")
	}
}

func FuzzRender(f *testing.F) {
	for _, text := range corpus() {
		f.Add(text)
	}
	known := known(f)
	f.Fuzz(func(t *testing.T, text string) { hostile(t, known, shop(), text) })
}

func BenchmarkRender(b *testing.B) {
	p := crowd(20)
	for b.Loop() {
		rendered(b, p)
	}
}
