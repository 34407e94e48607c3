package operator

import (
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/dockerwall/dockerwall/policy"
)

// piece is one token as written, and where.
type piece struct {
	text         string
	line, column int
}

// pieces are the tokens of a list, or of one text with commas. of is what the list is called.
func (p *parser) pieces(n *yaml.Node, of string) (out []piece) {
	for _, word := range p.words(n, "destinations for "+of+`, as in ["*.example.com:443", 10.0.0.0/8]`) {
		off, lines := 0, 0 // of what comes next
		for off < len(word.Value) {
			raw := word.Value[off:]
			if end := strings.IndexAny(raw, ",\n"); end >= 0 {
				raw = raw[:end]
			}
			if text := strings.TrimSpace(raw); text != "" {
				if len(out) == policy.MaxTokens {
					p.fail(n, policy.RuleLimit, "more destinations than can be held", "write prefixes or wildcards for many destinations, or several rules")
					return out
				}
				line, column := p.within(word, lines, off+strings.Index(raw, text), text)
				out = append(out, piece{text, line, column})
			}
			if off += len(raw) + 1; off <= len(word.Value) && word.Value[off-1] == '\n' {
				lines++
			}
		}
	}
	return out
}

// within is where a part of a scalar stands, behind so many line ends and bytes of it, as near as can be told.
func (p *parser) within(n *yaml.Node, lines, off int, text string) (line, column int) {
	switch {
	case text == n.Value && n.Style == 0:
		return n.Line, n.Column
	case text == n.Value && n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		return n.Line, n.Column + 1
	}
	line, from := n.Line, n.Column
	if n.Style&yaml.LiteralStyle != 0 {
		line, from = n.Line+1+lines, 1
	}
	if line > len(p.lines) {
		return n.Line, n.Column
	}
	rest, skipped := p.lines[line-1], 0
	for ; skipped < from-1 && rest != ""; skipped++ {
		_, size := utf8.DecodeRuneInString(rest)
		rest = rest[size:]
	}
	after := 0
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
		after = min(off, len(rest))
	}
	if i := strings.Index(rest[after:], text); i >= 0 {
		return line, skipped + utf8.RuneCountInString(rest[:after+i]) + 1
	}
	return line, from
}

// allowed leaves out what is written as a denial; other is the list that says the opposite.
func (p *parser) allowed(pieces []piece, other string) []piece {
	return slices.DeleteFunc(pieces, func(c piece) bool {
		if denies(c.text) {
			p.failAt(c.line, c.column, RulePlace, quote(c.text)+` has a "!"`, `write it without, under "`+other+`"`)
			return true
		}
		return false
	})
}

// plain leaves out what a group cannot hold.
func (p *parser) plain(pieces []piece) []piece {
	return slices.DeleteFunc(pieces, func(c piece) bool {
		switch {
		case denies(c.text):
			p.failAt(c.line, c.column, RulePlace, "a group holds no denials: "+quote(c.text), `write it without the "!"; a rule that has the group under "deny" denies all of it`)
		case strings.HasPrefix(c.text, "@"):
			p.failAt(c.line, c.column, RulePlace, "a group holds no groups: "+quote(c.text), "write what that group holds, or both groups where this one is used")
		default:
			return false
		}
		return true
	})
}

// denies says whether a text begins with an exclamation mark, in any of the widths that keyboards produce.
func denies(text string) bool {
	r, _ := utf8.DecodeRuneInString(text)
	return strings.ContainsRune("!\uff01\ufe57", r)
}

// tokens reads what stands at n in the grammar of labels, in which denials have the "!" that their list stands for. What
// groups it names is added to wants; without that it can name none.
func (p *parser) tokens(n *yaml.Node, allow, deny []piece, wants *[]want) (policy.Policy, map[policy.Token]int) {
	all := make([]piece, 0, len(allow)+len(deny))
	starts := make([]int, 0, cap(all)) // where each begins in the text, in characters from 1
	var text strings.Builder
	length := 0
	write := func(list []piece, mark string) {
		for _, c := range list {
			all, starts = append(all, c), append(starts, length+1)
			text.WriteString(mark + c.text + "\n")
			length += len(mark) + utf8.RuneCountInString(c.text) + 1
		}
	}
	write(allow, "")
	write(deny, "!")
	at := func(pos int) (c piece, into int) {
		i := sort.SearchInts(starts, pos+1) - 1
		if into = pos - starts[i]; i >= len(allow) {
			into = max(0, into-1) // the mark
		}
		return all[i], into
	}
	grammar := policy.Grammar{Known: func(policy.Group) bool { return wants != nil }}
	out, problems := grammar.Parse(text.String())
	for _, q := range problems {
		q.Message, _, _ = strings.Cut(q.Message, lostDenial)
		place := Problem{p.file, n.Line, n.Column, q}
		if q.Pos > 0 {
			c, into := at(q.Pos)
			place.Line, place.Column = c.line, c.column+into
		}
		place.Pos, place.Token = 0, strings.TrimPrefix(q.Token, "!")
		p.problems = append(p.problems, place)
	}
	lines := map[policy.Token]int{}
	for _, e := range grammar.Entries(text.String()) {
		c, _ := at(e.Pos)
		if _, ok := lines[e.Token]; !ok {
			lines[e.Token] = c.line
		}
		if g, ok := e.Dest.(policy.Group); ok && wants != nil {
			*wants = append(*wants, want{g, c.line, c.column})
		}
	}
	return out, lines
}

// lostDenial begins what package policy adds to an error in a denial: of a file more is lost, all that it says.
const lostDenial = ", and a denial is lost with it"
