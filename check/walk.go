package check

import (
	"errors"

	"go.yaml.in/yaml/v3"
)

// Limits of one file. Anchors let a small file mean much: what is followed is counted, not what is written.
const (
	// MaxFile is how many bytes a file may have.
	MaxFile = 4 << 20
	// maxSteps is how many values are looked at; maxStepBytes bytes of a label's text count as one, and a service as
	// serviceSteps.
	maxSteps     = 1 << 19
	maxStepBytes = 16
	serviceSteps = 32
	// maxMerges is how deep "<<" may lead.
	maxMerges = 16
)

var errTooMuch = errors.New("too many values once its anchors are followed")

// walker follows a document, and stops when that becomes too much.
type walker struct {
	steps int
	err   error
}

// step counts one value and says whether to go on.
func (w *walker) step(cost int) bool {
	w.steps += 1 + cost
	if w.steps > maxSteps {
		w.err = errTooMuch
	}
	return w.err == nil
}

// value follows aliases; nil stands for what is not there.
func (w *walker) value(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode && w.step(0) {
		n = n.Alias
	}
	return n
}

// pair is a key of a mapping and what it stands for, aliases followed.
type pair struct{ key, value *yaml.Node }

// pairs are those of a mapping, with what it merges by "<<"; of two with one key the first counts, its own before
// merged ones. What Compose's "!reset" takes away is not there. Whatever is not a mapping has none.
func (w *walker) pairs(n *yaml.Node) []pair {
	seen := map[string]bool{}
	return w.merged(nil, n, seen, 0)
}

func (w *walker) merged(out []pair, n *yaml.Node, seen map[string]bool, depth int) []pair {
	n = w.value(n)
	if n == nil || n.Kind != yaml.MappingNode {
		return out
	}
	if depth > maxMerges {
		w.err = errTooMuch
	}
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content) && w.step(0); i += 2 {
		key, value := w.value(n.Content[i]), w.value(n.Content[i+1])
		switch {
		case key.Kind != yaml.ScalarNode:
		case key.Tag == "!!merge":
			merges = append(merges, value)
		case !seen[key.Value]:
			seen[key.Value] = true
			if value.Tag != "!reset" {
				out = append(out, pair{key, value})
			}
		}
	}
	for _, m := range merges {
		list := []*yaml.Node{m}
		if m.Kind == yaml.SequenceNode {
			list = m.Content
		}
		for _, one := range list {
			if w.step(0) {
				out = w.merged(out, one, seen, depth+1)
			}
		}
	}
	return out
}

// get is what a mapping has under a key, nil if nothing.
func (w *walker) get(n *yaml.Node, key string) *yaml.Node {
	for _, p := range w.pairs(n) {
		if p.key.Value == key {
			return p.value
		}
	}
	return nil
}

// items are those of a list, aliases followed.
func (w *walker) items(n *yaml.Node) (out []*yaml.Node) {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	for _, item := range n.Content {
		if !w.step(0) {
			return nil
		}
		out = append(out, w.value(item))
	}
	return out
}

// scalar is a text, number or boolean as it is written; empty for null and whatever else.
func scalar(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return ""
	}
	return n.Value
}

func isTrue(n *yaml.Node) bool { return n != nil && n.Tag == "!!bool" && n.Value[0]|0x20 == 't' }
