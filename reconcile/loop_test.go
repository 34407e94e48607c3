package reconcile

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/resolver"
)

// fakeKernel refuses what the kernel would.
type fakeKernel struct {
	mu      sync.Mutex
	applied []nft.Ruleset
	learned []nft.Learned
	tap     nft.Tap
	exists  bool
	err     error
	took    time.Duration
}

func (k *fakeKernel) Apply(r nft.Ruleset) (nft.Report, error) {
	if k.took > 0 {
		time.Sleep(k.took) // in a bubble
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return nft.Report{}, k.err
	}
	if err := r.Validate(); err != nil {
		return nft.Report{}, err
	}
	k.applied = append(k.applied, r)
	k.exists = true
	return nft.Report{Changed: true, Took: k.took}, nil
}

func (k *fakeKernel) Learn(l []nft.Learned) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err == nil {
		k.learned = append(k.learned, l...)
	}
	return k.err
}

func (k *fakeKernel) ApplyTap(t nft.Tap) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tap = t
	return nil
}

func (k *fakeKernel) Fences() (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.exists, nil
}

func (k *fakeKernel) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = err
}

func (k *fakeKernel) runs() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.applied)
}

func (k *fakeKernel) last() nft.Ruleset {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.applied[len(k.applied)-1]
}

type fakeEngine struct {
	mu          sync.Mutex
	host        docker.Host
	err         error
	invalidated int
	listed      int
}

func (e *fakeEngine) List(context.Context) (docker.Host, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.listed++
	return e.host, e.err
}

func (e *fakeEngine) ImageLabels(context.Context) (map[string]map[string]string, error) {
	return nil, nil
}

func (e *fakeEngine) Invalidate() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.invalidated++
}

func (e *fakeEngine) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err = err
}

// counts are how often it was listed and invalidated.
func (e *fakeEngine) counts() (listed, invalidated int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.listed, e.invalidated
}

type fakeResolver struct {
	mu    sync.Mutex
	wants []string
}

func (r *fakeResolver) Want(w resolver.Wanted) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wants = w.Allow
}
func (r *fakeResolver) Names() map[string][]netip.Addr           { return nil }
func (r *fakeResolver) Denied() map[string][]netip.Addr          { return nil }
func (r *fakeResolver) Below() map[string][]resolver.Named       { return nil }
func (r *fakeResolver) DeniedBelow() map[string][]resolver.Named { return nil }
func (r *fakeResolver) Servers() resolver.Servers                { return resolver.Servers{} }

type rig struct {
	loop   *Loop
	kernel *fakeKernel
	engine *fakeEngine
	stop   func()
}

// start runs a loop in a synctest bubble.
func start(t *testing.T, config Config) *rig {
	t.Helper()
	r := &rig{kernel: &fakeKernel{}, engine: &fakeEngine{}}
	return r.start(t, config)
}

func (r *rig) start(t *testing.T, config Config) *rig {
	t.Helper()
	loop, err := New(Options{
		Gather: Gather{Config: config, Engine: r.engine, Resolver: &fakeResolver{},
			Interfaces: func() (hostnet.Interfaces, error) { return hostnet.Interfaces{}, nil }},
		Kernel: r.kernel,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- loop.Run(ctx) }()
	r.loop = loop
	r.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run returned %v", err)
		}
	}
	return r
}

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
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		defer r.stop()
		time.Sleep(time.Second)
		before := r.kernel.runs()
		r.loop.Kick()
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if n := r.kernel.runs() - before; n != 1 {
			t.Errorf("%d runs after the settle time, want 1", n)
		}
	})
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
