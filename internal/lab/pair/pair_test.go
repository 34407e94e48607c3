package pair

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAFigureKeepsItsBudget(t *testing.T) {
	for name, c := range map[string]struct {
		f   Figure
		met bool
	}{
		"there is none":                               {Figure{Ours: Samples{9}}, true},
		"the median is less":                          {Figure{Ours: Samples{1, 2, 30}, Max: 2}, true},
		"the median is more":                          {Figure{Ours: Samples{1, 3, 30}, Max: 2}, false},
		"the ratio of most rounds is less":            {Figure{Ours: Samples{1, 10, 3}, Theirs: Samples{2, 20, 1}, MaxRatio: 0.5}, true},
		"both medians are less, the ratio is not":     {Figure{Ours: Samples{1, 4, 2}, Theirs: Samples{1, 2, 8}, MaxRatio: 0.9}, false},
		"nothing to compare with":                     {Figure{Ours: Samples{1}, MaxRatio: 1}, false},
		"less is worse":                               {Figure{Ours: Samples{90}, Theirs: Samples{100}, MaxRatio: 0.95, More: true}, false},
		"more is better":                              {Figure{Ours: Samples{96}, Theirs: Samples{100}, MaxRatio: 0.95, More: true}, true},
		"the median is less, the last twentieth more": {Figure{Ours: Samples{1, 1, 1, 1, 9}, Max: 2, P95: true}, false},
		"the ratio is kept, the median is not":        {Figure{Ours: Samples{4}, Theirs: Samples{8}, MaxRatio: 1, Max: 2}, false},
	} {
		if c.f.Met() != c.met {
			t.Errorf("%s: met %v", name, c.f.Met())
		}
	}
}

func TestTheFirstOfARoundChanges(t *testing.T) {
	t.Setenv(RoundsVariable, "3")
	var order strings.Builder
	Rounds(func(int) { order.WriteString("a") }, func(int) { order.WriteString("b") })
	if order.String() != "abbaab" {
		t.Error(order.String())
	}
}

func TestFiguresAreAppended(t *testing.T) {
	path := filepath.Join(t.TempDir(), "figures")
	t.Setenv(FileVariable, path)
	testing.Benchmark(func(b *testing.B) { Figure{Case: "a", N: 10, Unit: "ms", Ours: Samples{1}}.Report(b) })
	text, err := os.ReadFile(path)
	var f Figure
	if err != nil || json.Unmarshal([]byte(strings.Split(string(text), "\n")[0]), &f) != nil || f.Case != "a" || f.N != 10 || len(f.Ours) != 1 {
		t.Errorf("%v: %s", err, text)
	}
}
