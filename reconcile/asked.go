package reconcile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/operator"
	"github.com/dockerwall/dockerwall/policy"
)

// asked is one text of policy that counts for a container.
type asked struct {
	*text
	// within is the place, among what is asked for the container, of the text that names this group; -1 if this is none.
	// Where no allow of that text counts, this one does not count either, unless it denies.
	within int
}

// text is a policy and where it stands. Texts are shared by the containers they are for, and stay the same values as
// long as they say the same.
type text struct {
	// source is the name of the nft.Source that holds it; "" is the container's own.
	source string
	// origin is what people are told of where it stands, and title what the source is called.
	origin, title string
	label         string // as problems name it: dockerwall.outbound, DEFAULT_OUTBOUND, 10-shop.yaml:12, @pypi
	file          string // of the operator, "" if it is in none
	common        bool   // what is wrong with it concerns the host, not one container
	group         bool   // it is what a group allows
	against       bool   // it is what a group denies
	tokens        []policy.Token
	sum           string // of the tokens
	compiled      compiled
	lines         map[policy.Token]int // of the file
}

// read has the tokens compiled.
func (t *text) read() {
	sum := sha256.New()
	for _, token := range t.tokens {
		_, _ = io.WriteString(sum, token.String()+",") // which never fails
	}
	t.sum, t.compiled = string(sum.Sum(nil)), compile(t.tokens)
}

// from is where a token of the text stands.
func (t *text) from(token policy.Token) string {
	if line := t.lines[token]; line > 0 {
		return fmt.Sprintf("%s:%d", t.file, line)
	}
	return t.origin
}

// namedBy is where the tokens of a group stand: the group, and the line that names it.
func (a asked) namedBy(list []asked) string {
	by := list[a.within].text
	if by.origin == OriginOverlay {
		return a.origin + ", " + by.origin
	}
	at := by.origin
	for _, t := range by.tokens {
		if t.Dest == policy.Destination(policy.Group(a.origin[1:])) && len(a.tokens) > 0 && t.Deny == a.tokens[0].Deny {
			at = by.from(t)
			break
		}
	}
	return a.origin + " in " + at
}

// The first letters of the names of sources, which go on with digits of a hash: names are no text of anybody's.
const (
	sourceLabel   = "p" // a label that several containers have alike
	sourceRule    = "f" // a rule of a file
	sourceNarrow  = "x" // what a rule denies
	sourceGroup   = "g" // a group
	sourceAgainst = "d" // a group that is denied
	sourceOverlay = "o" // what was added at run time
)

// library is what is asked for on a host, ready to be built from. It is made of a State and of the last one: a text that
// says the same is the same value.
type library struct {
	grammar string // which groups there are
	preset  *text  // DEFAULT_OUTBOUND, nil without tokens
	void    bool   // no allow of DEFAULT_OUTBOUND counts
	wrong   []policy.Problem
	labels  map[string]*labels // by container ID
	matched map[string]*matched
	shared  map[string]*text   // by source
	named   map[string]string  // sources, by what they are named for
	asked   map[string][]asked // by container ID
}

// ready has the library of a state made, from nothing if a [Gather] has not.
func (s State) ready() State {
	if s.library == nil {
		s.library = s.read(&library{})
	}
	return s
}

// read makes the library of a state; last may be empty.
func (s State) read(last *library) *library {
	out := &library{
		grammar: grammarOf(s.Operator), labels: make(map[string]*labels, len(s.Docker.Containers)), matched: map[string]*matched{},
		shared: map[string]*text{}, named: map[string]string{}, asked: make(map[string][]asked, len(s.Docker.Containers)),
	}
	grammar := s.Operator.Grammar()
	r := textReader{state: s, last: last, out: out, grammar: grammar, alike: map[string]int{}, attached: attached(s)}
	r.readDefault()
	for _, c := range s.Docker.Containers {
		l := r.readLabels(c)
		out.labels[c.ID] = l
		if !ended(c) {
			r.alike[l.alikeFor(c)]++
		}
	}
	for _, c := range s.Docker.Containers {
		out.asked[c.ID] = r.asked(c)
	}
	return out
}

