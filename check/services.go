package check

import (
	"fmt"

	"github.com/dockerwall/dockerwall/policy"
)

// ServiceLabels are the labels that the containers of a service get.
type ServiceLabels struct {
	Project, Service string
	Labels           map[string]string
}

// Labels are those of all services, in the order of the file. The error names a label of ours that only Compose can fill in.
func (p Project) Labels() ([]ServiceLabels, error) {
	var out []ServiceLabels
	for _, s := range p.services {
		one := ServiceLabels{Project: p.name, Service: s.name, Labels: map[string]string{}}
		for _, l := range s.labels {
			if policy.IsLabel(l.key) && (l.unfilled || l.bad) {
				return nil, fmt.Errorf("%s: service %s: what %s is, only Compose can tell: give the output of `docker compose config --format json`",
					clean(p.source.file), clean(s.name), clean(l.key))
			}
			if !l.bad {
				one.Labels[l.key] = l.value
			}
		}
		out = append(out, one)
	}
	return out, nil
}
