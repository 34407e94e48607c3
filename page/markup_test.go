package page

import (
	"bytes"
	"html/template"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/dockerwall/dockerwall/api"
)

func TestTextsAreEscapedAsHTMLTemplateDoes(t *testing.T) {
	reference := template.Must(template.New("").Parse(`<p class="a {{.}}">{{.}}</p>`))
	for _, text := range append(corpus(), "", "a+b", "{}", "\x00{}\x00", `&#39;"'`) {
		var want, got bytes.Buffer
		if err := reference.Execute(&want, text); err != nil {
			t.Fatal(err)
		}
		w := newWriter(&got)
		w.put(`<p class="a {}">{}</p>`, text, text)
		if err := w.out.Flush(); err != nil {
			t.Fatal(err)
		}
		if got.String() != want.String() {
			t.Errorf("%q is %q, want %q", text, got.String(), want.String())
		}
	}
}

// TestTextsOfOthersStandBetweenTags because only what is escaped for there is.
func TestTextsOfOthersStandBetweenTags(t *testing.T) {
	const marker = "mark3r"
	seen := 0
	for _, p := range []Page{shop(), crowd(20), {Now: noon(), Live: true, Status: &api.Status{State: api.DryRun}, Suggestions: shop().Suggestions}} {
		fill(reflect.ValueOf(&p), marker)
		root, err := html.Parse(bytes.NewReader(rendered(t, p)))
		if err != nil {
			t.Fatal(err)
		}
		for n := range root.Descendants() {
			for _, a := range n.Attr {
				if strings.Contains(a.Key+a.Val, marker) {
					t.Errorf("<%s %s=%q>", n.Data, a.Key, a.Val)
				}
			}
			if n.Type != html.TextNode || !strings.Contains(n.Data, marker) {
				continue
			}
			seen++
			if parent := n.Parent.Data; parent == "style" || parent == "script" {
				t.Errorf("in <%s>", parent)
			}
		}
	}
	if seen < 30 {
		t.Errorf("%d texts were looked at", seen)
	}
}

// TestOnlyConstantsAreMarkup looks for a text that is made markup by force.
func TestOnlyConstantsAreMarkup(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if m := regexp.MustCompile(`markup\([^)]*\)`).Find(text); m != nil && !strings.HasSuffix(file, "_test.go") {
			t.Errorf("%s has %s", file, m)
		}
	}
}

func TestAWriterThatFailsIsSaid(t *testing.T) {
	if err := Render(full{}, shop()); err == nil {
		t.Error("no error")
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, os.ErrClosed }
