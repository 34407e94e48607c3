package metrics

import "github.com/prometheus/client_golang/prometheus"

// DNS is how names are learned from passing answers. Counts are since the start of the daemon.
type DNS struct {
	Mode      string            // queue, xt, copy or ask
	Replies   map[string]uint64 // by what came of them
	Refused   map[string]uint64 // addresses that no answer may open, by reason
	Learned   int               // addresses beneath wildcards now
	Cut       uint64            // addresses beyond what one answer may bring
	Evicted   uint64            // addresses that went before their time
	Late      uint64            // replies that went on before what they name was committed
	Errors    map[string]uint64 // by cause: verdict, overrun, internal
	Waiting   uint64            // packets in the kernel's queue
	Dropped   uint64            // packets the kernel dropped from it
	HeldCount uint64
	HeldSum   float64            // seconds
	Held      map[float64]uint64 // cumulative, by upper bound in seconds
}

// dnsModes are all values of DNS.Mode.
func dnsModes() []string { return []string{"queue", "xt", "copy", "ask"} }

// dnsDescs are the families of DNS.
type dnsDescs struct {
	mode, replies, refused, learned, dropped *prometheus.Desc
	held, late, errors, waiting, queueLost   *prometheus.Desc
}

func newDNSDescs() dnsDescs {
	return dnsDescs{
		mode:      desc("dockerwall_dns_mode", "1 for the way in which names are learned: queue or xt (answers wait until they are in the table), copy, or ask.", "mode"),
		replies:   desc("dockerwall_dns_responses_total", "DNS answers on their way to containers or the host, by what came of them.", "result"),
		refused:   desc("dockerwall_dns_refused_addresses_total", "Addresses in DNS answers that no answer can open, by reason.", "reason"),
		learned:   desc("dockerwall_dns_learned_addresses", "Addresses that were learned beneath allowed wildcards and are open now."),
		dropped:   desc("dockerwall_dns_evicted_addresses_total", "Addresses of names left out by a bound: of one answer (answer), or of a name or wildcard (name).", "bound"),
		held:      desc("dockerwall_dns_hold_duration_seconds", "How long DNS answers waited until they were in the table."),
		late:      desc("dockerwall_dns_hold_timeouts_total", "DNS answers that went on before they were in the table: the limit was over, or too many waited."),
		errors:    desc("dockerwall_dns_hold_errors_total", "DNS answers that passed unread, or whose verdict failed, by cause.", "cause"),
		waiting:   desc("dockerwall_dns_queue_packets", "DNS answers that wait in the kernel's queue now."),
		queueLost: desc("dockerwall_dns_queue_dropped_total", "DNS answers that the kernel dropped from its queue."),
	}
}

func (d dnsDescs) all() []*prometheus.Desc {
	return []*prometheus.Desc{d.mode, d.replies, d.refused, d.learned, d.dropped, d.held, d.late, d.errors, d.waiting, d.queueLost}
}

func (m *Metrics) dns(out *emitter, s DNS) {
	d := m.descs.dns
	for _, mode := range dnsModes() {
		out.gauge(d.mode, number(s.Mode == mode), mode)
	}
	for desc, counts := range map[*prometheus.Desc]map[string]uint64{d.replies: s.Replies, d.refused: s.Refused, d.errors: s.Errors} {
		for name, n := range counts {
			out.counter(desc, n, label(name))
		}
	}
	out.gauge(d.learned, s.Learned)
	out.counter(d.dropped, s.Cut, "answer")
	out.counter(d.dropped, s.Evicted, "name")
	out.counter(d.late, s.Late)
	out.gauge(d.waiting, int(s.Waiting))
	out.counter(d.queueLost, s.Dropped)
	out.metrics = append(out.metrics, prometheus.MustNewConstHistogram(d.held, s.HeldCount, s.HeldSum, s.Held))
}
