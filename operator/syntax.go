package operator

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/dockerwall/dockerwall/plain"
	"github.com/dockerwall/dockerwall/policy"
)

// document reads the YAML of a text: one document, without anchors; nil when there is none to use.
func (p *parser) document(text []byte) *yaml.Node {
	if len(text) > MaxFile {
		p.failAt(0, 0, policy.RuleLimit, "the file is larger than 1 MiB", "write prefixes or wildcards for many destinations, or several files")
		return nil
	}
	if line := firstInvalid(text); line > 0 {
		p.failAt(line, 0, RuleSyntax, "the file is not UTF-8 from here on", "save it as UTF-8")
		return nil
	}
	if line := hiddenBreak(text); line > 0 {
		p.failAt(line, 0, RuleSyntax, "to YAML a line ends in this one where most programs show none, so that a comment may be over", "leave the character out (U+0085, U+2028, U+2029, or a carriage return that no newline follows)")
		return nil
	}
	p.lines = strings.Split(strings.TrimPrefix(string(text), "\ufeff"), "\n")
	d := yaml.NewDecoder(bytes.NewReader(text))
	var root, next yaml.Node
	switch err := d.Decode(&root); {
	case errors.Is(err, io.EOF) || err == nil && len(root.Content) == 0:
		p.failAt(1, 0, RuleNothing, "the file is empty", `remove it, or write "policies: []"`)
		return nil
	case err != nil:
		p.syntax(text, err)
		return nil
	}
	switch err := d.Decode(&next); {
	case errors.Is(err, io.EOF):
	case err != nil:
		p.syntax(text, err)
		return nil
	default:
		p.failAt(max(next.Line, 1), 0, RuleSyntax, "a second document begins here, and a file holds one", `leave "---" out, or write a file of its own`)
		return nil
	}
	if !p.unanchored(&root) {
		return nil
	}
	return root.Content[0]
}

// firstInvalid is the line with the first byte that is not UTF-8, 0 without one.
func firstInvalid(text []byte) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size <= 1 {
			return bytes.Count(text[:i], []byte("\n")) + 1
		}
		i += size
	}
	return 0
}

// hiddenBreak is the line with the first character at which a line ends for YAML only (1.1, 5.4), 0 without one.
func hiddenBreak(text []byte) int {
	found := regexp.MustCompile(`[\x{85}\x{2028}\x{2029}]|\r([^\n]|$)`).FindIndex(text)
	if found == nil {
		return 0
	}
	return bytes.Count(text[:found[0]], []byte("\n")) + 1
}

// unanchored refuses what lets a text mean more than is written.
func (p *parser) unanchored(n *yaml.Node) bool {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		p.fail(n, RuleSyntax, `without quotes, "*" and "&" in front are aliases and anchors of YAML, which are not read`, `write wildcards in quotation marks, as in "*.example.com", and groups for what stands in several places`)
		return false
	}
	ok := true
	for _, c := range n.Content {
		ok = p.unanchored(c) && ok
	}
	return ok
}

// syntax reports that a text is no YAML.
func (p *parser) syntax(text []byte, err error) {
	what := regexp.MustCompile(`^yaml: (line \d+: )?`).ReplaceAllString(err.Error(), "")
	line := p.failing(text, err)
	remedy := "correct the line, or the one before it"
	shown := ""
	if line <= len(p.lines) {
		shown = p.lines[line-1]
	}
	switch entry := regexp.MustCompile(`(^|[-:\[,])\s*([*@!&%` + "`" + `][^\s,\]}]*)`).FindStringSubmatchIndex(shown); {
	case strings.Contains(shown[:len(shown)-len(strings.TrimLeft(shown, " \t"))], "\t"):
		what, remedy = "the line is indented by a tab", "write spaces"
	case entry != nil:
		word := shown[entry[4]:entry[5]]
		if remedy = "write it in quotation marks, " + inQuotes(word); word[0] == '!' {
			remedy = `write what is denied under "deny", without the "!"`
		}
		p.failAt(line, utf8.RuneCountInString(shown[:entry[4]])+1, RuleSyntax, "without quotes, YAML does not read "+quote(word)+" as a text", remedy)
		return
	}
	p.failAt(line, 0, RuleSyntax, "this is not YAML: "+plain.Text(what, 200), remedy)
}

func inQuotes(word string) string {
	return fmt.Sprintf("%q", plain.Text(strings.Trim(word, `"'`), maxShown))
}

// maxTried bounds the search for the line at which a text ceases to be YAML, in bytes read again.
const maxTried = 4 << 20

// failing is the line at which a text ceases to be YAML: the one after the longest beginning that is. Of long texts it is
// the one that the error names, which can be that of what the line belongs to.
func (p *parser) failing(text []byte, err error) int {
	if len(text)*len(p.lines) <= maxTried {
		for n := len(p.lines) - 1; n > 0; n-- {
			if yaml.Unmarshal([]byte(strings.Join(p.lines[:n], "\n")), new(yaml.Node)) == nil {
				return n + 1
			}
		}
		return 1
	}
	if m := regexp.MustCompile(`line (\d+)`).FindStringSubmatch(err.Error()); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			return min(max(n, 1), len(p.lines))
		}
	}
	return 1
}

// Is says whether a text is a file of policies, of one that is broken as far as can be told.
func Is(text []byte) bool {
	var top map[string]yaml.Node
	if yaml.Unmarshal(text, &top) == nil {
		_, policies := top["policies"]
		_, groups := top["groups"]
		_, services := top["services"]
		return (policies || groups) && !services
	}
	begins := regexp.MustCompile(`(?m)^(policies|groups)\s*:`).Match(text)
	return begins && !regexp.MustCompile(`(?m)^services\s*:`).Match(text)
}
