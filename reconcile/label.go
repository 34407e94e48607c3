package reconcile

import (
	"slices"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/policy"
)

// labels are a container's as far as they can be believed, read and compiled.
type labels struct {
	text     // dockerwall.outbound
	mode     policy.Mode
	says     bool // whether a label says the mode
	reject   bool
	problems []policy.Problem
	void     bool // a denial is lost, and no allow counts

	grammar string            // which groups there were
	ours    map[string]string // the container's
	brought map[string]string // its image's
	known   bool              // whether brought is
}

// labels are those of c.
func (s State) labels(c docker.Container) *labels {
	s = s.ready()
	if l, ok := s.library.labels[c.ID]; ok {
		return l
	}
	return s.readLabels(c, s.Operator.Grammar())
}

func (s State) readLabels(c docker.Container, g policy.Grammar) *labels {
	image, known := s.image(c)
	parsed, problems := g.ParseLabels(c.Labels, image)
	if !known {
		parsed, problems = narrowed(parsed, problems)
	}
	l := &labels{
		text: text{origin: OriginLabel, label: policy.LabelOutbound, tokens: parsed.Outbound.Tokens},
		mode: parsed.Mode, reject: parsed.Reject, problems: problems, void: parsed.Outbound.Void, ours: c.Labels, brought: image, known: known,
	}
	said, ok := c.Labels[policy.LabelMode]
	l.says = ok && known && image[policy.LabelMode] != said
	l.read()
	return l
}

// alikeFor is the same for containers whose labels can share a source, "" for one that cannot: of resolvers that are its own
// no other's source can deny.
func (l *labels) alikeFor(c docker.Container) string {
	if len(l.tokens) == 0 || l.compiled.deniesDNS && len(c.Resolvers) > 0 {
		return ""
	}
	return l.sum
}

// image are the labels of c's image, nil when images are trusted, and whether it is known which of c's
// labels are not to be obeyed.
func (s State) image(c docker.Container) (image map[string]string, known bool) {
	image, known = s.ImageLabels[c.ImageID]
	return image, known || s.ImageLabels == nil
}

// narrowed is what counts of the labels of a container whose image is unknown: see [Build].
func narrowed(l policy.Labels, problems []policy.Problem) (policy.Labels, []policy.Problem) {
	allows := func(t policy.Token) bool { return !t.Deny }
	if l.Mode == policy.ModeEnforce && !slices.ContainsFunc(l.Outbound.Tokens, allows) {
		return l, problems
	}
	l.Mode = policy.ModeEnforce
	l.Outbound.Tokens = slices.DeleteFunc(slices.Clone(l.Outbound.Tokens), allows)
	return l, append(slices.Clone(problems), policy.Problem{
		Severity: policy.Error, Rule: RuleImageGone,
		Message: "the container's image is gone, and with it the knowledge which labels are the image's own; what they allow is left out, and the container is fenced by its denials",
		Remedy:  "pull or load the image again, create the container anew, or set TRUST_IMAGE_LABELS=true to trust all images",
	})
}

// equal says whether two containers' labels ask for the same.
func (l *labels) equal(m *labels) bool {
	return l.mode == m.mode && l.reject == m.reject && slices.Equal(l.tokens, m.tokens)
}

// readLabels are those of c: the last ones if nothing has changed.
func (r *textReader) readLabels(c docker.Container) *labels {
	last, ok := r.last.labels[c.ID]
	image, known := r.state.image(c)
	if !ok || last.grammar != r.out.grammar || last.known != known || !sameOurs(last.ours, c.Labels) || !sameOurs(last.brought, image) {
		last = r.state.readLabels(c, r.grammar)
		last.grammar = r.out.grammar
	}
	return last
}

// sameOurs says whether two sets of labels have the same of ours.
func sameOurs(a, b map[string]string) bool {
	n := 0
	for key, value := range a {
		if policy.IsLabel(key) {
			if other, ok := b[key]; !ok || other != value {
				return false
			}
			n++
		}
	}
	for key := range b {
		if policy.IsLabel(key) {
			n--
		}
	}
	return n == 0
}
