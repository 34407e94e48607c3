// Package plain makes text that others chose, such as labels, names and DNS data, fit to be shown.
package plain

import (
	"strings"
	"unicode"
)

// Text is the first limit bytes of s without what could act on a terminal, break a line or turn its direction: control
// characters, format characters and invalid UTF-8 are left out.
func Text(s string, limit int) string {
	return replaced(s[:min(len(s), limit)], -1)
}

// Label is a label's whole text, to be shown and copied. What [Text] leaves out is a space: without anything in its place a
// token that is wrong because of it, such as two with a tab between them, would become another one that is right.
func Label(s string) string { return strings.TrimSpace(replaced(s, ' ')) }

func replaced(s string, by rune) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return by
		}
		return r
	}, s)
}
