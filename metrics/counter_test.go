package metrics

import "testing"

func TestCounterNeverDecreases(t *testing.T) {
	tests := map[string]struct {
		readings []uint64
		want     uint64
	}{
		"grows":                       {[]uint64{5, 7, 7, 10}, 10},
		"starts anew":                 {[]uint64{100, 3, 4}, 104},
		"a missed reading is nothing": {[]uint64{100, 0, 100, 101}, 101},
		"starts anew at nothing":      {[]uint64{100, 0, 0, 2}, 102},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var c counter
			for _, r := range tt.readings {
				before := c.total
				if n := c.advance(r); c.total != before+n {
					t.Errorf("advance returned %d, total went from %d to %d", n, before, c.total)
				}
			}
			if c.total != tt.want {
				t.Errorf("got %d, want %d", c.total, tt.want)
			}
		})
	}
}

func TestCounterKeepsWhatALimitHeldBack(t *testing.T) {
	var c counter
	if n := c.advanceBy(10, 4); n != 4 {
		t.Errorf("took %d of 10, want 4", n)
	}
	if n := c.advanceBy(12, 100); n != 8 || c.total != 12 {
		t.Errorf("then %d, total %d, want 8 and 12", n, c.total)
	}
	if n := c.advanceBy(5, 2); n != 2 { // anew
		t.Errorf("anew: %d, want 2", n)
	}
	if n := c.advanceBy(5, 100); n != 3 || c.total != 17 {
		t.Errorf("the rest: %d, total %d, want 3 and 17", n, c.total)
	}
}
