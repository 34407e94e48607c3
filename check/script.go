package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
)

// mixedScripts says which letters of a canonical name are of other scripts than their label's others, and so may be
// look-alikes; empty when there are none. Combinations that languages write with are none (UTS 39, section 5.2, "highly
// restrictive").
func mixedScripts(name string) string {
	for label := range strings.SplitSeq(name, ".") {
		if !strings.HasPrefix(label, "xn--") {
			continue
		}
		text, err := idna.Punycode.ToUnicode(label)
		if err != nil {
			continue
		}
		letters := map[string][]string{} // by script
		for _, r := range text {
			letter := fmt.Sprintf("%c (U+%04X)", r, r)
			if script := scriptOf(r); script != "" && !slices.Contains(letters[script], letter) {
				letters[script] = append(letters[script], letter)
			}
		}
		if !together(letters) {
			return "the label " + label + " mixes scripts: " + describe(letters)
		}
	}
	return ""
}

func describe(letters map[string][]string) string {
	var parts []string
	for _, script := range slices.Sorted(maps.Keys(letters)) {
		list := letters[script]
		parts = append(parts, script+" "+strings.Join(list[:min(len(list), 5)], " "))
	}
	return strings.Join(parts, ", ")
}

// scriptOf is the Unicode script of a letter; empty for what belongs to several.
func scriptOf(r rune) string {
	if 'a' <= r && r <= 'z' {
		return "Latin"
	}
	if !unicode.IsLetter(r) || unicode.In(r, unicode.Common, unicode.Inherited) {
		return ""
	}
	for name, table := range unicode.Scripts {
		if unicode.Is(table, r) {
			return name
		}
	}
	return ""
}

// together says whether some language writes with all of these scripts.
func together(letters map[string][]string) bool {
	for _, language := range [][]string{
		{"Latin", "Han", "Hiragana", "Katakana"}, {"Latin", "Han", "Bopomofo"}, {"Latin", "Han", "Hangul"},
	} {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(letters)), func(s string) bool { return !slices.Contains(language, s) }) {
			return true
		}
	}
	return len(letters) < 2
}
