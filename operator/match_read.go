package operator

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/dockerwall/dockerwall/policy"
)

// match reads the field of that name.
func (p *parser) match(n *yaml.Node) (m Match) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" || n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		p.fail(n, RuleMatch, "the match is empty", everybody)
		return m
	}
	if !p.is(n, yaml.MappingNode, `what containers have to match, as in {container: "web-*"}`) {
		return m
	}
	into := func(globs *[]string) func(*yaml.Node) {
		return func(v *yaml.Node) { *globs = p.globs(v, false) }
	}
	p.keys(n, fields{
		"container": into(&m.Container), "project": into(&m.Project), "service": into(&m.Service),
		"swarm-service": into(&m.SwarmService), "image": into(&m.Image), "network": into(&m.Network),
		"labels": func(v *yaml.Node) { m.Labels = p.labels(v) },
	})
	return m
}

// labels reads keys of labels and what their values have to match.
func (p *parser) labels(n *yaml.Node) map[string][]string {
	if !p.is(n, yaml.MappingNode, `keys and globs, as in {com.example.tier: "back*"}`) {
		return nil
	}
	if len(n.Content) == 0 {
		p.fail(n, RuleMatch, "no label is named", `write keys and globs, as in {com.example.tier: "back*"}, or leave labels out`)
	}
	out, seen := map[string][]string{}, map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, ok := p.key(n.Content[i], seen)
		if !ok {
			continue
		}
		if key == "" || strings.ContainsAny(key, "*?") {
			p.fail(n.Content[i], RuleGlob, quote(key)+" cannot be the key of a label", `write the key in full; its value may have "*" and "?"`)
		}
		out[key] = p.globs(n.Content[i+1], true)
	}
	return out
}

// globs reads what a field has to match. free says that any character may be in it.
func (p *parser) globs(n *yaml.Node, free bool) (out []string) {
	for _, word := range p.words(n, `a glob or a list of globs, as in ["web", "worker-*"]`) {
		text := word.Value
		switch {
		case len(out) == maxGlobs:
			p.fail(word, policy.RuleLimit, "the field has more globs than can be held", `write "*" or "?" for many`)
			return out
		case len(text) > maxGlob:
			p.fail(word, policy.RuleLimit, "the glob is longer than any name", `write up to 256 bytes, with "*" for the rest`)
		case text != strings.TrimSpace(text):
			p.fail(word, RuleGlob, quote(text)+" begins or ends with a space", "write it without")
		case !free && strings.HasPrefix(text, "/"):
			p.fail(word, RuleGlob, quote(text)+` begins with a "/", no name does`, "write "+quote(strings.TrimLeft(text, "/")))
		case !free && strings.ContainsAny(text, ", \t\n"):
			p.fail(word, RuleGlob, quote(text)+" has a comma or a space, no name does", `write a list for several, as in [web, "worker-*"]`)
		case !free && strings.ContainsAny(text, `[]{}()|^$!+\`):
			p.fail(word, RuleGlob, quote(text)+" has a character that no name has", `write "*" for any characters, "?" for one, and a list for several`)
		default:
			out = append(out, text)
		}
	}
	if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		p.fail(n, RuleMatch, "the list is empty, so that it matches nothing", `write globs, or leave the field out; "*" matches whatever has it`)
	}
	return out
}
