package metrics

import "github.com/prometheus/client_golang/prometheus"

// Changes are how many changes that were made at run time count now.
type Changes struct {
	Allows, Denials int // tokens of all containers
	Modes           int // of containers, and of the host
}

func newChangesDesc() *prometheus.Desc {
	return desc("dockerwall_runtime_changes", "Changes made at run time that count now: tokens that allow or deny, and modes, of containers and the host.", "kind")
}

func (m *Metrics) changes(out *emitter, c Changes) {
	out.gauge(m.descs.changes, c.Allows, "allow")
	out.gauge(m.descs.changes, c.Denials, "deny")
	out.gauge(m.descs.changes, c.Modes, "mode")
}
