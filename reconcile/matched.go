package reconcile

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/operator"
)

// matched are the rules of files that are for a container, and what that was found out from.
type matched struct {
	rules []matchedRule

	from     []operator.Rule // all there are
	name     string
	image    string
	unsure   bool     // whether image is what it was created from
	known    bool     // what its image brought along
	networks []string // their names
}

// matchedRule is a rule that is for a container.
type matchedRule struct {
	rule operator.Rule
	key  string // what the rule keeps when others come and go, or its tokens change
	// narrow is set where it is for the container only because of labels that its image may have brought along, or of the
	// image's name while that is not known: nobody who builds an image is to be allowed anything by that, and nobody to get
	// around a denial.
	narrow bool
}

// where is the rule's place, such as 10-shop.yaml:12.
func (m matchedRule) where() string { return fmt.Sprintf("%s:%d", m.rule.File, m.rule.Line) }

func (m *matched) each() []matchedRule {
	if m == nil {
		return nil
	}
	return m.rules
}

// match finds the rules for a container. Its labels cannot change while it lives.
func (r *textReader) match(c docker.Container) *matched {
	rules := r.state.Operator.Rules
	if len(rules) == 0 {
		return nil
	}
	image, known := r.state.image(c)
	m := &matched{from: rules, name: c.Name, image: c.Image, unsure: c.ImageUnsure, known: known, networks: r.attached[c.ID]}
	last := r.last.matched[c.ID]
	if last != nil && last.same(m) {
		m = last
	} else {
		m.rules = r.findRules(c, image, known)
	}
	r.out.matched[c.ID] = m
	return m
}

// same says whether two are found out from the same.
func (m *matched) same(o *matched) bool {
	return sameRules(m.from, o.from) && m.name == o.name && m.image == o.image && m.unsure == o.unsure && m.known == o.known && slices.Equal(m.networks, o.networks)
}

// sameRules says whether two slices are one.
func sameRules(a, b []operator.Rule) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }

func (r *textReader) findRules(c docker.Container, image map[string]string, known bool) (out []matchedRule) {
	subject := operator.Subject{Name: c.Name, Image: c.Image, Labels: c.Labels, Networks: r.attached[c.ID]}
	own := subject
	own.Labels = map[string]string{}
	for key, value := range c.Labels {
		if brought, ok := image[key]; known && !(ok && brought == value) {
			own.Labels[key] = value
		}
	}
	if r.keys == nil {
		r.keys = ruleKeys(r.state.Operator.Rules)
	}
	for i, rule := range r.state.Operator.Rules {
		may := rule.Match
		if c.ImageUnsure && len(may.Image) > 0 {
			may.Image = []string{"*"}
		}
		if may.Matches(subject) {
			out = append(out, matchedRule{rule, r.keys[i], !rule.Match.Matches(own)})
		}
	}
	return out
}

// attached are the names of the networks that containers are attached to, by their IDs: Docker says so of the container and
// of the network, one a little before the other.
func attached(s State) map[string][]string {
	if len(s.Operator.Rules) == 0 {
		return nil
	}
	out, names := map[string][]string{}, map[string]string{}
	for _, n := range s.Docker.Networks {
		names[n.ID], names[n.Name] = n.Name, n.Name
		for _, e := range n.Endpoints {
			out[e.ContainerID] = append(out[e.ContainerID], n.Name)
		}
	}
	for _, c := range s.Docker.Containers {
		for _, n := range c.Networks {
			if name, ok := names[n]; ok {
				out[c.ID] = append(out[c.ID], name)
			}
		}
		slices.Sort(out[c.ID])
		out[c.ID] = slices.Compact(out[c.ID])
	}
	return out
}

// ruleKeys tell rules apart: by file, whom they are for, and which of those that are for the same they are. So a rule
// keeps its sets in the kernel while its tokens change.
func ruleKeys(rules []operator.Rule) []string {
	seen := map[string]int{}
	keys := make([]string, 0, len(rules))
	for _, r := range rules {
		match, _ := json.Marshal(r.Match) // strings alone
		key := r.File + " " + string(match)
		seen[key]++
		keys = append(keys, fmt.Sprintf("%s %d", key, seen[key]))
	}
	return keys
}
