package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dockerwall/dockerwall/boot"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/overlay"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/reconcile"
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

// TestWhatIsSaidWithoutAnEngineIsKeptForABoot, while it is known who there is.
func TestWhatIsSaidWithoutAnEngineIsKeptForABoot(t *testing.T) {
	denies := overlay.Overlay{Containers: map[string]overlay.Container{strings.Repeat("a", 64): {Grants: []overlay.Grant{{Token: policy.Entries("!192.0.2.1")[0].Token}}}}}
	for name, test := range map[string]struct {
		said  overlay.Overlay
		heard time.Duration // since
		kept  bool
	}{
		"something was said": {denies, time.Minute, true},
		"nothing was":        {overlay.Overlay{}, time.Minute, false},
		"the Engine was not heard for a long while": {denies, time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				f := &fence{boot: boot.NewKeeper(boot.KeeperOptions{Dir: dir}), hearing: hearing{heard: time.Now().Add(-test.heard)}, policiesOf: map[string]reconcile.Earlier{}}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- f.boot.Run(ctx) }()
				f.rememberSaid(reconcile.Outcome{At: time.Now(), State: reconcile.State{Overlay: test.said}, Ruleset: nft.Ruleset{LogGroup: 32}})
				time.Sleep(time.Minute)
				if _, err := boot.Read(boot.Path(dir)); (err == nil) != test.kept {
					t.Errorf("kept: %v", err)
				}
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
