package reconcile

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
)

func TestKicksMerge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		defer r.stop()
		synctest.Wait()
		before := r.kernel.runs()
		for range 50 {
			r.loop.Kick()
		}
		time.Sleep(time.Second)
		if n := r.kernel.runs() - before; n < 1 || n > 2 {
			t.Errorf("50 kicks made %d runs, want 1 or 2", n)
		}
	})
}

func TestKicksWithoutEndDoNotStarveARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		defer r.stop()
		for range 1000 {
			r.loop.Kick()
			time.Sleep(100 * time.Microsecond)
		}
		if n := r.kernel.runs(); n < 20 || n > 101 {
			t.Errorf("kicks for 100 ms made %d runs, want about one a settle time", n)
		}
	})
}

func TestAKickRunsWithinTheSettleTime(t *testing.T) {
	for name, tt := range map[string]struct {
		took, rest, want time.Duration // of the commit before, since it ended, and until the next run begins
	}{
		"after a rest":                           {0, time.Second, time.Millisecond},
		"after a rest, though commits take long": {4 * time.Millisecond, time.Second, time.Millisecond},
		"and as long after a commit as it took":  {4 * time.Millisecond, 0, 4 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, Config{})
				defer r.stop()
				synctest.Wait()
				r.kernel.take(tt.took)
				r.loop.Kick()
				for n := r.kernel.runs(); r.kernel.runs() == n; synctest.Wait() {
					time.Sleep(50 * time.Microsecond)
				}
				time.Sleep(tt.rest)
				listed, _ := r.engine.counts()
				kicked, now := time.Now(), listed
				for r.loop.Kick(); now == listed && time.Since(kicked) < time.Second; now, _ = r.engine.counts() {
					time.Sleep(50 * time.Microsecond)
					synctest.Wait()
				}
				if got := time.Since(kicked); got < tt.want-100*time.Microsecond || got > tt.want+100*time.Microsecond {
					t.Errorf("%v after the kick, want %v", got, tt.want)
				}
			})
		})
	}
}

func TestAFailureIsRetriedWithBackOffAndAKickEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		defer r.stop()
		synctest.Wait()
		r.kernel.fail(errors.New("no"))
		r.loop.Kick()
		time.Sleep(10 * time.Second)
		if _, good := r.loop.Last(); !good {
			t.Error("one failure made a good run forgotten")
		}
		if o, _ := r.loop.Last(); o.Err == nil {
			t.Error("the failure is not told")
		}
		if listed, _ := r.engine.counts(); listed > 12 {
			t.Errorf("%d tries in 10 s: no back-off", listed)
		}
		before := r.kernel.runs()
		r.kernel.fail(nil)
		r.loop.Kick()
		synctest.Wait()
		if r.kernel.runs() == before {
			t.Error("a kick did not end the wait for the retry")
		}
	})
}

func TestTheTimerRelistsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		defer r.stop()
		time.Sleep(5*time.Minute + time.Second)
		if _, n := r.engine.counts(); n != 5 {
			t.Errorf("%d full listings in 5 minutes, want 5", n)
		}
	})
}

func TestWithoutEngineTheBootRulesetStands(t *testing.T) {
	only, _ := policy.ParseNetworks("blue")
	for name, test := range map[string]struct {
		exists bool
		config Config
		want   int
	}{
		"a host without a table gets it":      {false, Config{}, 1},
		"a table that stands is not replaced": {true, Config{}, 0},
		"named networks leave bridges alone":  {false, Config{Networks: only}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &rig{kernel: &fakeKernel{exists: test.exists}, engine: &fakeEngine{err: errors.New("no Engine")}}
				r.start(t, test.config)
				defer r.stop()
				time.Sleep(time.Minute)
				if n := r.kernel.runs(); n != test.want {
					t.Fatalf("%d commits, want %d", n, test.want)
				}
				if test.want == 0 {
					return
				}
				p := nft.Packet{Hook: nft.Forward, In: "docker0", Src: netip.MustParseAddr("172.17.0.2"), Dst: netip.MustParseAddr("203.0.113.1"), Proto: nft.TCP}
				if pass := r.kernel.last().Judge(p).Pass; pass != test.config.Networks.Only() {
					t.Errorf("a packet from docker0 passes: %v", pass)
				}
			})
		})
	}
}

func TestRemovalByRequestEndsTheLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{kernel: &fakeKernel{err: nft.ErrRemoved}, engine: &fakeEngine{}}
		loop, err := New(Options{Kernel: r.kernel, Gather: Gather{Engine: r.engine, Resolver: &fakeResolver{},
			Interfaces: func() (hostnet.Interfaces, error) { return hostnet.Interfaces{}, nil }}})
		if err != nil {
			t.Fatal(err)
		}
		if err := loop.Run(t.Context()); !errors.Is(err, nft.ErrRemoved) {
			t.Errorf("Run returned %v", err)
		}
	})
}

