package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// TestASoakOfSecondsIsFlatAndSeesALeak soaks a daemon, and then one that denies nothing, which must not pass.
func TestASoakOfSecondsIsFlatAndSeesALeak(t *testing.T) {
	lab.Require(t)
	if _, err := lab.Fetch(t.Context()); err != nil {
		lab.Cannot(t, "needs a Docker Engine ("+err.Error()+")")
	}
	s, err := newSoak(t.Context(), options{length: 12 * time.Second, every: time.Second}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}()
	if err := s.stage(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := s.soak(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Log(r)
	if !r.Good() {
		t.Error("something grew, leaked or was lost")
	}
	for _, what := range s.missing() {
		t.Errorf("not one of: %s", what)
	}
	if err := s.daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	s.settings = []string{"DOCKERWALL_DRY_RUN=true"}
	if err := s.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.options.length = 5 * time.Second
	if r, err = s.soak(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.Good() || r.Leaked == 0 || r.Wrong == 0 {
		t.Errorf("nothing is denied, and that is not seen:\n%s", r)
	}
}

func TestWhatGrowsIsToldFromWhatIsFlat(t *testing.T) {
	const mib = 1 << 20
	for name, c := range map[string]struct {
		rss   func(second float64) float64 // MiB
		long  bool
		grows bool
	}{
		"flat":                               {func(float64) float64 { return 30 }, true, false},
		"a saw, as heaps have":               {func(s float64) float64 { return 30 + float64(int(s)%50)/5 }, true, false},
		"a rise while it warms up":           {func(s float64) float64 { return 30 + min(s, 400)/20 }, true, false},
		"a peak":                             {func(s float64) float64 { return map[bool]float64{true: 120, false: 30}[s > 700 && s < 800] }, true, false},
		"a leak of 10 MiB in twenty minutes": {func(s float64) float64 { return 30 + s/120 }, true, true},
		"a leak in a short load":             {func(s float64) float64 { return 30 + s }, false, true},
		"settling in a short load":           {func(s float64) float64 { return 30 + s/20 }, false, false},
		"it shrinks":                         {func(s float64) float64 { return 90 - s/60 }, true, false},
	} {
		r := report{WarmUp: 480, Done: map[string]int{"something": 1}}
		last := 1800.0
		if !c.long {
			r.WarmUp, last = 20, 60
		}
		for at := 0.0; at <= last; at += last / 360 {
			values := map[string]float64{}
			for _, l := range lines() {
				values[l.of] = 1000
				if l.rate {
					values[l.of] *= at + 1
				}
			}
			values["rss"] = c.rss(at) * mib
			r.Samples = append(r.Samples, sample{at, values})
		}
		r.Rows = judge(r)
		grows := slices.ContainsFunc(r.Rows, row.grows)
		if grows != c.grows || r.Good() == c.grows || strings.Contains(r.String(), "GROWS") != c.grows {
			t.Errorf("%s: %s", name, r)
		}
	}
}

func TestAReportIsGoodOnlyIfAllIs(t *testing.T) {
	flat := row{Start: 1, End: 1, Allowed: 1}
	for name, c := range map[string]struct {
		change func(*report)
		good   bool
	}{
		"all is well":             {func(*report) {}, true},
		"a packet leaked":         {func(r *report) { r.Leaked = 1 }, false},
		"something was lost":      {func(r *report) { r.Wrong = 1 }, false},
		"something grew":          {func(r *report) { r.Rows[0].Growth = 2 }, false},
		"what is free grew":       {func(r *report) { r.Rows[0] = row{Growth: 2, Free: true} }, true},
		"nothing was sampled":     {func(r *report) { r.Rows = nil }, false},
		"a line was never seen":   {func(r *report) { r.Rows[0] = row{Allowed: 1} }, false},
		"nothing was done at all": {func(r *report) { r.Done = nil }, false},
	} {
		r := report{Done: map[string]int{"echoes": 1}, Rows: []row{flat}}
		if c.change(&r); r.Good() != c.good {
			t.Errorf("%s: good is %v", name, r.Good())
		}
	}
}

func TestTheReportIsWrittenAsJSON(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.json")
	r := report{Kernel: "6.18", Done: map[string]int{"echoes": 7}, Rows: []row{{Title: "goroutines", Start: 1}}, Samples: []sample{{1, map[string]float64{"rss": 2}}}}
	if err := r.write(file); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var back report
	if err := json.Unmarshal(text, &back); err != nil || back.String() != r.String() || back.Samples[0].Values["rss"] != 2 {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestOptions(t *testing.T) {
	for name, c := range map[string]struct {
		options
		good bool
	}{
		"minutes":             {options{5 * time.Minute, 5 * time.Second}, true},
		"hours":               {options{2 * time.Hour, 5 * time.Second}, true},
		"no time":             {options{0, time.Second}, false},
		"too few samples":     {options{time.Minute, 30 * time.Second}, false},
		"samples without end": {options{time.Minute, 0}, false},
	} {
		if err := c.check(); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
		if w := c.warmUp(); c.good && (w <= 0 || w > c.length/2) {
			t.Errorf("%s: it warms up for %v", name, w)
		}
	}
}
