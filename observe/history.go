package observe

import (
	"maps"
	"sync"
	"time"
)

// What a [History] keeps: the last day, by half hours.
const (
	HistorySlot  = 30 * time.Minute
	HistorySlots = 48
)

// History is how many packets were denied to each container in each half hour of the last day. Half hours are those of the
// clock. It may be used by many goroutines at once; the zero value is empty.
type History struct {
	mu    sync.Mutex
	began bool
	byID  map[string]*days
}

// days is one container's ring.
type days struct {
	total uint64 // as of the last reading
	slot  int64  // of that reading, counted from 1970
	ring  [HistorySlots]uint64
}

// Add takes a reading of every container's counter, by ID; a container that is not in it is forgotten. What grew since
// the reading before counts for the half hour of this one. The first reading is only where counting begins; a container
// that appears later began at 0, and so did a counter that is less than it was.
func (h *History) Add(totals map[string]uint64, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.byID == nil {
		h.byID = make(map[string]*days, len(totals))
	}
	slot := now.Unix() / int64(HistorySlot/time.Second)
	for id, total := range totals {
		d := h.byID[id]
		if d == nil {
			d = &days{slot: slot}
			if !h.began {
				d.total = total
			}
			h.byID[id] = d
		}
		d.add(total, slot)
	}
	h.began = true
	maps.DeleteFunc(h.byID, func(id string, _ *days) bool { _, is := totals[id]; return !is })
}

func (d *days) add(total uint64, slot int64) {
	grown := total - d.total
	if total < d.total {
		grown = total
	}
	d.turn(slot)
	d.total = total
	d.ring[d.slot%HistorySlots] += grown
}

// turn goes on to a half hour and empties those between. A clock that was set back goes on where it was.
func (d *days) turn(slot int64) {
	for steps := min(slot-d.slot, HistorySlots); steps > 0; steps-- {
		d.ring[(slot-steps+1)%HistorySlots] = 0
	}
	d.slot = max(d.slot, slot)
}

// Of is what was denied to a container in each half hour up to now, the oldest first. It is never nil.
func (h *History) Of(id string, now time.Time) []uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]uint64, HistorySlots)
	d := h.byID[id]
	if d == nil {
		return out
	}
	seen := *d
	seen.turn(now.Unix() / int64(HistorySlot/time.Second))
	for i := range out {
		out[i] = seen.ring[(seen.slot+1+int64(i))%HistorySlots]
	}
	return out
}
