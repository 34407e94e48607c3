package main

import (
	"slices"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// figures are what came of first contacts of one container. Times are milliseconds of those that succeeded.
type figures struct {
	Contacts    int     `json:"contacts"`
	Connected   int     `json:"connected"`
	Unresolved  int     `json:"unresolved"`
	Lost        int     `json:"lost"`        // connections whose first packet had to be sent again, or that never stood
	Other       int     `json:"other"`       // connections that were late or failed though no packet was sent again
	Retransmits int     `json:"retransmits"` // segments that were sent again
	DNSP50      float64 `json:"dns_p50"`
	DNSP99      float64 `json:"dns_p99"`
	ConnectP50  float64 `json:"connect_p50"`
	ConnectP99  float64 `json:"connect_p99"`
}

// figure reads a result of the probe. A connection whose SYN was lost is late by the second after which it is sent again,
// or fails; that segments were sent again proves that this was why.
func figure(r lab.Result) figures {
	slow := r.Late + r.Sent - r.Received - r.Unresolved
	lost := min(slow, r.Retransmits)
	return figures{
		Contacts: r.Sent, Connected: r.Received, Unresolved: r.Unresolved, Lost: lost, Other: slow - lost, Retransmits: r.Retransmits,
		DNSP50: r.DNSP50, DNSP99: r.DNSP99, ConnectP50: r.ConnectP50, ConnectP99: r.ConnectP99,
	}
}

// sample is one way in one round.
type sample struct {
	Round   int     `json:"round"`
	Way     string  `json:"way"`
	Mode    string  `json:"mode,omitempty"`
	AtOnce  int     `json:"at_once"`
	Latency figures `json:"latency"` // of the container that may connect anyway
	Loss    figures `json:"loss"`    // of the one that may connect to what was learned
}

// row is a line of the table. What is nil there is nothing of.
type row struct {
	AtOnce     int      `json:"at_once"`
	Way        string   `json:"way"`
	Mode       string   `json:"mode,omitempty"`
	DNSP50     float64  `json:"dns_p50"`
	DNSP99     float64  `json:"dns_p99"`
	AddedP50   *float64 `json:"added_p50"`
	AddedP99   *float64 `json:"added_p99"`
	Lost       int      `json:"lost"`
	Contacts   int      `json:"contacts"`
	ConnectP50 *float64 `json:"connect_p50"`
	ConnectP99 *float64 `json:"connect_p99"`
	Unresolved int      `json:"unresolved"`
	Other      int      `json:"other"`
}

// rows are the table's: medians over the rounds, and sums of what was lost. What a way adds is the median of its
// differences from the way that holds nothing back in the same round.
func rows(samples []sample) (out []row) {
	for _, atOnce := range crowds() {
		of, base := map[string][]sample{}, map[int]figures{} // by way, and by round
		for _, s := range samples {
			if s.AtOnce != atOnce {
				continue
			}
			of[s.Way] = append(of[s.Way], s)
			if s.Way == plain() {
				base[s.Round] = s.Latency
			}
		}
		for _, w := range ways() {
			out = append(out, line(row{AtOnce: atOnce, Way: w.name}, of[w.name], base))
		}
	}
	return out
}

// plain is the way that others are compared with.
func plain() string { return ways()[1].name }

// line fills in a way's row from its samples.
func line(r row, samples []sample, base map[int]figures) row {
	var p50, p99, added50, added99, connect50, connect99 []float64
	for _, s := range samples {
		r.Mode = s.Mode
		p50, p99 = append(p50, s.Latency.DNSP50), append(p99, s.Latency.DNSP99)
		if b, ok := base[s.Round]; ok && r.Way != plain() {
			added50, added99 = append(added50, s.Latency.DNSP50-b.DNSP50), append(added99, s.Latency.DNSP99-b.DNSP99)
		}
		if s.Loss.Connected > 0 {
			connect50, connect99 = append(connect50, s.Loss.ConnectP50), append(connect99, s.Loss.ConnectP99)
		}
		r.Lost, r.Contacts = r.Lost+s.Loss.Lost, r.Contacts+s.Loss.Contacts
		r.Unresolved += s.Latency.Unresolved + s.Loss.Unresolved
		r.Other += s.Latency.Other + s.Latency.Lost + s.Loss.Other
	}
	r.DNSP50, r.DNSP99 = orZero(median(p50)), orZero(median(p99))
	r.AddedP50, r.AddedP99 = median(added50), median(added99)
	r.ConnectP50, r.ConnectP99 = median(connect50), median(connect99)
	return r
}

// median is the middle one, or the mean of the two in the middle; of nothing it is nil.
func median(of []float64) *float64 {
	if len(of) == 0 {
		return nil
	}
	of = slices.Sorted(slices.Values(of))
	m := (of[(len(of)-1)/2] + of[len(of)/2]) / 2
	return &m
}

func orZero(f *float64) float64 {
	if f == nil {
		return 0
	}
	return *f
}
