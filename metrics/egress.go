package metrics

import "github.com/prometheus/client_golang/prometheus"

// Modes of a container, for [Container].Mode.
const (
	ModeEnforce = "enforce"
	ModeAudit   = "audit" // counted, not denied
	ModeOff     = "off"   // not looked at
)

// Verdicts on what a container sent.
const (
	verdictAllowed = "allowed"
	verdictDenied  = "denied"
	verdictAudited = "audited" // would have been denied, and passed
)

// egressDescs are the families of single containers under new names.
type egressDescs struct {
	packets, bytes, denied, info *prometheus.Desc
}

func newEgressDescs() egressDescs {
	return egressDescs{
		packets: desc("dockerwall_egress_packets_total", "Packets a container sent beyond its networks, by verdict.", "id", "name", "verdict"),
		bytes:   desc("dockerwall_egress_bytes_total", "Bytes a container sent beyond its networks, by verdict.", "id", "name", "verdict"),
		denied:  desc("dockerwall_egress_denied_packets_total", "Packets of a container that were denied, or audited, by reason.", "id", "name", "reason"),
		info:    desc("dockerwall_container_info", "Always 1; the labels say what a container is.", "id", "name", "image", "project", "service", "network", "mode"),
	}
}

func (d egressDescs) all() []*prometheus.Desc {
	return []*prometheus.Desc{d.packets, d.bytes, d.denied, d.info}
}

// egress tells the new families of one container. What it sent is in one verdict: they add up to it.
func (m *Metrics) egress(out *emitter, a *account) {
	d := m.descs.egress
	tell := func(verdict string, packets, bytes uint64) {
		out.counter(d.packets, packets, a.id, a.name, verdict)
		out.counter(d.bytes, bytes, a.id, a.name, verdict)
	}
	tell(verdictAllowed, a.accepted, a.acceptedBytes)
	tell(verdictDenied, a.denied-a.audited, a.deniedBytes-a.auditedBytes)
	if a.audit {
		tell(verdictAudited, a.audited, a.auditedBytes)
	}
	out.counter(d.denied, a.denied-a.invalid, a.id, a.name, ReasonDenied)
	out.counter(d.denied, a.invalid, a.id, a.name, ReasonInvalid)
	i := a.info
	out.gauge(d.info, 1, a.id, a.name, a.image, i.project, i.service, i.network, i.mode)
}

// info is what dockerwall_container_info says beside a container's identity.
type info struct{ project, service, network, mode string }

func infoOf(c Container) info {
	return info{project: label(c.Project), service: label(c.Service), network: label(c.Network), mode: label(c.Mode)}
}
