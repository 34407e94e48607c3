package reconcile

import (
	"errors"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dockerwall/dockerwall/docker/dockertest"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/operator"
	"github.com/dockerwall/dockerwall/overlay"
	"github.com/dockerwall/dockerwall/policy"
)

// overlaid is a rig with a container web, to which allow adds tokens at run time.
type overlaid struct {
	*rig
	said atomic.Pointer[overlay.Overlay]
}

func startOverlaid(t *testing.T) *overlaid {
	t.Helper()
	r := &overlaid{rig: newRig()}
	r.begin(t)
	return r
}

func (r *overlaid) begin(t *testing.T) {
	t.Helper()
	r.said.Store(&overlay.Overlay{})
	r.overlay = func() overlay.Overlay { return *r.said.Load() }
	r.learning(t, "192.0.2.1", "")
}

func (r *overlaid) allow(text string) {
	var grants []overlay.Grant
	for _, e := range policy.Entries(text) {
		grants = append(grants, overlay.Grant{Token: e.Token})
	}
	r.said.Store(&overlay.Overlay{Containers: map[string]overlay.Container{dockertest.ID("web"): {Grants: grants}}})
}

// passes says whether the table in the kernel has web reach an address.
func (r *overlaid) passes(addr string) bool {
	rules := r.kernel.last()
	e := rules.Containers[0].Endpoints[0]
	return rules.Judge(nft.Packet{Hook: nft.Forward, In: e.Bridge, Out: "eth0", Src: e.Addr, Dst: netip.MustParseAddr(addr), Proto: nft.TCP, DstPort: 80}).Pass
}

// answered is what Committed says, false while it waits.
func (r *overlaid) answered(t *testing.T) func() (error, bool) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- r.loop.Committed(t.Context()) }()
	synctest.Wait()
	return func() (error, bool) {
		select {
		case err := <-done:
			return err, true
		default:
			return nil, false
		}
	}
}

func TestCommittedWaitsForARunThatHasSeenTheChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startOverlaid(t)
		defer r.stop()
		r.kernel.take(time.Second)
		r.loop.Kick()
		time.Sleep(500 * time.Millisecond) // the kernel is at it
		r.allow("203.0.113.7")
		answered := r.answered(t)
		time.Sleep(600 * time.Millisecond)
		synctest.Wait()
		if err, did := answered(); did {
			t.Errorf("answered after a run that began before: %v", err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if err, did := answered(); !did || err != nil || !r.passes("203.0.113.7") {
			t.Errorf("answered %v, %v; it passes: %v", did, err, r.passes("203.0.113.7"))
		}
	})
}

func TestAChangeAtRunTimeIsCommittedWithoutAnEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told atomic.Int32
		r := &overlaid{rig: newRig()}
		r.told = Options{Unseated: func(Outcome) { told.Add(1) }}
		r.said.Store(&overlay.Overlay{})
		r.overlay = func() overlay.Overlay { return *r.said.Load() }
		r.learning(t, "192.0.2.1", "")
		defer r.stop()
		r.engine.fail(errors.New("restarting"))
		for _, test := range []struct {
			tokens       string
			first, other bool
		}{{"203.0.113.7", true, true}, {"203.0.113.7, !192.0.2.1", false, true}, {"", true, false}} {
			before := told.Load()
			r.allow(test.tokens)
			answered := r.answered(t)
			time.Sleep(time.Second)
			synctest.Wait()
			if err, did := answered(); !did || err != nil {
				t.Errorf("%q: answered %v, %v", test.tokens, did, err)
			}
			if first, other := r.passes("192.0.2.1"), r.passes("203.0.113.7"); first != test.first || other != test.other {
				t.Errorf("%q: the label's passes %v, the other %v", test.tokens, first, other)
			}
			if n := told.Load() - before; n != 1 {
				t.Errorf("%q: told %d times of a table that flows may be against, want 1", test.tokens, n)
			}
		}
	})
}

