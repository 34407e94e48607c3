package observe

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// reading is the counter of container "a" at so many minutes past a half hour.
type reading struct {
	minute int
	total  uint64
}

func TestHistoryCountsByHalfHours(t *testing.T) {
	began := time.Unix(0, 0).Add(100000 * HistorySlot)
	tests := map[string]struct {
		readings []reading
		now      int            // minute
		want     map[int]uint64 // by how many half hours ago; the others are 0
	}{
		"the first reading is where counting begins":    {[]reading{{0, 100}}, 0, nil},
		"what grows counts for the half hour it is":     {[]reading{{0, 100}, {1, 103}, {29, 104}, {31, 110}}, 31, map[int]uint64{1: 4, 0: 6}},
		"time goes on also when nothing is read":        {[]reading{{0, 0}, {1, 5}}, 95, map[int]uint64{3: 5}},
		"silence leaves zeros between":                  {[]reading{{0, 0}, {1, 5}, {121, 6}}, 121, map[int]uint64{4: 5, 0: 1}},
		"a day later it is forgotten":                   {[]reading{{0, 0}, {1, 5}}, 48 * 30, nil},
		"and so it is an hour after that":               {[]reading{{0, 0}, {1, 5}}, 50 * 30, nil},
		"a half hour less, and it is there":             {[]reading{{0, 0}, {1, 5}}, 48*30 - 1, map[int]uint64{47: 5}},
		"a reading after a week forgets all before":     {[]reading{{0, 0}, {1, 5}, {7 * 24 * 60, 6}}, 7 * 24 * 60, map[int]uint64{0: 1}},
		"a counter made anew counts from 0":             {[]reading{{0, 100}, {1, 3}}, 1, map[int]uint64{0: 3}},
		"a clock that was set back loses nothing":       {[]reading{{60, 0}, {61, 5}, {10, 7}, {65, 8}}, 65, map[int]uint64{0: 8}},
		"asked for a moment before the last reading":    {[]reading{{60, 0}, {61, 5}}, 59, map[int]uint64{0: 5}},
		"both ends of a half hour are in the right one": {[]reading{{0, 0}, {29, 1}, {30, 3}}, 30, map[int]uint64{1: 1, 0: 2}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var h History
			at := func(minute int) time.Time { return began.Add(time.Duration(minute) * time.Minute) }
			for _, r := range test.readings {
				h.Add(map[string]uint64{"a": r.total, "b": 1}, at(r.minute))
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

func TestHistoryBeginsAContainerThatAppearsLaterAtZeroAndForgetsOneThatIsGone(t *testing.T) {
	var h History
	now := time.Unix(1_800_000_000, 0)
	h.Add(map[string]uint64{"old": 50}, now)
	h.Add(map[string]uint64{"old": 50, "young": 7}, now)
	if got := h.Of("young", now)[HistorySlots-1]; got != 7 {
		t.Errorf("%d, want 7", got)
	}
	h.Add(map[string]uint64{"young": 7}, now)
	h.Add(map[string]uint64{"young": 7, "old": 3}, now)
	if got := h.Of("old", now)[HistorySlots-1]; got != 3 {
		t.Errorf("%d, want 3: it is another", got)
	}
	if got := len(h.Of("nobody", now)); got != HistorySlots {
		t.Errorf("%d half hours of nobody", got)
	}
}
