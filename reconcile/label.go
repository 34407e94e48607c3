package reconcile

import (
	"slices"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/policy"
)

// labels are a container's as far as they can be believed, read and compiled.
type labels struct {
	outbound compiled
	mode     policy.Mode
	reject   bool
	problems []policy.Problem

	tokens []policy.Token
	text   map[string]string // the container's
	image  map[string]string
	known  bool // whether image is
}

// labels are those of c: what a [Gather] has read already, else read now.
func (s State) labels(c docker.Container) *labels {
	if l, ok := s.read[c.ID]; ok {
		return l
	}
	return s.readLabels(c)
}

func (s State) readLabels(c docker.Container) *labels {
	image, known := s.image(c)
	parsed, problems := policy.ParseLabels(c.Labels, image)
	if !known {
		parsed, problems = narrowed(parsed, problems)
	}
	return &labels{
		outbound: compile(parsed.Outbound), mode: parsed.Mode, reject: parsed.Reject, problems: problems,
		tokens: parsed.Outbound.Tokens, text: c.Labels, image: image, known: known,
	}
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

// readAll are the labels of all containers; those in last that have not changed are not read again.
func (s State) readAll(last map[string]*labels) map[string]*labels {
	out := make(map[string]*labels, len(s.Docker.Containers))
	for _, c := range s.Docker.Containers {
		l, ok := last[c.ID]
		if image, known := s.image(c); !ok || l.known != known || !sameOurs(l.text, c.Labels) || !sameOurs(l.image, image) {
			l = s.readLabels(c)
		}
		out[c.ID] = l
	}
	return out
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