func TestAChangeAtRunTimeDoesNotWaitForAnEngineThatHangs(t *testing.T) {
	for name, test := range map[string]struct{ before, within time.Duration }{
		"at its very begin":        {0, 250 * time.Millisecond},
		"when it has hung a while": {5 * time.Second, 10 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := startOverlaid(t)
				defer r.stop()
				r.engine.hang(true)
				r.loop.Kick()
				time.Sleep(5*time.Millisecond + test.before)
				r.allow("!192.0.2.1")
				answered := r.answered(t)
				time.Sleep(test.within)
				synctest.Wait()
				if err, did := answered(); !did || err != nil || r.passes("192.0.2.1") {
					t.Errorf("answered %v, %v; what is denied passes: %v", did, err, r.passes("192.0.2.1"))
				}
				r.engine.hang(false)
				time.Sleep(time.Minute)
				synctest.Wait()
				if o, _ := r.loop.Last(); o.Err != nil || r.passes("192.0.2.1") {
					t.Errorf("when it answers again: %v, passes %v", o.Err, r.passes("192.0.2.1"))
				}
			})
		})
	}
}

func TestCommittedSaysThatItIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startOverlaid(t)
		refused := errors.New("no")
		r.kernel.fail(refused)
		answered := r.answered(t)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if err, did := answered(); !did || !errors.Is(err, refused) {
			t.Errorf("answered %v, %v", did, err)
		}
		r.engine.hang(true)
		answered = r.answered(t)
		r.stop()
		synctest.Wait()
		if err, did := answered(); !did || !errors.Is(err, errEnded) {
			t.Errorf("at the end of the loop: answered %v, %v", did, err)
		}
		if err := r.loop.Committed(t.Context()); !errors.Is(err, errEnded) {
			t.Errorf("after it: %v", err)
		}
	})
}

func TestADenialBesideAnUnknownDeniedGroupCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startOverlaid(t)
		defer r.stop()
		deny := func(d policy.Destination) overlay.Grant {
			return overlay.Grant{Token: policy.Token{Deny: true, Dest: d}}
		}
		allow := overlay.Grant{Token: policy.Entries("203.0.113.7")[0].Token}
		r.said.Store(&overlay.Overlay{Containers: map[string]overlay.Container{dockertest.ID("web"): {
			Grants: []overlay.Grant{allow, deny(policy.Group("gone")), deny(policy.All)},
		}}})
		r.loop.Kick()
		time.Sleep(time.Second)
		synctest.Wait()
		if r.passes("192.0.2.1") || r.passes("203.0.113.7") {
			t.Error("a denial of everything does not count")
		}
	})
}

// TestARunDoesNotTakeBackWhatWasSaidWhileItLooked: it has asked what counts at run time, and waits for the rest.
func TestARunDoesNotTakeBackWhatWasSaidWhileItLooked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &overlaid{rig: newRig()}
		r.images = true
		r.begin(t)
		defer r.stop()
		answer := r.engine.holdImages()
		r.loop.Kick()
		time.Sleep(time.Second)
		r.allow("!192.0.2.1")
		answered := r.answered(t)
		if err, did := answered(); !did || err != nil || r.passes("192.0.2.1") {
			t.Fatalf("answered %v, %v; what is denied passes: %v", did, err, r.passes("192.0.2.1"))
		}
		r.kernel.take(time.Second)
		answer()
		for range 5 {
			time.Sleep(500 * time.Millisecond)
			synctest.Wait()
			if r.passes("192.0.2.1") {
				t.Fatal("what was denied passes again")
			}
		}
	})
}

// TestFilesCountWithoutAnEngine, whether it fails or hangs.
func TestFilesCountWithoutAnEngine(t *testing.T) {
	for name, silence := range map[string]func(*fakeEngine){
		"it fails": func(e *fakeEngine) { e.fail(errors.New("restarting")) },
		"it hangs": func(e *fakeEngine) { e.hang(true) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var said atomic.Pointer[operator.Policies]
				said.Store(&operator.Policies{})
				r := &overlaid{rig: newRig()}
				r.files = func() operator.Policies { return *said.Load() }
				r.begin(t)
				defer r.stop()
				silence(r.engine)
				r.loop.Kick()
				time.Sleep(5 * time.Second)
				p, _ := policy.Parse("!192.0.2.1")
				for _, rules := range [][]operator.Rule{{{File: "10.yaml", Line: 1, Match: operator.Match{Container: []string{"web"}}, Policy: p}}, nil} {
					said.Store(&operator.Policies{Rules: rules})
					r.loop.Changed()
					time.Sleep(time.Second)
					synctest.Wait()
					if passes := r.passes("192.0.2.1"); passes != (rules == nil) {
						t.Errorf("under %d rules: %v", len(rules), passes)
					}
				}
			})
		})
	}
}
