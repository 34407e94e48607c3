package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/pair"
)

// TestABudgetIsMeasured on the kernel, and comes into the table and the file.
func TestABudgetIsMeasured(t *testing.T) {
	lab.Require(t)
	t.Chdir("../../..")
	file := filepath.Join(t.TempDir(), "bench.json")
	var out bytes.Buffer
	if err := run(t.Context(), options{pattern: "FirstCommit/^10$", rounds: 1, file: file}, &out, t.Output()); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); !strings.Contains(text, "| first commit | 10 | ") || !strings.Contains(text, "nft -f: ") || !strings.Contains(text, "ratio <= 1 | ") {
		t.Error(text)
	}
	r, err := read(file)
	if err != nil || len(r.Figures) != 1 || len(r.Figures[0].Ours) != 1 || len(r.Figures[0].Theirs) != 1 || r.Machine.Kernel == "" {
		t.Fatalf("%v, %+v", err, r)
	}
	out.Reset()
	if err := run(t.Context(), options{old: file, new: file}, &out, t.Output()); err != nil || !strings.Contains(out.String(), "\n| 1 ") {
		t.Errorf("%v: %s", err, out.String())
	}
}

func TestHowCostsGrow(t *testing.T) {
	r := report{}
	for _, n := range []int{10, 100, 1000} {
		square := float64(n) * float64(n)
		r.Figures = append(r.Figures,
			pair.Figure{Case: "square", N: n, Unit: "ms", Ours: pair.Samples{square, square, 9 * square}, Theirs: pair.Samples{float64(n)}},
			pair.Figure{Case: "speed", N: n, Unit: "pps", More: true, Ours: pair.Samples{1}},
			pair.Figure{Case: "flat", N: n, Unit: "ms", Ours: pair.Samples{7}})
	}
	r.Figures = append(r.Figures, pair.Figure{Case: "twice", N: 10, Ours: pair.Samples{1}}, pair.Figure{Case: "twice", N: 20, Ours: pair.Samples{2}})
	var got []string
	for _, row := range r.growths()[1:] {
		got = append(got, strings.Join(row, ", "))
	}
	if want := "square, 10 to 1000, 2.00, 1.00; flat, 10 to 1000, 0.00, -"; strings.Join(got, "; ") != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestABudgetThatIsMissedShows(t *testing.T) {
	for name, c := range map[string]struct {
		f    pair.Figure
		want []string
	}{
		"met":                         {pair.Figure{Case: "a", N: 5, Unit: "ms", Ours: pair.Samples{1, 2, 3}, Max: 2}, []string{"-", "a", "5", "2 ms (1 to 3)", "", "<= 2 ms", "met"}},
		"missed":                      {pair.Figure{Case: "a", Unit: "ms", Ours: pair.Samples{3}, Beside: "nft -f", Theirs: pair.Samples{2}, MaxRatio: 1}, []string{"1.5", "a", "", "3 ms", "nft -f: 2 ms", "ratio <= 1", "MISSED"}},
		"the 95th percentile, missed": {pair.Figure{Case: "a", Unit: "ms", Ours: pair.Samples{1, 1, 12}, Max: 10, P95: true}, []string{"-", "a", "", "1 ms (1 to 12)", "", "<= 10 ms p95: it is 12", "MISSED"}},
		"there is none":               {pair.Figure{Case: "a", Unit: "MiB", Ours: pair.Samples{1234.5}}, []string{"-", "a", "", "1234 MiB", "", "", ""}},
		"more is better":              {pair.Figure{Case: "a", Unit: "Gbit/s", More: true, Ours: pair.Samples{9}, Beside: "no table", Theirs: pair.Samples{10}, MaxRatio: 0.95}, []string{"0.9", "a", "", "9 Gbit/s", "no table: 10 Gbit/s", "ratio >= 0.95", "MISSED"}},
	} {
		text := report{Figures: []pair.Figure{c.f}}.String()
		lines := strings.Split(strings.TrimSpace(text), "\n")
		var cells []string
		for _, cell := range strings.Split(strings.Trim(lines[len(lines)-1], "|"), "|") {
			cells = append(cells, strings.TrimSpace(cell))
		}
		if strings.Join(cells, ";") != strings.Join(c.want, ";") {
			t.Errorf("%s: %q, want %q", name, cells, c.want)
		}
	}
}

func TestWhatCannotBeReadIsSaid(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"not JSON": "x", "JSON of something else": "{}", "nothing": ""} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := read(file); err == nil || !strings.Contains(err.Error(), "is not what bench -json wrote") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "half"), []byte("{\"case\":\"a\"}\n{\"cas"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readFigures(filepath.Join(dir, "half")); err == nil {
		t.Error("half a figure is one")
	}
}
