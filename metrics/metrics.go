package metrics

import (
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Reasons for a denial that are exported from the start, as 0.
const (
	ReasonDenied    = "denied"    // by a container's policy
	ReasonInvalid   = "invalid"   // conntrack calls the packet invalid
	ReasonUnknown   = "unknown"   // a source nobody knows on a managed bridge
	ReasonStray     = "stray"     // mid-stream tcp of a connection nobody knows
	ReasonMulticast = "multicast" // multicast and broadcast
	ReasonCut       = "cut"       // the far side of a flow that was cut
	ReasonSpoof     = "spoof"     // another port's MAC or address
)

// Causes of a restored table, for [Metrics.Restored].
const (
	CauseNotified = "notified" // the kernel told of a foreign change
	CauseResync   = "resync"   // found by a periodic look
	CauseStart    = "start"    // found when the daemon started
)

// descs are the metrics told from snapshots.
type descs struct {
	containerPackets, containerBytes, droppedPackets *prometheus.Desc // the old families

	overflow, deniedPackets                     *prometheus.Desc
	enforcing, dryRun, dockerUp                 *prometheus.Desc
	containers, labelErrors, deniedDestinations *prometheus.Desc
	resolverQueries, flowsCut                   *prometheus.Desc
	dns                                         dnsDescs
	egress                                      egressDescs
	sets                                        setDescs
	firstSeen, changes                          *prometheus.Desc
}

func newDescs() descs {
	return descs{
		containerPackets: desc("dockerwall_container_packets", "Packets a container sent beyond its networks, by what became of them.", "id", "name", "image", "action"),
		containerBytes:   desc("dockerwall_container_bytes", "Bytes a container sent beyond its networks, by what became of them.", "id", "name", "image", "action"),
		droppedPackets:   desc("dockerwall_dropped_packets", `Denied packets of a container by destination; bounded, the rest is destination "other".`, "id", "name", "image", "destination", "port", "protocol", "domains"),

		overflow:           desc("dockerwall_metrics_overflow_total", `Denied packets told as destination "other" because they had no series of their own.`),
		deniedPackets:      desc("dockerwall_denied_packets_total", "Denied packets by reason, those of no known container included.", "reason"),
		enforcing:          desc("dockerwall_enforcing", "1 if the wanted table is in the kernel and denies, 0 if not or in a dry run."),
		dryRun:             desc("dockerwall_dry_run", "1 if nothing is denied, only counted."),
		dockerUp:           desc("dockerwall_docker_up", "1 if the Docker Engine answers and its events arrive."),
		containers:         desc("dockerwall_containers", "Containers by how they stand: fenced, audit, off, unfenced.", "state"),
		labelErrors:        desc("dockerwall_label_errors", "Findings in the dockerwall labels of a container.", "id", "name"),
		deniedDestinations: desc("dockerwall_denied_destinations", "Distinct destinations, address, port and protocol, that the kernel counts denied packets for."),
		flowsCut:           desc("dockerwall_flows_cut_total", "Connections ended because the policy does not allow them any more, or their container is gone."),
		resolverQueries:    desc("dockerwall_resolver_queries_total", "Questions to resolvers by result.", "result"),
		dns:                newDNSDescs(),
		egress:             newEgressDescs(),
		sets:               newSetDescs(),
		firstSeen:          newFirstSeenDesc(),
		changes:            newChangesDesc(),
	}
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

func (d descs) all() []*prometheus.Desc {
	return slices.Concat(d.dns.all(), d.egress.all(), d.sets.all(), []*prometheus.Desc{
		d.deniedPackets, d.enforcing, d.dryRun, d.dockerUp, d.containers, d.labelErrors, d.deniedDestinations, d.resolverQueries, d.flowsCut, d.firstSeen, d.changes,
	})
}

// old are the families of the older dockerwall, and how much they leave out.
func (d descs) old() []*prometheus.Desc {
	return []*prometheus.Desc{d.containerPackets, d.containerBytes, d.droppedPackets, d.overflow}
}

// events are the metrics counted as things happen.
type events struct {
	applyDuration prometheus.Histogram
	applyErrors   prometheus.Counter
	lastApply     prometheus.Gauge
	restores      *prometheus.CounterVec
	nflogLost     prometheus.Counter
	noticesLost   prometheus.Counter
}

func newEvents() events {
	e := events{
		applyDuration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "dockerwall_ruleset_apply_duration_seconds",
			Help:    "Time to commit a change of the table.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10},
		}),
		applyErrors: prometheus.NewCounter(opts("dockerwall_ruleset_apply_errors_total", "Changes of the table that the kernel refused.")),
		lastApply: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "dockerwall_ruleset_last_apply_timestamp_seconds",
			Help: "When the table was last committed, 0 if not yet.",
		}),
		restores:  prometheus.NewCounterVec(opts("dockerwall_ruleset_restores_total", "Repairs after somebody else changed the table, by how it was noticed."), []string{"cause"}),
		nflogLost: prometheus.NewCounter(opts("dockerwall_nflog_lost_total", "Denied packets that never reached the log; counters include them.")),
		noticesLost: prometheus.NewCounter(opts("dockerwall_nftables_notifications_lost_total",
			"Times that the kernel's notifications about tables were lost; the table was then read back.")),
	}
	for _, cause := range []string{CauseNotified, CauseResync, CauseStart} {
		e.restores.WithLabelValues(cause)
	}
	return e
}

func opts(name, help string) prometheus.CounterOpts {
	return prometheus.CounterOpts{Name: name, Help: help}
}

// register puts every metric on the registry.
func (m *Metrics) register() {
	m.registry.MustRegister(m,
		m.events.applyDuration, m.events.applyErrors, m.events.lastApply, m.events.restores,
		m.events.nflogLost, m.events.noticesLost,
		buildInfo(m.opt.Version, m.opt.Revision),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
}

func buildInfo(version, revision string) prometheus.Collector {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "dockerwall_build_info",
		Help: "Always 1; the labels say what runs.",
		ConstLabels: prometheus.Labels{
			"version": label(version), "goversion": runtime.Version(), "revision": label(revision),
		},
	})
	info.Set(1)
	return info
}

// Applied records a commit of the table: how long it took, and its error if the kernel refused it.
func (m *Metrics) Applied(d time.Duration, err error) {
	if m == nil {
		return
	}
	if err != nil {
		m.events.applyErrors.Inc()
		return
	}
	m.events.applyDuration.Observe(d.Seconds())
	m.events.lastApply.SetToCurrentTime()
}

// Restored records a repair of the table; cause is one of the Cause constants.
func (m *Metrics) Restored(cause string) {
	if m != nil {
		m.events.restores.WithLabelValues(cause).Inc()
	}
}

// NflogLost records n denied packets that were logged but never arrived.
func (m *Metrics) NflogLost(n uint64) {
	if m != nil {
		m.events.nflogLost.Add(float64(n))
	}
}

// NotificationsLost records that notifications about tables never arrived.
func (m *Metrics) NotificationsLost() {
	if m != nil {
		m.events.noticesLost.Inc()
	}
}