// grammarOf tells apart which groups there are.
func grammarOf(p operator.Policies) string {
	names := make([]string, 0, len(p.Groups))
	for name := range p.Groups {
		names = append(names, string(name))
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}

type textReader struct {
	state     State
	last, out *library
	grammar   policy.Grammar
	alike     map[string]int      // containers, by what is alike in them
	keys      []string            // of the rules, made when first needed
	attached  map[string][]string // names of networks, by container ID; without rules nobody asks
}

// readDefault reads DEFAULT_OUTBOUND again if there are other groups.
func (r *textReader) readDefault() {
	preset := r.state.Config.Default
	if text := r.state.Config.DefaultText; text != "" {
		var problems []policy.Problem
		preset, problems = r.grammar.Parse(text)
		for _, p := range problems { // others were told of at the start
			if p.Rule == policy.RuleGroup {
				p.Label = OriginDefault
				r.out.wrong = append(r.out.wrong, p)
			}
		}
	}
	r.out.void = preset.Void
	if len(preset.Tokens) > 0 {
		r.out.preset = r.keep(text{source: sourceDefault, origin: OriginDefault, title: OriginDefault, label: OriginDefault, common: true, tokens: preset.Tokens})
	}
}

// share is the text of the source for what is told apart by key, which is made once.
func (r *textReader) share(kind, key string, make func() text) *text {
	source := r.name(kind, key)
	if t, ok := r.out.shared[source]; ok {
		return t
	}
	t := make()
	t.source = source
	return r.keep(t)
}

// keep returns the last text if it says the same, else t, compiled. The last one stays as it is: others read it.
func (r *textReader) keep(t text) *text {
	out := &t
	last, ok := r.last.shared[t.source]
	switch {
	case !ok || !slices.Equal(last.tokens, t.tokens):
		t.read()
	case last.origin == t.origin && last.title == t.title && maps.Equal(last.lines, t.lines):
		out = last
	default:
		t.sum, t.compiled = last.sum, last.compiled
	}
	r.out.shared[t.source] = out
	return out
}

// name is the name of the source for what is told apart by key. Names are short, and different for different keys.
func (r *textReader) name(kind, key string) string {
	sum := sha256.Sum256([]byte(key))
	digits := hex.EncodeToString(sum[:])
	for n := 12; ; n++ {
		name := kind + digits[:n]
		if other, taken := r.out.named[name]; !taken || other == key {
			r.out.named[name] = key
			return name
		}
	}
}

// asked is what counts for a container: its label, DEFAULT_OUTBOUND, rules of files, what was added at run time, and the
// groups that these name.
func (r *textReader) asked(c docker.Container) []asked {
	out := make([]asked, 0, 2) // most have no more
	add := func(t *text) {
		out = append(out, asked{t, -1})
		within := len(out) - 1
		for _, g := range t.compiled.allowGroups {
			out = append(out, asked{r.group(g, false), within})
		}
		for _, g := range t.compiled.denyGroups {
			out = append(out, asked{r.group(g, true), within})
		}
	}
	add(r.label(c))
	if r.out.preset != nil {
		add(r.out.preset)
	}
	for _, m := range r.match(c).each() {
		add(r.rule(m))
	}
	if t := r.overlay(c); t != nil {
		add(t)
	}
	return out
}

// label is the container's own text; one that several have alike is a source that they share.
func (r *textReader) label(c docker.Container) *text {
	l := r.out.labels[c.ID]
	alike := l.alikeFor(c)
	if alike == "" || r.alike[alike] < 2 {
		return &l.text
	}
	return r.share(sourceLabel, alike, func() text {
		return text{origin: OriginLabel, title: "a label that containers have alike", label: policy.LabelOutbound, tokens: l.tokens}
	})
}

// group is what a group allows, or denies.
func (r *textReader) group(name policy.Group, deny bool) *text {
	at, tokens := "@"+string(name), r.state.Operator.Groups[name].Policy.Tokens
	if !deny {
		return r.share(sourceGroup, string(name), func() text {
			return text{origin: at, title: "group " + at, label: at, common: true, group: true, tokens: tokens}
		})
	}
	return r.share(sourceAgainst, string(name), func() text {
		tokens := slices.Clone(tokens)
		for i := range tokens {
			tokens[i].Deny = true
		}
		return text{origin: at, title: "group " + at + ", denied", label: at, common: true, against: true, tokens: tokens}
	})
}

// rule is what a rule of a file asks for.
func (r *textReader) rule(m matchedRule) *text {
	rule, where, kind := m.rule, m.where(), sourceRule
	if m.narrow {
		kind = sourceNarrow
	}
	return r.share(kind, m.key, func() text {
		t := text{origin: where, title: where, label: where, file: rule.File, common: true, tokens: rule.Policy.Tokens, lines: rule.Lines}
		if m.narrow {
			t.title += ", denials only"
			t.tokens = slices.DeleteFunc(slices.Clone(t.tokens), func(t policy.Token) bool { return !t.Deny })
		}
		return t
	})
}

// modeOf is the container's mode, whether what it denies is answered, and who says so.
func (s State) modeOf(c docker.Container) (mode policy.Mode, reject bool, origin string) {
	l := s.library.labels[c.ID]
	mode, reject, origin = l.mode, l.reject, OriginImplied
	if l.says {
		origin = policy.LabelMode
	}
	ruled, answered := false, false
	for _, m := range s.library.matched[c.ID].each() {
		if said := m.rule.Mode; said != nil && (!m.narrow || *said == policy.ModeEnforce) && (!ruled || *said < mode) {
			mode, origin, ruled = *said, m.where(), true
		}
		if said := m.rule.Reject; said != nil && !m.narrow {
			reject = *said && (!answered || reject)
			answered = true
		}
	}
	if set := s.Overlay.Containers[c.ID].Mode; set != nil {
		mode, origin = set.Mode, OriginOverlay
		if set.Paused {
			mode = policy.ModeAudit
		}
	}
	return mode, reject, origin
}

// against are the groups that the text at a place denies.
func against(list []asked, at int) (out []*text) {
	for _, a := range list[at+1:] {
		if a.within != at {
			break
		}
		if a.against {
			out = append(out, a.text)
		}
	}
	return out
}