func TestAChangedTableIsRepairedWhileTheEngineDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		defer r.stop()
		synctest.Wait()
		r.engine.fail(errors.New("restarting"))
		before := r.kernel.runs()
		r.kernel.flush()
		r.loop.Repair()
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if r.kernel.runs() == before {
			t.Error("the last ruleset was not committed again")
		}
		if o, _ := r.loop.Last(); !o.Report.Changed || o.Err == nil {
			t.Errorf("outcome %+v: the repair is not told", o.Report)
		}
	})
}

func TestAChangedTableIsRepairedWhileTheEngineHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told atomic.Int32
		r := &rig{kernel: &fakeKernel{}, engine: &fakeEngine{}, told: Options{Alive: func() { told.Add(1) }}}
		r.start(t, Config{})
		defer r.stop()
		synctest.Wait()
		r.engine.hang(true)
		r.loop.Kick()
		time.Sleep(time.Second)
		before, beats := r.kernel.runs(), told.Load()
		r.loop.Repair()
		synctest.Wait()
		if r.kernel.runs() != before+1 {
			t.Errorf("%d commits at once, want 1", r.kernel.runs()-before)
		}
		time.Sleep(10 * time.Second)
		if n := told.Load() - beats; n < 9 {
			t.Errorf("told %d times in 10 s that the loop is alive", n)
		}
		time.Sleep(10 * time.Second)
		if o, _ := r.loop.Last(); !errors.Is(o.Err, context.DeadlineExceeded) {
			t.Errorf("it has given up: %v", o.Err)
		}
		r.engine.hang(false)
		time.Sleep(20 * time.Second)
		if o, _ := r.loop.Last(); o.Err != nil {
			t.Errorf("the Engine answers again: %v", o.Err)
		}
	})
}

func TestATableStandsBeforeTheEngineIsAsked(t *testing.T) {
	for name, test := range map[string]struct {
		stands  bool // a table of an earlier daemon
		commits int
	}{
		"on a host without a table": {false, 1},
		"with an earlier daemon's":  {true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var standing atomic.Int32
				r := &rig{kernel: &fakeKernel{exists: test.stands}, engine: &fakeEngine{hangs: true}}
				r.told = Options{StandFirst: true, Standing: func() {
					standing.Add(1)
					if listed, _ := r.engine.counts(); listed > 0 || r.kernel.runs() != test.commits {
						t.Errorf("told after %d listings and %d commits, want %d", listed, r.kernel.runs(), test.commits)
					}
				}}
				r.start(t, Config{})
				defer r.stop()
				synctest.Wait()
				if standing.Load() != 1 {
					t.Fatalf("told %d times that a table stands", standing.Load())
				}
				r.engine.hang(false)
				time.Sleep(time.Minute)
				if _, good := r.loop.Last(); !good || standing.Load() != 1 {
					t.Errorf("good %v, told %d times", good, standing.Load())
				}
			})
		})
	}
}

// TestABridgeOfTheHostThatComesAfterTheBootRulesetIsFreed is of a host whose network comes up later than the fence, and
// whose Engine does not: an administrator may come in by that bridge.
func TestABridgeOfTheHostThatComesAfterTheBootRulesetIsFreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var late atomic.Bool
		r := &rig{kernel: &fakeKernel{}, engine: &fakeEngine{err: errors.New("not there")}}
		r.bridges = func() []string {
			if late.Load() {
				return []string{"br-0123456789ab", "br-first", "br-lan", "br-web", "lan0"}
			}
			return []string{"br-first"}
		}
		r.ports = func() []hostnet.Port {
			if late.Load() {
				return []hostnet.Port{{Index: 2, Name: "eth0", Bridge: "br-lan", Foreign: true}, {Index: 3, Name: "veth1", Bridge: "br-web"}}
			}
			return nil
		}
		r.told = Options{StandFirst: true}
		r.start(t, Config{})
		defer r.stop()
		synctest.Wait()
		if diff := cmp.Diff([]string{"br-first"}, r.kernel.last().Free); diff != "" {
			t.Error("at first", diff)
		}
		late.Store(true)
		time.Sleep(10 * time.Second)
		if diff := cmp.Diff([]string{"br-first", "br-lan"}, r.kernel.last().Free); diff != "" {
			t.Error("once the network is up", diff)
		}
	})
}

func TestTheLoopSaysThatItLivesBetweenFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last time.Time
		var longest time.Duration
		r := &rig{kernel: &fakeKernel{}, engine: &fakeEngine{err: errors.New("not there")}}
		r.told = Options{Alive: func() {
			if !last.IsZero() {
				longest = max(longest, time.Since(last))
			}
			last = time.Now()
		}}
		r.start(t, Config{})
		time.Sleep(time.Minute)
		r.stop()
		if longest > 2*time.Second { // two beats
			t.Errorf("for %v it did not", longest)
		}
	})
}
