package main

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

func TestHoldingLosesNoFirstPacketAndEveryWayIsInTheTable(t *testing.T) {
	lab.Require(t)
	if _, err := lab.Fetch(t.Context()); err != nil {
		lab.Cannot(t, "needs a Docker Engine ("+err.Error()+")")
	}
	r, err := measure(t.Context(), sizes{rounds: 1, count: 20, denied: crowd{1: 1, 50: 5}}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	text := r.String()
	t.Log(text)
	if strings.Contains(text, "CAUTION") || len(r.Rows) != len(crowds())*len(ways()) {
		t.Errorf("%d rows", len(r.Rows))
	}
	for _, row := range r.Rows {
		if !slices.ContainsFunc(strings.Split(text, "\n"), func(line string) bool {
			return strings.HasPrefix(line, strconv.Itoa(row.AtOnce)) && strings.Contains(line, " "+row.title()+" ")
		}) {
			t.Errorf("no line for %s at %d at once", row.title(), row.AtOnce)
		}
		if row.DNSP50 <= 0 || row.DNSP99 < row.DNSP50 || row.Contacts == 0 {
			t.Errorf("nothing was measured: %+v", row)
		}
		if lost := row.Lost; row.Way == plain() && lost != row.Contacts || row.Way != plain() && row.Way != "copy" && lost != 0 {
			t.Errorf("%s, %d at once: %d of %d first packets lost", row.Way, row.AtOnce, lost, row.Contacts)
		}
	}
	for _, s := range r.Samples {
		if s.Way == "hold" && s.Latency.Retransmits+s.Loss.Retransmits > 0 {
			t.Errorf("packets were sent again: %+v", s)
		}
	}
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "dockerwall-lab-"+strconv.Itoa(os.Getpid())+"-*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestMedians(t *testing.T) {
	for name, c := range map[string]struct {
		of   []float64
		want float64
	}{
		"of one it is that":            {[]float64{3}, 3},
		"of three it is in the middle": {[]float64{9, 1, 2}, 2},
		"of four it is between":        {[]float64{9, 1, 2, 4}, 3},
		"it may be negative":           {[]float64{-0.5, -0.25}, -0.375},
	} {
		before := slices.Clone(c.of)
		if got := median(c.of); got == nil || *got != c.want || !slices.Equal(c.of, before) {
			t.Errorf("%s: %v of %v", name, got, c.of)
		}
	}
	if median(nil) != nil {
		t.Error("the median of nothing is something")
	}
}

func TestAConnectionIsLostIfItsPacketsWereSentAgain(t *testing.T) {
	for name, c := range map[string]struct {
		in          lab.Result
		lost, other int
	}{
		"all at once":                {lab.Result{Sent: 9, Received: 9}, 0, 0},
		"late after a lost SYN":      {lab.Result{Sent: 9, Received: 9, Retransmits: 2, Contacts: result.Contacts{Late: 2}}, 2, 0},
		"late, but none was lost":    {lab.Result{Sent: 9, Received: 9, Contacts: result.Contacts{Late: 2}}, 0, 2},
		"never, five SYNs each":      {lab.Result{Sent: 9, Received: 6, Retransmits: 12}, 3, 0},
		"late and never":             {lab.Result{Sent: 9, Received: 6, Retransmits: 13, Contacts: result.Contacts{Late: 1}}, 4, 0},
		"refused":                    {lab.Result{Sent: 9, Received: 6}, 0, 3},
		"a name without address":     {lab.Result{Sent: 9, Received: 6, Contacts: result.Contacts{Unresolved: 3}}, 0, 0},
		"another segment sent again": {lab.Result{Sent: 9, Received: 9, Retransmits: 1}, 0, 0},
	} {
		if got := figure(c.in); got.Lost != c.lost || got.Other != c.other || got.Contacts != 9 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// three rounds of two ways at 1 at once.
func three() (samples []sample) {
	for round, p50 := range [][2]float64{{1, 1.5}, {2, 2.25}, {9, 8}} {
		loss := figures{Contacts: 10, Connected: 10, Lost: round, ConnectP50: p50[1] / 4, ConnectP99: 1000 + float64(round)}
		samples = append(samples,
			sample{Round: round, Way: "ask only", Mode: "ask", AtOnce: 1, Latency: figures{DNSP50: p50[0], DNSP99: 10 * p50[0]}, Loss: figures{Contacts: 3, Lost: 3}},
			sample{Round: round, Way: "hold", Mode: "xt", AtOnce: 1, Latency: figures{DNSP50: p50[1], DNSP99: 10 * p50[1]}, Loss: loss},
			sample{Round: round, Way: "hold", Mode: "xt", AtOnce: 50, Latency: figures{DNSP50: 77}, Loss: figures{Unresolved: 1}})
	}
	return samples
}

func TestRowsAreMediansAndDifferencesOfTheSameRound(t *testing.T) {
	find := func(way string, atOnce int) row {
		all := rows(three())
		return all[slices.IndexFunc(all, func(r row) bool { return r.Way == way && r.AtOnce == atOnce })]
	}
	ask, hold, none := find("ask only", 1), find("hold", 1), find("copy", 1)
	if ask.DNSP50 != 2 || ask.DNSP99 != 20 || ask.AddedP50 != nil || ask.ConnectP50 != nil || ask.Lost != 9 || ask.Contacts != 9 {
		t.Errorf("%+v", ask)
	}
	// The differences are 0.5, 0.25 and -1: their median is not the difference of the medians.
	if hold.DNSP50 != 2.25 || *hold.AddedP50 != 0.25 || *hold.AddedP99 != 2.5 || hold.Lost != 3 || hold.Contacts != 30 {
		t.Errorf("%+v", hold)
	}
	if *hold.ConnectP50 != 2.25/4 || *hold.ConnectP99 != 1001 || hold.title() != "hold (xt)" {
		t.Errorf("%+v", hold)
	}
	if none.DNSP50 != 0 || none.AddedP50 != nil || none.Contacts != 0 {
		t.Errorf("%+v", none)
	}
	if other := find("hold", 50); other.DNSP50 != 77 || other.AddedP50 != nil || other.Unresolved != 3 {
		t.Errorf("%+v", other)
	}
}

func TestTheTable(t *testing.T) {
	want := `at once  way            DNS p50    p99  added p50    p99  first packets lost  connect p50      p99

1        no dockerwall     0.00   0.00          -      -              0 of 0            -        -
1        ask only          2.00  20.00          -      -              9 of 9            -        -
1        copy              0.00   0.00          -      -              0 of 0            -        -
1        hold (xt)         2.25  22.50      +0.25  +2.50             3 of 30         0.56  1001.00

50       no dockerwall     0.00   0.00          -      -              0 of 0            -        -
50       ask only          0.00   0.00          -      -              0 of 0            -        -
50       copy              0.00   0.00          -      -              0 of 0            -        -
50       hold (xt)        77.00   0.00          -      -              0 of 0            -        -
`
	if got := table(rows(three())); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	r := report{Rows: rows(three())}
	if text := r.String(); !strings.Contains(text, "CAUTION  hold (xt), 50 at once: 3 names were not resolved") || strings.Count(text, "CAUTION") != 1 {
		t.Errorf("it is not said that names were not resolved:\n%s", text)
	}
}

func TestTheReportIsWrittenAsJSON(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.json")
	r := report{Versions: versions{Kernel: "6.18", Docker: "20.10", HoldMode: "xt"}, Sizes: sizes{rounds: 3, count: 400}.said(), Rows: rows(three()), Samples: three()}
	if err := r.write(file); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var back report
	if err := json.Unmarshal(text, &back); err != nil || back.String() != r.String() || len(back.Samples) != 9 || back.Versions != r.Versions {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestSizes(t *testing.T) {
	s := sizes{rounds: 3, count: 400, denied: crowd{1: 3, 50: 50}}
	for _, w := range ways() {
		for _, atOnce := range crowds() {
			total := 0
			for round := range s.rounds {
				total += s.loss(w, atOnce, round)
			}
			want := map[int]int{1: 200, 50: 1000}[atOnce]
			if w.denies {
				want = s.denied[atOnce]
			}
			if total != want {
				t.Errorf("%s, %d at once: %d first contacts, want %d", w.name, atOnce, total, want)
			}
		}
	}
	first := map[string]int{}
	for round := range 4 {
		all := order(round)
		first[all[0].name]++
		slices.SortFunc(all, func(a, b way) int { return cmp.Compare(a.name, b.name) })
		if all = slices.CompactFunc(all, func(a, b way) bool { return a.name == b.name }); len(all) != 4 {
			t.Errorf("round %d: %v", round, all)
		}
	}
	if len(first) != 4 {
		t.Errorf("not every way is first once: %v", first)
	}
	for _, bad := range []sizes{{rounds: 0, count: 400}, {rounds: 101, count: 400}, {rounds: 5, count: 1}, {rounds: 5, count: 10001}} {
		if bad.check() == nil {
			t.Errorf("taken: %+v", bad)
		}
	}
}
