package policy

import (
	"maps"
	"slices"
	"strings"
)

// The labels that are read from a container.
const (
	LabelOutbound = "dockerwall.outbound" // its policy
	LabelMode     = "dockerwall.mode"     // enforce, audit or off
	LabelDeny     = "dockerwall.deny"     // drop or reject
)

const labelPrefix = "dockerwall."

// Mode is what happens to what a container's policy denies.
type Mode uint8

// The modes. The zero value enforces.
const (
	ModeEnforce Mode = iota // it is denied
	ModeAudit               // it passes, is counted and logged
	ModeOff                 // the container is not fenced
)

// String is the mode's word, as in the label.
func (m Mode) String() string {
	switch m {
	case ModeAudit:
		return "audit"
	case ModeOff:
		return "off"
	case ModeEnforce:
	}
	return "enforce"
}

// Labels is what the labels of a container ask for. The zero value denies everything silently.
type Labels struct {
	Outbound Policy
	Mode     Mode
	Reject   bool // denials are answered, not dropped
}

// ParseLabels reads the dockerwall labels of a container. Labels that the image brought along, the
// same in key and value in image, are ignored and reported; a nil image trusts them. It never fails:
// a mode that is not understood means enforce, an answer that is not means drop, for the policy see
// [Parse]. Problems come in the order of keys and positions, 20 at most and one for the rest. It knows no group.
func ParseLabels(labels, image map[string]string) (Labels, []Problem) {
	return Grammar{}.ParseLabels(labels, image)
}

// ParseLabels is the function [ParseLabels] where some groups are known.
func (g Grammar) ParseLabels(labels, image map[string]string) (Labels, []Problem) {
	l := labelReader{grammar: g}
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if !IsLabel(key) {
			continue
		}
		value := labels[key]
		if v, ok := image[key]; ok && v == value {
			l.report(Warning, key, value, mistake{
				rule:   RuleImageLabel,
				what:   "the label comes from the image and is ignored",
				remedy: "set it on the container to another value, or TRUST_IMAGE_LABELS=true to trust all images",
			})
			continue
		}
		l.read(key, value)
	}
	if l.lostDenial {
		l.Outbound = l.Outbound.withoutAllows()
	}
	return l.Labels, l.list()
}

// IsLabel says whether a key is looked at: a label of ours, or reported as none. It folds case, so that Dockerwall.outbound is reported and not passed over.
func IsLabel(key string) bool {
	return len(key) >= len(labelPrefix) && strings.EqualFold(key[:len(labelPrefix)], labelPrefix)
}

type labelReader struct {
	Labels
	reports
	grammar    Grammar
	lostDenial bool // a mistyped dockerwall.outbound may deny something
}

func (l *labelReader) read(key, value string) {
	word := strings.ToLower(strings.TrimSpace(value))
	switch key {
	case LabelOutbound:
		l.Outbound = l.grammar.parse(value, key, &l.reports)
	case LabelMode:
		l.readMode(word, value)
	case LabelDeny:
		l.readDeny(word, value)
	default:
		l.unknown(key, value)
	}
}

func (l *labelReader) readMode(word, value string) {
	switch word {
	case "audit":
		l.Mode = ModeAudit
	case "off":
		l.Mode = ModeOff
	case "enforce", "":
	default:
		l.report(Error, LabelMode, value, mistake{rule: RuleMode, what: "this is not a mode, so the container is fenced (enforce)", remedy: "write enforce, audit or off"})
	}
}

func (l *labelReader) readDeny(word, value string) {
	switch word {
	case "reject":
		l.Reject = true
	case "drop", "":
	default:
		l.report(Error, LabelDeny, value, mistake{
			rule:   RuleDeny,
			what:   "denied packets are either dropped or rejected, and are dropped here",
			remedy: `write drop or reject, and to deny a destination "!" in front of it in ` + LabelOutbound,
		})
	}
}

func (l *labelReader) unknown(key, value string) {
	m := mistake{rule: RuleUnknownLabel, what: "there is no such label", remedy: "the labels are " + LabelOutbound + ", " + LabelMode + " and " + LabelDeny}
	if near := nearest(strings.ToLower(key), LabelOutbound, LabelMode, LabelDeny); near != "" {
		m.remedy = "did you mean " + near + "?"
		if near == LabelOutbound && mayDeny(value) {
			l.lostDenial = true
			m.what += voids
		}
	}
	l.report(Error, key, "", m)
}

func (l *labelReader) report(s Severity, key, value string, m mistake) {
	l.add(Problem{Severity: s, Rule: m.rule, Label: clean(key), Token: clean(value), Message: m.what, Remedy: m.remedy})
}

// withoutAllows is what is left of a policy whose source lost a denial.
func (p Policy) withoutAllows() Policy {
	return Policy{Void: true, Tokens: slices.DeleteFunc(slices.Clone(p.Tokens), func(t Token) bool { return !t.Deny })}
}
