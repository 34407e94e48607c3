// Package metrics is what Prometheus sees: every metric in metrics.go, and the listener.
//
// State is not kept here but asked for at each scrape ([Snapshot]); events are counted by the methods
// of [Metrics], which do nothing on a nil one. The three families of the older dockerwall,
// dockerwall_container_packets, dockerwall_container_bytes and dockerwall_dropped_packets, keep their
// names and labels, but are valid, bounded and exact:
//
//   - dockerwall_dropped_packets has at most 20 series of one container and 500 in all, the container's
//     destination="other" included. First come, first shown; what has no series of its own is in "other",
//     so a container's series always add up to its denied packets. A destination without a packet for an
//     hour gives its series up, its count moves to "other".
//   - Nothing ever decreases while the daemon lives, even if the kernel's counters start anew or go with an address.
//   - The series of a container that is gone stay for five minutes, so that the last count is scraped.
//
// New families have other base names: X and X_total in one exposition would clash under OpenMetrics.
package metrics
