package check

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerwall/dockerwall/policy"
)

// Options are what a check may know besides what it reads. The zero value is a host with Docker's own addresses, where
// every network is fenced and no name is asked for.
type Options struct {
	Networks policy.Networks // GATEWAY_NETWORKS
	Grammar  policy.Grammar  // which groups there are
	Host     []netip.Addr    // the host's own addresses
	// Missing asks for names, in full and sorted, and returns those that mean no address; nil asks for none.
	Missing func(names []string) map[string]bool
}

// host are the addresses that a prefix is taken to be meant for.
func (o Options) host() []netip.Addr {
	if len(o.Host) > 0 {
		return o.Host
	}
	return []netip.Addr{netip.AddrFrom4([4]byte{172, 17, 0, 1})} // docker0's, unless it is set otherwise
}

// Text checks one text of the label's grammar. name is what it is the value of: a label or a setting.
func Text(name, text string, o Options) []Finding {
	c := checker{options: o}
	_, problems := o.Grammar.Parse(text)
	for _, p := range problems {
		c.add(found(p))
	}
	l := label{key: policy.LabelOutbound, value: text}
	c.notes(l)
	c.missing([]subject{{labels: []label{l}, add: c.add}})
	for i := range c.findings {
		c.findings[i].Label = name
	}
	return ordered(c.findings)
}

// Networks checks the value of GATEWAY_NETWORKS.
func Networks(name, text string) []Finding {
	var c checker
	_, problems := policy.ParseNetworks(text)
	for _, p := range problems {
		p.Label = name
		c.add(found(p))
	}
	return ordered(c.findings)
}

// checker gathers findings.
type checker struct {
	options  Options
	findings []Finding
}

func (c *checker) add(f Finding) { c.findings = append(c.findings, f) }

// subject is whose labels are checked; add completes a finding with that.
type subject struct {
	labels []label
	add    func(Finding)
}

// place is where a position in the label's value stands; the value's place where the finding is about all of it, and the
// key's where it is about the label.
func (l label) place(f Finding) Place {
	if l.within == nil || f.Position == 0 && f.Token == "" {
		return l.at
	}
	return l.within(max(f.Position, 1))
}

func (l label) policies() bool {
	return l.key == policy.LabelOutbound && !l.bad && !l.unfilled && !l.twice
}

// labels checks all of a subject's.
func (c *checker) labels(s subject) {
	for _, l := range s.labels {
		inner := checker{options: c.options}
		inner.label(l)
		for _, f := range inner.findings {
			s.add(f.at(l.place(f)))
		}
	}
}

func (c *checker) label(l label) {
	if near := policy.Resembles(l.key); near != "" {
		c.add(Finding{
			Rule: RuleLikeALabel, Severity: Warning, Label: l.key, Message: "dockerwall does not read this label",
			Remedy: "did you mean " + near + "?",
		})
		return
	}
	if !policy.IsLabel(l.key) {
		return
	}
	if key, _, colon := strings.Cut(l.key, ":"); colon && l.value == "" { // "- key: value", quoted
		c.add(Finding{
			Rule: policy.RuleUnknownLabel, Severity: Error, Label: l.key, Message: `there is no such label: an entry of a list has "=" between key and value`,
			Remedy: `write "` + strings.TrimSpace(key) + `=VALUE"`,
		})
		return
	}
	switch {
	case l.bad:
		c.add(Finding{
			Rule: RuleNotText, Severity: Error, Label: l.key, Message: "the value is not a text",
			Remedy: `write ` + policy.LabelOutbound + `: "a, b" in a mapping, or "` + policy.LabelOutbound + `=a, b" in a list`,
		})
	case l.twice:
		c.add(Finding{
			Rule: RuleTwice, Severity: Warning, Label: l.key, Message: "the label stands twice, and only the last one counts",
			Remedy: "put all tokens into one, separated by commas",
		})
	case l.unfilled:
		c.add(Finding{
			Rule: RuleVariable, Severity: Warning, Label: l.key, Token: l.value,
			Message: "the value has a variable, so that it cannot be checked", Remedy: remedyConfig,
		})
	default:
		c.meaning(l)
	}
}

// meaning checks a label that has a value.
func (c *checker) meaning(l label) {
	labels, problems := c.options.Grammar.ParseLabels(map[string]string{l.key: l.value}, nil)
	for _, p := range problems {
		p.Label = l.key
		c.add(found(p))
	}
	switch l.key {
	case policy.LabelOutbound:
		c.notes(l)
	case policy.LabelMode:
		c.mode(labels.Mode)
	}
}

func (c *checker) mode(m policy.Mode) {
	f := Finding{Severity: Note, Label: policy.LabelMode, Token: m.String(), Remedy: "leave the label out to enforce the policy"}
	switch m {
	case policy.ModeAudit:
		f.Rule, f.Message = RuleAudit, "nothing is denied, only logged and counted"
	case policy.ModeOff:
		f.Rule, f.Message = RuleOff, "the container is not fenced at all"
	default:
		return
	}
	c.add(f)
}

// missing reports names in full that mean nothing.
func (c *checker) missing(subjects []subject) {
	if c.options.Missing == nil {
		return
	}
	var names []string
	eachName := func(visit func(subject, label, policy.Entry, string)) {
		for _, s := range subjects {
			for _, l := range s.labels {
				if !l.policies() {
					continue
				}
				for _, e := range c.options.Grammar.Entries(l.value) {
					if p, ok := e.Dest.(policy.Pattern); ok && !p.Wild() {
						visit(s, l, e, p.Name())
					}
				}
			}
		}
	}
	eachName(func(_ subject, _ label, _ policy.Entry, name string) { names = append(names, name) })
	slices.Sort(names)
	missing := c.options.Missing(slices.Compact(names))
	eachName(func(s subject, l label, e policy.Entry, name string) {
		if missing[name] {
			f := Finding{
				Rule: RuleUnresolved, Severity: Warning, Label: l.key, Position: e.Pos, Token: e.Text,
				Message: "the name means no address here and now", Remedy: "correct the name, or ask where the containers run",
			}
			s.add(f.at(l.place(f)))
		}
	})
}
