package operator

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/dockerwall/dockerwall/policy"
)

// fail reports an error at a node.
func (p *parser) fail(n *yaml.Node, rule, message, remedy string) {
	p.failAt(n.Line, n.Column, rule, message, remedy)
}

func (p *parser) failAt(line, column int, rule, message, remedy string) {
	p.problems = append(p.problems, Problem{p.file, line, column, policy.Problem{Severity: policy.Error, Rule: rule, Message: message, Remedy: remedy}})
}

// failedAt says whether something is wrong at this very node.
func (p *parser) failedAt(n *yaml.Node) bool {
	return slices.ContainsFunc(p.problems, func(q Problem) bool { return q.Line == n.Line && q.Column == n.Column })
}

// fields are the keys that a mapping may have, and what reads their values.
type fields map[string]func(*yaml.Node)

// keys reads a mapping. Keys that are unknown or stand twice are reported and not read.
func (p *parser) keys(n *yaml.Node, known fields) {
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		name, ok := p.key(key, seen)
		if !ok {
			continue
		}
		if read := known[name]; read != nil {
			read(n.Content[i+1])
			continue
		}
		names := sortedKeys(known)
		p.fail(key, RuleKey, quote(name)+" is not known here", "write "+oneOf(names)+meant(name, names...))
	}
}

// key reads a key, which stands for the first time in its mapping.
func (p *parser) key(n *yaml.Node, seen map[string]bool) (string, bool) {
	if p.tagged(n) {
		p.fail(n, RuleSyntax, "this key has a tag of YAML, which is not read", `leave what begins with "!" out`)
		return "", false
	}
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		p.fail(n, RuleType, "a key is a word, this one "+kindOf(n), "write a word in front of the colon")
		return "", false
	}
	if seen[n.Value] {
		p.fail(n, RuleKey, quote(n.Value)+" stands twice", "put both into one")
		return "", false
	}
	seen[n.Value] = true
	return n.Value, true
}

// tagged says whether n has a tag. That of "! a.example" is none that package yaml would tell of.
func (p *parser) tagged(n *yaml.Node) bool {
	if n.Style&yaml.TaggedStyle != 0 {
		return true
	}
	if n.Line < 1 || n.Line > len(p.lines) {
		return false
	}
	starts := p.characters(n.Line)
	return n.Column >= 1 && n.Column < len(starts) && p.lines[n.Line-1][starts[n.Column-1]] == '!'
}

// characters are the places, in bytes, where the characters of a line begin, and its end.
func (p *parser) characters(line int) []int {
	if p.indexed == line {
		return p.starts
	}
	p.indexed, p.starts = line, p.starts[:0]
	for i := range p.lines[line-1] {
		p.starts = append(p.starts, i)
	}
	p.starts = append(p.starts, len(p.lines[line-1]))
	return p.starts
}

// is says whether n is of a kind, and reports if not.
func (p *parser) is(n *yaml.Node, kind yaml.Kind, want string) bool {
	switch {
	case p.tagged(n):
		p.fail(n, RuleSyntax, "this has a tag of YAML, which is not read", `leave what begins with "!" out: denials stand under "deny"`)
	case n.Kind != kind:
		p.fail(n, RuleType, "this "+kindOf(n), "write "+want)
	default:
		return true
	}
	return false
}

// word reads a scalar that is a text.
func (p *parser) word(n *yaml.Node, want string) (string, bool) {
	switch {
	case p.tagged(n) && n.Kind == yaml.ScalarNode:
		p.fail(n, RuleSyntax, `without quotes, what begins with "!" is a tag of YAML, which is not read`, `leave the "!" out: denials stand under "deny"`)
	case n.Kind != yaml.ScalarNode:
		p.fail(n, RuleType, "this "+kindOf(n), "write "+want)
	case n.Tag == "!!null" || strings.TrimSpace(n.Value) == "":
		p.fail(n, RuleType, "nothing stands here", "write "+want+", or leave the key out")
	case n.Tag != "!!str":
		p.fail(n, RuleType, quote(n.Value)+" "+kindOf(n)+", not a text", "write it in quotation marks, "+quote(n.Value))
	default:
		return n.Value, true
	}
	return "", false
}

// words are the scalars of a list, or the one that stands for a list of one.
func (p *parser) words(n *yaml.Node, want string) (out []*yaml.Node) {
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		if !p.is(n, yaml.SequenceNode, want) {
			return nil
		}
		list = n.Content
	}
	for _, one := range list {
		if _, ok := p.word(one, want); ok {
			out = append(out, one)
		}
	}
	return out
}

// kindOf says what a node is.
func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "is a mapping"
	case n.Kind == yaml.SequenceNode:
		return "is a list"
	case n.Tag == "!!null":
		return "is empty"
	case n.Tag == "!!int" || n.Tag == "!!float":
		return "is a number to YAML"
	case n.Tag == "!!bool":
		return "is a truth value to YAML"
	case n.Tag == "!!timestamp":
		return "is a date to YAML"
	}
	return "is a text"
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// oneOf is "a, b or c".
func oneOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// meant asks for the word that was most likely meant; "" when none is like it.
func meant(text string, words ...string) string {
	if len(text) > maxShown {
		return ""
	}
	plain := strings.ReplaceAll(strings.ToLower(text), "_", "-")
	best, found := 3, ""
	for _, w := range words {
		if d := policy.Distance(plain, w); d < best && d < len(w) {
			best, found = d, w
		}
	}
	if found == "" {
		return ""
	}
	return "; did you mean " + found + "?"
}
