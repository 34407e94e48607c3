package observe

import (
	"sync"

	"github.com/dockerwall/dockerwall/droplog"
	"github.com/dockerwall/dockerwall/nft"
)

// sightings gathers packets of nobody we know between two readings. The zero value is ready. Senders choose their
// addresses: beyond the bound packets are left out here, and told without where they came from.
type sightings struct {
	mu  sync.Mutex
	all map[Sighting]uint64
}

func (s *sightings) add(p droplog.Prefix, d droplog.Drop) {
	key := Sighting{
		Reason: nft.Reason(p.Reason), Source: d.Src, Interface: d.In, Target: Target{Dst: d.Dst, Port: d.DstPort, Proto: d.Proto},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.all[key]; !ok && len(s.all) >= maxSightings {
		return
	}
	if s.all == nil {
		s.all = map[Sighting]uint64{}
	}
	s.all[key]++
}

func (s *sightings) take() []Sighting {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Sighting, 0, len(s.all))
	for key, n := range s.all {
		key.Packets = n
		out = append(out, key)
	}
	s.all = nil
	return out
}
