package observe

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// heard is how many packets were denied to container "a" so many minutes after a half hour began.
type heard struct {
	minute  int
	packets uint64
}

func TestHistoryCountsByHalfHours(t *testing.T) {
	began := time.Unix(0, 0).Add(100000 * HistorySlot)
	tests := map[string]struct {
		heard []heard
		now   int            // minute
		want  map[int]uint64 // by how many half hours ago; the others are 0
	}{
		"what is denied counts for the half hour it is": {[]heard{{1, 3}, {29, 1}, {31, 6}}, 31, map[int]uint64{1: 4, 0: 6}},
		"time goes on also when nothing is denied":      {[]heard{{1, 5}}, 95, map[int]uint64{3: 5}},
		"silence leaves zeros between":                  {[]heard{{1, 5}, {121, 1}}, 121, map[int]uint64{4: 5, 0: 1}},
		"a day later it is forgotten":                   {[]heard{{1, 5}}, 48 * 30, nil},
		"and so it is an hour after that":               {[]heard{{1, 5}}, 50 * 30, nil},
		"a half hour less, and it is there":             {[]heard{{1, 5}}, 48*30 - 1, map[int]uint64{47: 5}},
		"a denial after a week forgets all before":      {[]heard{{1, 5}, {7 * 24 * 60, 1}}, 7 * 24 * 60, map[int]uint64{0: 1}},
		"a clock that was set back loses nothing":       {[]heard{{61, 5}, {10, 2}, {65, 1}}, 65, map[int]uint64{0: 8}},
		"asked for a moment before the last denial":     {[]heard{{61, 5}}, 59, map[int]uint64{0: 5}},
		"both ends of a half hour are in the right one": {[]heard{{0, 4}, {29, 1}, {30, 2}}, 30, map[int]uint64{1: 5, 0: 2}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var h History
			at := func(minute int) time.Time { return began.Add(time.Duration(minute) * time.Minute) }
			for _, n := range test.heard {
				h.Record([]Denial{{ContainerID: "b", Time: at(n.minute), Packets: 100}, {ContainerID: "a", Time: at(n.minute), Packets: n.packets}})
			}
			want := make([]uint64, HistorySlots)
			for ago, n := range test.want {
				want[HistorySlots-1-ago] = n
			}
			if diff := cmp.Diff(want, h.Of("a", at(test.now))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestHistoryKeepsThoseThatWereDeniedLast(t *testing.T) {
	var h History
	now := time.Unix(1_800_000_000, 0)
	h.Record([]Denial{{ContainerID: "old", Time: now, Packets: 1}, {Time: now, Packets: 1}})
	for i := range maxHistories {
		h.Record([]Denial{{ContainerID: fmt.Sprint(i), Time: now.Add(HistorySlot), Packets: 7}})
	}
	now = now.Add(HistorySlot)
	if len(h.byID) != maxHistories || h.Of("0", now)[HistorySlots-1] != 7 || h.Of("old", now)[HistorySlots-2] != 0 {
		t.Errorf("%d containers, %v of the oldest", len(h.byID), h.Of("old", now))
	}
	if got := len(h.Of("nobody", now)); got != HistorySlots {
		t.Errorf("%d half hours of nobody", got)
	}
}
