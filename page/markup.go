package page

import (
	"bufio"
	"io"
	"strings"
)

// markup is HTML of our own, in which each {} stands for a text. A constant becomes one by itself; a text of others does
// not compile where markup is wanted.
type markup string

// writer writes markup and the texts in it. A {} may stand between tags and in an attribute in double quotes, and nowhere
// else: both need the same characters escaped, where a link, a style or a script would need others.
type writer struct {
	out    *bufio.Writer
	escape *strings.Replacer
}

// newWriter escapes what html/template does in such places: "+" and NUL beside the usual five, because old browsers guess
// UTF-7 from the one, and the other must not be in a document (HTML, "preprocessing the input stream").
func newWriter(w io.Writer) writer {
	return writer{bufio.NewWriter(w), strings.NewReplacer(
		"&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;", "+", "&#43;", "\x00", "\uFFFD")}
}

// put writes markup, each {} as the next of texts, escaped. An error of the writer comes when it is flushed.
func (w writer) put(m markup, texts ...string) {
	rest := string(m)
	for _, t := range texts {
		before, after, _ := strings.Cut(rest, "{}")
		_, _ = w.out.WriteString(before)
		_, _ = w.escape.WriteString(w.out, t)
		rest = after
	}
	_, _ = w.out.WriteString(rest)
}

// some writes markup with one text in it, and nothing where the text is empty.
func (w writer) some(m markup, text string) {
	if text != "" {
		w.put(m, text)
	}
}

// either writes the first where it is so, and else the second.
func (w writer) either(so bool, yes, no markup) {
	if so {
		w.put(yes)
		return
	}
	w.put(no)
}
