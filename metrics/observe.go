package metrics

import "github.com/prometheus/client_golang/prometheus"

// maxFirstSeen bounds dockerwall_first_seen_names_total.
const maxFirstSeen = 1000

// FirstSeen is how often one container reached for a name or address that it never did before.
type FirstSeen struct {
	ID, Name string
	Count    uint64
}

func newFirstSeenDesc() *prometheus.Desc {
	return desc("dockerwall_first_seen_names_total", "Names, and addresses without one, that a container reached for as never before.", "id", "name")
}

// firstSeen has a series for each container that runs, so that its first event is a rise.
func (m *Metrics) firstSeen(out *emitter, all []FirstSeen) {
	told := make(map[string]bool)
	for _, f := range all {
		if id := label(f.ID[:min(len(f.ID), idDigits)]); !told[id] && len(told) < maxFirstSeen {
			told[id] = true
			out.counter(m.descs.firstSeen, f.Count, id, label(f.Name))
		}
	}
}
