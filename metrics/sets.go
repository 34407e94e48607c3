package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// Set is how full the fullest of the kernel's sets of one kind is.
type Set struct {
	Kind     string // denied, cut or clients
	Elements int
	Capacity int
}

// Severities of a finding, for [Snapshot].Findings; exported from the start, as 0.
const (
	SeverityError   = "error"
	SeverityWarning = "warning"
)

// setDescs are the families about what may run full, and about what is to be corrected.
type setDescs struct {
	elements, capacity, findings, policyErrors *prometheus.Desc
}

func newSetDescs() setDescs {
	return setDescs{
		elements: desc("dockerwall_set_elements", "Elements of the fullest set of a kind: denied (a container's record of destinations), cut (flows that stay cut), clients (askers of DNS).", "set"),
		capacity: desc("dockerwall_set_capacity", "Elements that a set of this kind holds.", "set"),
		findings: desc("dockerwall_findings", "Findings of dockerwall status, on containers and the host, by severity.", "severity"),

		policyErrors: desc("dockerwall_policy_file_errors", "Errors in the files of --policy-dir; of a file with one its last good version counts."),
	}
}

func (d setDescs) all() []*prometheus.Desc {
	return []*prometheus.Desc{d.elements, d.capacity, d.findings, d.policyErrors}
}

func (m *Metrics) sets(out *emitter, s Snapshot) {
	told := make([]string, 0, len(s.Sets))
	for _, set := range s.Sets {
		if slices.Contains(told, set.Kind) {
			continue
		}
		told = append(told, set.Kind)
		out.gauge(m.descs.sets.elements, set.Elements, label(set.Kind))
		out.gauge(m.descs.sets.capacity, set.Capacity, label(set.Kind))
	}
	for _, severity := range []string{SeverityError, SeverityWarning} {
		out.gauge(m.descs.sets.findings, s.Findings[severity], severity)
	}
	out.gauge(m.descs.sets.policyErrors, s.PolicyErrors)
}
