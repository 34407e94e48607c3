package observe

import (
	"sync"
	"time"
)

// What a [History] keeps: the last day, by half hours, of so many containers.
const (
	HistorySlot  = 30 * time.Minute
	HistorySlots = 48

	maxHistories = 5000
)

// History is how many packets were denied to each container in each half hour of the last day. Half hours are those of the
// clock. It may be used by many goroutines at once; the zero value is empty.
type History struct {
	mu   sync.Mutex
	byID map[string]*day
}

// day is one container's ring.
type day struct {
	slot int64 // of the last packet, counted from 1970
	ring [HistorySlots]uint64
}

// Record counts denials, as a sink of an [Observer]. Of more than 5,000 containers those without denials for longest are
// forgotten.
func (h *History) Record(denials []Denial) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.byID == nil {
		h.byID = make(map[string]*day)
	}
	for _, d := range denials {
		if d.ContainerID == "" {
			continue
		}
		slot := slotOf(d.Time)
		ring := h.byID[d.ContainerID]
		if ring == nil {
			h.makeRoom()
			ring = &day{slot: slot}
			h.byID[d.ContainerID] = ring
		}
		ring.turn(slot)
		ring.ring[ring.slot%HistorySlots] += d.Packets
	}
}

func (h *History) makeRoom() {
	if len(h.byID) < maxHistories {
		return
	}
	oldest := ""
	for id, d := range h.byID {
		if oldest == "" || d.slot < h.byID[oldest].slot {
			oldest = id
		}
	}
	delete(h.byID, oldest)
}

func slotOf(t time.Time) int64 { return t.Unix() / int64(HistorySlot/time.Second) }

// turn goes on to a half hour and empties those between. A clock that was set back goes on where it was.
func (d *day) turn(slot int64) {
	for steps := min(slot-d.slot, HistorySlots); steps > 0; steps-- {
		d.ring[(slot-steps+1)%HistorySlots] = 0
	}
	d.slot = max(d.slot, slot)
}

// Of is what was denied to a container, by its whole ID, in each half hour up to now, the oldest first. It is never nil.
func (h *History) Of(id string, now time.Time) []uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]uint64, HistorySlots)
	d := h.byID[id]
	if d == nil {
		return out
	}
	seen := *d
	seen.turn(slotOf(now))
	for i := range out {
		out[i] = seen.ring[(seen.slot+1+int64(i))%HistorySlots]
	}
	return out
}
