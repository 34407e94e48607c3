package policy

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// canonicalName is s in lower case, in A-labels and without a trailing dot, or what is wrong with it.
func canonicalName(s string) (string, *mistake) {
	s = strings.TrimSuffix(s, ".")
	name, bad := toASCII(s)
	if bad != nil {
		return "", bad
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if bad := checkLabel(label); bad != nil {
			return "", bad
		}
	}
	if len(name) > 253 {
		return "", &mistake{rule: RuleName, what: fmt.Sprintf("the name has %d characters", len(name)), remedy: "names have 253 at most"}
	}
	if last := labels[len(labels)-1]; isNumber(last) {
		return "", &mistake{rule: RuleName, what: "no name ends in the number " + quote(last), remedy: "write an address as four decimal numbers, or the full name"}
	}
	return name, nil
}

// toASCII folds ASCII labels and converts the others. The conversion is label by label because the
// profile refuses "_" and "--", which occur in names that are in use.
func toASCII(s string) (string, *mistake) {
	if isASCII(s) {
		return strings.ToLower(s), nil
	}
	if !utf8.ValidString(s) { // package idna lets it pass
		return "", &mistake{rule: RuleName, what: "the name is not valid UTF-8", remedy: "type it anew, in plain letters"}
	}
	labels := strings.Split(s, ".")
	for i, label := range labels {
		if isASCII(label) {
			labels[i] = strings.ToLower(label)
			continue
		}
		ascii, err := idna.Lookup.ToASCII(label)
		if err != nil {
			return "", &mistake{
				rule:   RuleName,
				what:   "the label " + quote(label) + " is no international name (IDNA2008)",
				remedy: `write the name as DNS has it, with labels that begin with "xn--"`,
			}
		}
		labels[i] = ascii
	}
	return strings.Join(labels, "."), nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func checkLabel(label string) *mistake {
	if label == "" {
		return &mistake{rule: RuleName, what: "the name has an empty label", remedy: "write one dot between labels and none in front"}
	}
	if len(label) > 63 {
		return &mistake{rule: RuleName, what: fmt.Sprintf("the label %s has %d characters", quote(label), len(label)), remedy: "labels have 63 at most"}
	}
	for _, c := range label {
		if !isLabelChar(c) {
			return &mistake{rule: RuleName, what: fmt.Sprintf("the name has the character %+q", c), remedy: `names have letters, digits, "-", "_" and dots only`}
		}
	}
	return nil
}

func isLabelChar(c rune) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// isNumber says whether a last label makes programs take the whole name for an IPv4 address
// (https://url.spec.whatwg.org/#ends-in-a-number-checker): decimal digits, or 0x and hex digits.
func isNumber(label string) bool {
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return isDigits(label)
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
