package droplog

import "testing"

func TestGapsAddUpToWhatWasLost(t *testing.T) {
	const overrun = ^uint32(0) - 5 // stands for ENOBUFS
	tests := map[string]struct {
		next   uint32
		events []uint32
		want   uint64
	}{
		"none":                          {0, []uint32{0, 1, 2, 3}, 0},
		"before the first packet":       {0, []uint32{4, 5}, 4},
		"in the middle":                 {0, []uint32{0, 3, 4, 9}, 2 + 4},
		"overrun is part of the gap":    {0, []uint32{0, overrun, 4}, 3},
		"two overruns, one gap":         {0, []uint32{0, overrun, overrun, 7, 8}, 6},
		"overrun and no packet since":   {0, []uint32{0, 1, overrun}, 1},
		"the gap comes a packet later":  {0, []uint32{0, overrun, 1, 5}, 3},
		"over the end of the numbers":   {^uint32(0), []uint32{^uint32(0), 0, 1, 3}, 1},
		"an older number is not a loss": {9, []uint32{3, 4, 5}, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g, lost := gaps{next: tt.next}, uint64(0)
			for _, e := range tt.events {
				if e == overrun {
					lost += g.overrun()
					continue
				}
				lost += g.arrived(e)
			}
			if lost != tt.want {
				t.Errorf("lost %d, want %d", lost, tt.want)
			}
		})
	}
}
