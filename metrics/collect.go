package metrics

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// sourceTimeout bounds the reading of a snapshot; a scrape gives up a little later.
const sourceTimeout = 8 * time.Second

// maxLabelErrors bounds dockerwall_label_errors.
const maxLabelErrors = 500

// Options of [Metrics].
type Options struct {
	// Source gives the state at each scrape. It is never called twice at once, and must return, with
	// what it has, when its context is done. Required.
	Source func(context.Context) Snapshot
	// Registry takes every metric, Go's and the process's included; nil makes a new one.
	Registry *prometheus.Registry
	// Destination of the detail of denials; empty is [ByIP]. See [ParseDestination].
	Destination Destination
	// NoCompat leaves the three families of the older dockerwall out.
	NoCompat bool
	// Version and Revision of the program, for dockerwall_build_info.
	Version, Revision string
}

// Metrics are the daemon's metrics. Its methods may be called from anywhere, at any time; those that
// record events do nothing on a nil *Metrics.
type Metrics struct {
	opt      Options
	registry *prometheus.Registry
	descs    descs
	events   events

	mu      sync.Mutex // held while collecting
	ledger  *ledger
	leaving atomic.Bool                        // something is, since the last Committed
	hurry   atomic.Pointer[context.CancelFunc] // has the snapshot that is being taken end early
}

// New registers every metric. It panics if the registry already has one of them.
func New(opt Options) (*Metrics, error) {
	mode, err := ParseDestination(string(opt.Destination))
	if err != nil {
		return nil, err
	}
	if opt.Registry == nil {
		opt.Registry = prometheus.NewRegistry()
	}
	if opt.Source == nil {
		opt.Source = func(context.Context) Snapshot { return Snapshot{} }
	}
	m := &Metrics{opt: opt, registry: opt.Registry, descs: newDescs(), events: newEvents(), ledger: newLedger(mode)}
	m.register()
	return m, nil
}

// Registry is where the metrics are.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range m.descs.all() {
		ch <- d
	}
	if !m.opt.NoCompat {
		for _, d := range m.descs.old() {
			ch <- d
		}
	}
}

// Collect implements prometheus.Collector: it takes a snapshot and tells it.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	for _, metric := range m.collect() { // to a reader that may take its time
		ch <- metric
	}
}

func (m *Metrics) collect() []prometheus.Metric {
	m.mu.Lock()
	defer m.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), sourceTimeout)
	defer cancel()
	m.hurry.Store(&cancel)
	snapshot := m.opt.Source(ctx)
	m.hurry.Store(nil)
	m.ledger.update(snapshot, time.Now())
	var out emitter
	m.health(&out, snapshot)
	m.denials(&out, snapshot)
	m.dns(&out, snapshot.DNS)
	m.sets(&out, snapshot)
	m.firstSeen(&out, snapshot.FirstSeen)
	m.changes(&out, snapshot.Changes)
	for _, a := range m.ledger.inOrder() {
		m.egress(&out, a)
		if !m.opt.NoCompat {
			m.container(&out, a)
		}
	}
	return out.metrics
}

// lock is for those who cannot wait for the details of a scrape: what of them is not read yet is told as "other".
func (m *Metrics) lock() {
	if hurry := m.hurry.Load(); hurry != nil {
		(*hurry)()
	}
	m.mu.Lock()
}

// Observe takes in what is known outside of a scrape: the last counts of containers whose counters are about to go, or
// of those of a container's counters that are ([Container.Partial]). A scrape that is under way reads no further
// details, and is waited for; read is called then, so that no scrape has later counts. What came of it must be told to [Metrics.Committed].
func (m *Metrics) Observe(read func() []Container) {
	if m == nil {
		return
	}
	m.lock()
	defer m.mu.Unlock()
	m.leaving.Store(true)
	m.ledger.leave(read(), time.Now())
}

// Committed says whether what Observe was told of is gone. It must be called before counters of the same names can come.
func (m *Metrics) Committed(gone bool) {
	if m == nil || !m.leaving.CompareAndSwap(true, false) {
		return
	}
	m.lock()
	defer m.mu.Unlock()
	m.ledger.left(gone)
}

// emitter makes constant metrics.
type emitter struct{ metrics []prometheus.Metric }

func (e *emitter) counter(d *prometheus.Desc, v uint64, labels ...string) {
	e.metrics = append(e.metrics, prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...))
}

func (e *emitter) gauge(d *prometheus.Desc, v int, labels ...string) {
	e.metrics = append(e.metrics, prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...))
}

func (m *Metrics) health(out *emitter, s Snapshot) {
	out.gauge(m.descs.enforcing, number(s.Enforcing && !s.DryRun))
	out.gauge(m.descs.dryRun, number(s.DryRun))
	out.gauge(m.descs.dockerUp, number(s.DockerUp))
	out.counter(m.descs.flowsCut, s.FlowsCut)
	out.gauge(m.descs.containers, s.Fenced, "fenced")
	out.gauge(m.descs.containers, s.Audited, "audit")
	out.gauge(m.descs.containers, s.Off, "off")
	out.gauge(m.descs.containers, s.Unfenced, "unfenced")
	for result, n := range s.ResolverQueries {
		out.counter(m.descs.resolverQueries, n, label(result))
	}
	told := make(map[string]bool)
	for _, e := range s.LabelErrors {
		if id := label(e.ID[:min(len(e.ID), idDigits)]); !told[id] && len(told) < maxLabelErrors {
			told[id] = true
			out.gauge(m.descs.labelErrors, e.Count, id, label(e.Name))
		}
	}
}

func (m *Metrics) denials(out *emitter, s Snapshot) {
	if !m.opt.NoCompat {
		out.counter(m.descs.overflow, m.ledger.overflow)
	}
	reasons := map[string]uint64{
		ReasonDenied: m.ledger.denied - m.ledger.invalid, ReasonInvalid: 0, ReasonUnknown: 0, ReasonStray: 0, ReasonMulticast: 0, ReasonCut: 0, ReasonSpoof: 0,
	}
	for reason, n := range m.ledger.reasons {
		reasons[reason] += n.total
	}
	for reason, n := range reasons {
		out.counter(m.descs.deniedPackets, n, reason)
	}
	destinations := 0
	for _, c := range s.Containers {
		destinations += len(c.Denied)
	}
	out.gauge(m.descs.deniedDestinations, destinations)
}

// container tells the old families of one container.
func (m *Metrics) container(out *emitter, a *account) {
	out.counter(m.descs.containerPackets, a.accepted, a.id, a.name, a.image, "accept")
	out.counter(m.descs.containerPackets, a.denied, a.id, a.name, a.image, "drop")
	out.counter(m.descs.containerBytes, a.acceptedBytes, a.id, a.name, a.image, "accept")
	out.counter(m.descs.containerBytes, a.deniedBytes, a.id, a.name, a.image, "drop")
	for _, t := range a.targets() {
		s := a.series[t]
		out.counter(m.descs.droppedPackets, s.packets, a.id, a.name, a.image, t.destination, t.port, t.protocol, s.domains)
	}
	if a.other > 0 {
		t := other()
		out.counter(m.descs.droppedPackets, a.other, a.id, a.name, a.image, t.destination, t.port, t.protocol, "")
	}
}

func number(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
