package main

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/boot"
	"github.com/dockerwall/dockerwall/nft"
)

func TestWhatIsKeptForABootCountsOnlyIfTheEngineWasHeardOf(t *testing.T) {
	type run struct {
		at              time.Duration
		good, connected bool
	}
	for name, test := range map[string]struct {
		runs        []run
		stop        time.Duration
		doubt, left bool // after the last run; at the stop
	}{
		"at the start":                        {nil, 0, false, false},
		"followed until it ended":             {[]run{{0, true, true}, {time.Minute, false, false}}, 2 * time.Minute, false, true},
		"followed long ago":                   {[]run{{0, true, true}, {6 * time.Minute, false, false}}, 6 * time.Minute, true, false},
		"heard of again":                      {[]run{{0, true, true}, {6 * time.Minute, false, false}, {7 * time.Minute, true, true}}, 7 * time.Minute, false, true},
		"never heard of":                      {[]run{{6 * time.Minute, false, false}}, 6 * time.Minute, true, false},
		"listed, but nothing tells of events": {[]run{{0, true, false}, {time.Minute, true, false}}, time.Minute, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Unix(1e9, 0)
			h, doubt := hearing{heard: began}, false
			for _, r := range test.runs {
				doubt = h.ran(r.good, r.connected, began.Add(r.at))
			}
			if left := h.left(began.Add(test.stop)); doubt != test.doubt || left != test.left {
				t.Errorf("doubt %v, left %v", doubt, left)
			}
		})
	}
}

func TestAFileForABootHoldsForAWeek(t *testing.T) {
	for name, test := range map[string]struct {
		days int
		want error
	}{"of yesterday": {1, nil}, "of last month": {30, errNotKept}} {
		t.Run(name, func(t *testing.T) {
			s := settings{stateDir: t.TempDir()}
			file, err := os.Create(boot.Path(s.stateDir))
			if err != nil {
				t.Fatal(err)
			}
			at := time.Now().AddDate(0, 0, -test.days)
			saved := boot.Saved{Ruleset: nft.Ruleset{LogGroup: 32}, Boot: "an earlier one"}
			if err := errors.Join(boot.Encode(file, saved), file.Close(), os.Chmod(file.Name(), 0o600), os.Chtimes(file.Name(), at, at)); err != nil {
				t.Fatal(err)
			}
			if _, err := s.saved(nil); !errors.Is(err, test.want) {
				t.Errorf("the daemon's: %v", err)
			}
			if test.want != nil {
				if _, err := s.saved([]string{file.Name()}); err != nil {
					t.Errorf("the same, by name: %v", err)
				}
			}
		})
	}
}
