package main

import (
	"github.com/dockerwall/dockerwall/metrics"
	"github.com/dockerwall/dockerwall/nft"
)

// counted is what the kernel counted of a container.
type counted struct {
	sent, drops []metrics.Part
	denied      uint64 // packets, the sum of drops
}

// countedOf is what the kernel counted of each container, by 12-digit ID.
func countedOf(c nft.Counters) map[string]counted {
	out := make(map[string]counted, len(c.Containers))
	for _, p := range c.Sent {
		of := out[p.ID]
		of.sent = append(of.sent, partOf(p))
		out[p.ID] = of
	}
	for _, p := range c.Parts {
		of := out[p.ID]
		of.drops, of.denied = append(of.drops, partOf(p)), of.denied+p.Packets
		out[p.ID] = of
	}
	return out
}

func partOf(p nft.Part) metrics.Part {
	return metrics.Part{Name: p.Name, Invalid: p.Invalid, Packets: p.Packets, Bytes: p.Bytes}
}

// lastCounts books what there is to tell of containers, with what fill adds from the kernel's counters of each.
func (f *fence) lastCounts(containers []nft.Container, fill func(metrics.Container, nft.Container, nft.Counters) metrics.Container) {
	outcome, _ := f.loop.Last()
	told := tellerOf(outcome)
	f.metrics.Observe(func() []metrics.Container {
		out := make([]metrics.Container, 0, len(containers))
		for _, c := range containers {
			counters, err := f.kernel.CountersOf(c)
			if err != nil {
				f.logger.Debug("last counts not read", "container", c.Name, "err", err)
				continue
			}
			out = append(out, fill(told.container(c), c, counters))
		}
		return out
	})
}
