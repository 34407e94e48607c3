package operator

import (
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/dockerwall/dockerwall/policy"
)

// Limits of one file.
const (
	MaxFile   = 1 << 20 // bytes
	maxRules  = 256
	maxGroups = 256
	maxGlobs  = 256 // of one field
	maxGlob   = 256 // bytes
)

// File is what one file says, taken for itself: whether there are the groups that it names is for [Combine] to see.
type File struct {
	Name   string
	Rules  []Rule
	Groups []Group // in the order of lines, no name twice
	wants  []want
}

// want is a group that a rule names, and where.
type want struct {
	group        policy.Group
	line, column int
}

func (f File) defines(group policy.Group) bool {
	return slices.ContainsFunc(f.Groups, func(g Group) bool { return g.Name == group })
}

// Parse reads the text of a file; name is what its problems call it. It never fails: a file with an error among its
// problems (see [Bad]) is not to be used, and none is returned. Problems are in the order of lines, 20 at most and one for
// the rest.
func Parse(name string, text []byte) (File, []Problem) {
	p := &parser{file: name}
	out := File{Name: name}
	if root := p.document(text); root != nil {
		p.top(root, &out)
	}
	problems := bounded(name, p.problems)
	if Bad(problems) {
		return File{Name: name}, problems
	}
	return out, problems
}

// parser reads one file.
type parser struct {
	file     string
	lines    []string
	indexed  int   // a line, from 1
	starts   []int // its characters, see characters
	problems []Problem
}

// top reads the document.
func (p *parser) top(root *yaml.Node, out *File) {
	if root.Kind != yaml.MappingNode {
		p.fail(root, RuleType, "a file holds a mapping, this one "+kindOf(root), `write "policies:" and a list of rules below, or "groups:" and names`)
		return
	}
	var policies, groups *yaml.Node
	p.keys(root, fields{"policies": func(n *yaml.Node) { policies = n }, "groups": func(n *yaml.Node) { groups = n }})
	if policies == nil && groups == nil && len(p.problems) == 0 {
		p.fail(root, RuleNothing, "the file says nothing", `remove it, or write "policies: []"`)
	}
	if policies != nil && p.is(policies, yaml.SequenceNode, `a list of rules, each with "- match:"`) {
		for i, rule := range policies.Content {
			if i == maxRules {
				p.fail(rule, policy.RuleLimit, "the file has more rules than can be held", "write globs for many containers, or several files of up to 256 rules")
				break
			}
			p.rule(rule, out)
		}
	}
	if groups != nil && p.is(groups, yaml.MappingNode, "names of groups and what each holds") {
		p.groups(groups, out)
	}
}

// rule reads one entry of "policies".
func (p *parser) rule(n *yaml.Node, out *File) {
	if !p.is(n, yaml.MappingNode, `a rule: "match:", and what counts for those that match`) {
		return
	}
	r := Rule{File: p.file, Line: n.Line}
	var allow, deny []piece
	matched, says, before := false, false, len(p.problems)
	p.keys(n, fields{
		"match":       func(v *yaml.Node) { r.Match, matched = p.match(v), true },
		"allow":       func(v *yaml.Node) { allow = p.pieces(v, "allow"); says = says || len(allow) > 0 },
		"deny":        func(v *yaml.Node) { deny = p.pieces(v, "deny"); says = says || len(deny) > 0 },
		"mode":        func(v *yaml.Node) { r.Mode, says = p.mode(v), true },
		"deny-action": func(v *yaml.Node) { r.Reject, says = p.denyAction(v), true },
	})
	if !matched && len(p.problems) == before {
		p.fail(n, RuleMatch, "the rule does not say for which containers it is", everybody)
	}
	if !says && matched && len(p.problems) == before {
		p.fail(n, RuleNothing, "the rule says nothing", `write allow, deny, mode or deny-action, or leave the rule out`)
	}
	r.Policy, r.Lines = p.tokens(n, p.allowed(allow, "deny"), p.allowed(deny, "allow"), &out.wants)
	out.Rules = append(out.Rules, r)
}

const everybody = `write container: "*" for all, else container, project, service, swarm-service, image, network or labels`

// mode reads the field of that name.
func (p *parser) mode(n *yaml.Node) *policy.Mode {
	text, ok := p.word(n, "enforce, audit or off")
	if !ok {
		return nil
	}
	for _, m := range []policy.Mode{policy.ModeEnforce, policy.ModeAudit, policy.ModeOff} {
		if m.String() == text {
			return &m
		}
	}
	p.fail(n, policy.RuleMode, quote(text)+" is not a mode", "write enforce, audit or off"+meant(text, "enforce", "audit", "off"))
	return nil
}

// denyAction reads the field of that name.
func (p *parser) denyAction(n *yaml.Node) *bool {
	text, ok := p.word(n, "drop or reject")
	if !ok {
		return nil
	}
	if reject := text == "reject"; reject || text == "drop" {
		return &reject
	}
	p.fail(n, RuleDenyAction, quote(text)+" is not what can be done with denied packets", "write drop or reject"+meant(text, "drop", "reject"))
	return nil
}

// groups reads the mapping of that name.
func (p *parser) groups(n *yaml.Node, out *File) {
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		name, ok := p.key(key, seen)
		if len(out.Groups) == maxGroups {
			p.fail(key, policy.RuleLimit, "the file has more groups than can be held", "write several files of up to 256 groups")
			return
		}
		if ok && !policy.IsGroup(name) {
			p.fail(key, policy.RuleGroup, quote(name)+" cannot be the name of a group", `write up to 64 small letters, digits, "-" or "_", a letter first, without "@"`)
		}
		pieces := p.pieces(value, "the group")
		if len(pieces) == 0 && !p.failedAt(value) {
			p.fail(value, RuleNothing, "the group holds nothing", "write its destinations, or leave the group out")
		}
		g := Group{Name: policy.Group(name), File: p.file, Line: key.Line}
		g.Policy, g.Lines = p.tokens(value, p.plain(pieces), nil, nil)
		out.Groups = append(out.Groups, g)
	}
}
