// Package plain makes text that others chose, such as labels, names and DNS data, fit to be shown.
package plain

import (
	"strings"
	"unicode"
)

// Text is the first limit bytes of s without what could act on a terminal, break a line or turn its direction: control
// characters, format characters and invalid UTF-8 are left out.
func Text(s string, limit int) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s[:min(len(s), limit)])
}
