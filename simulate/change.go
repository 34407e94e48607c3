package simulate

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dockerwall/dockerwall/operator"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/sortby"
)

// Change is what would be different. The zero value changes nothing.
type Change struct {
	// Services are labels of services of docker compose, which count for all their containers.
	Services []Service
	// Labels are the whole dockerwall.outbound of containers, by name.
	Labels map[string]string
	// Files take the place of the operator's, one after the other.
	Files []Files
	// Default, unless nil, is DEFAULT_OUTBOUND.
	Default *string
	// Enforce has everything enforced, whatever DRY_RUN and modes say.
	Enforce bool
}

// Service is a service of a Compose file.
type Service struct {
	Project, Name string
	Labels        map[string]string
}

// Files are the rules and groups of a policy file, or of all files of a directory.
type Files struct {
	Policies operator.Policies
	Name     string // of the file, without its directory
	Whole    bool   // of a directory
}

// apply changes a host, and returns which of the change is about nothing that was observed.
func (c Change) apply(h *host) (unseen []string, err error) {
	for _, f := range c.Files {
		f.apply(&h.state.Operator)
	}
	if err := c.lacking(h.state.Operator); err != nil {
		return nil, err
	}
	if c.Default != nil {
		h.preset(*c.Default)
	}
	for _, s := range c.Services {
		if !c.service(h, s) {
			unseen = append(unseen, "service "+s.Name+" of project "+s.Project)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Labels)) {
		found := false
		for i, s := range h.seen.Subjects {
			if s.Container == name {
				found = true
				labels := map[string]string{policy.LabelOutbound: c.Labels[name]}
				for key, value := range h.state.Docker.Containers[i].Labels {
					if key != policy.LabelOutbound {
						labels[key] = value
					}
				}
				h.relabel(i, labels)
			}
		}
		if !found {
			unseen = append(unseen, "container "+name)
		}
	}
	if c.Enforce {
		enforce(h)
	}
	return unseen, nil
}

// lacking says which group a changed file names that is nowhere: it would not count.
func (c Change) lacking(p operator.Policies) error {
	if len(c.Files) == 0 {
		return nil
	}
	for _, r := range p.Rules {
		for _, t := range r.Policy.Tokens {
			if g, ok := t.Dest.(policy.Group); ok && p.Groups[g].Name == "" {
				return fmt.Errorf("%s:%d: there is no group @%s; define it under \"groups\", or name a file with it too", r.File, r.Line, g)
			}
		}
	}
	return nil
}

func (c Change) service(h *host, s Service) (found bool) {
	for i, o := range h.seen.Subjects {
		if o.Project == s.Project && o.Service == s.Name {
			h.relabel(i, s.Labels)
			found = true
		}
	}
	return found
}

// apply puts the files in the place of others.
func (f Files) apply(to *operator.Policies) {
	replaced := func(file string) bool { return file != "" && (f.Whole || file == f.Name) }
	rules := slices.DeleteFunc(slices.Clone(to.Rules), func(r operator.Rule) bool { return replaced(r.File) })
	rules = append(rules, f.Policies.Rules...)
	sortby.Stable(rules, func(a, b operator.Rule) int { return strings.Compare(a.File, b.File) })
	groups := map[policy.Group]operator.Group{}
	for name, g := range to.Groups {
		if !replaced(g.File) {
			groups[name] = g
		}
	}
	maps.Copy(groups, f.Policies.Groups)
	for name, g := range operator.Shipped() {
		if _, ok := groups[name]; !ok {
			groups[name] = g
		}
	}
	to.Rules, to.Groups = rules, groups
}

// enforce takes away whatever lets pass what is denied.
func enforce(h *host) {
	h.state.Config.DryRun, h.state.Overlay.Enforce = false, nil
	for i := range h.state.Docker.Containers {
		c := &h.state.Docker.Containers[i]
		c.Labels = maps.Clone(c.Labels)
		delete(c.Labels, policy.LabelMode)
		if said := h.state.Overlay.Containers[c.ID]; said.Mode != nil {
			h.state.Overlay.Containers = maps.Clone(h.state.Overlay.Containers)
			said.Mode = nil
			h.state.Overlay.Containers[c.ID] = said
		}
	}
	h.state.Operator.Rules = slices.Clone(h.state.Operator.Rules)
	for i := range h.state.Operator.Rules {
		h.state.Operator.Rules[i].Mode = nil
	}
}
