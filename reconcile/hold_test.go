package reconcile

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dockerwall/dockerwall/docker/dockertest"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/resolver"
)

func TestWhatIsLearnedStaysWhileTheEngineDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.learning(t, "*.example.com", "!*.evil.example")
		defer r.stop()
		web, denied := set{owner: short(dockertest.ID("web"))}, set{owner: sourceDefault, deny: true}
		var addr netip.Addr
		for i := range 20 {
			switch i {
			case 5:
				r.engine.fail(errors.New("restarting"))
				r.loop.Kick()
			case 15:
				r.engine.fail(nil)
			}
			addr = netip.AddrFrom4([4]byte{203, 0, 113, byte(i)})
			if r.loop.Learn(r.resolver.learn("www.example.com", addr)) != nil || r.loop.Learn(r.resolver.learn("x.evil.example", addr)) != nil {
				t.Errorf("answer %d waits", i)
			}
			time.Sleep(400 * time.Millisecond)
			for j := range i + 1 {
				if addr := netip.AddrFrom4([4]byte{203, 0, 113, byte(j)}); !r.kernel.has(web, addr) || !r.kernel.has(denied, addr) {
					t.Fatalf("of %d addresses, that of answer %d is gone", i, j)
				}
			}
		}
		if n := r.kernel.runs(); n < 5 {
			t.Errorf("%d commits: the fence was not held up", n)
		}
	})
}

func TestARepairBringsBackWhatWasLearned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.learning(t, "*.example.com", "")
		defer r.stop()
		addr := netip.MustParseAddr("203.0.113.77")
		if r.loop.Learn(r.resolver.learn("www.example.com", addr)) != nil {
			t.Fatal("the answer waits")
		}
		r.engine.fail(errors.New("restarting"))
		r.kernel.flush()
		r.loop.Repair()
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if !r.kernel.has(set{owner: short(dockertest.ID("web"))}, addr) {
			t.Error("the table is as it was before")
		}
	})
}

func TestNobodyWaitsForEver(t *testing.T) {
	found := []resolver.Found{{Name: "www.example.org", Below: "example.org", Addrs: addrs("203.0.113.77")}} // nobody's
	for name, test := range map[string]struct {
		rig  *rig
		then func(r *rig)
	}{
		"nobody wants it any more":            {newRig(), func(*rig) {}},
		"the kernel takes nothing":            {newRig(), func(r *rig) { r.kernel.fail(errors.New("no")) }},
		"the Engine has never answered":       {&rig{kernel: &fakeKernel{}, engine: &fakeEngine{err: errors.New("no Engine")}}, func(*rig) {}},
		"nor has it, and a table stands":      {&rig{kernel: &fakeKernel{exists: true}, engine: &fakeEngine{err: errors.New("no Engine")}}, func(*rig) {}},
		"the Engine does not answer any more": {newRig(), func(r *rig) { r.engine.fail(errors.New("restarting")) }},
		"the loop ends":                       {newRig(), func(r *rig) { r.stop() }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := test.rig
				r.start(t, Config{})
				defer r.stop()
				time.Sleep(time.Second)
				done := r.loop.Learn(found)
				if isDone(done) {
					t.Error("the answer does not wait for a run")
				}
				test.then(r)
				time.Sleep(time.Second)
				if !isDone(done) {
					t.Error("the answer waits for ever")
				}
				r.stop()
				if !isDone(r.loop.Learn(found)) {
					t.Error("an answer waits for a loop that has ended")
				}
			})
		})
	}
}

func TestNobodyWaitsForATableThatWasRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.learning(t, "*.example.com", "")
		r.kernel.fail(nft.ErrRemoved)
		done := r.loop.Learn(r.resolver.learn("www.example.com", addrs("203.0.113.77")...))
		if err := <-r.ended; !errors.Is(err, nft.ErrRemoved) {
			t.Errorf("Run returned %v", err)
		}
		if !isDone(done) {
			t.Error("the answer waits for ever")
		}
	})
}

// The resolver found it when it was allowed; since then the address has become one of Docker's.
func TestWhatTheHostHasBecomeIsNotOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.learning(t, "*.example.com, www.example.com:443", "!*.com")
		defer r.stop()
		addr := netip.MustParseAddr("203.0.113.77")
		found := r.resolver.learn("www.example.com", addr)
		newer := single("*.example.com, www.example.com:443", "")
		newer.Networks = append(newer.Networks, scenarioNetwork{Name: "new", Subnets: prefixes("203.0.113.0/24")})
		r.engine.show(newer)
		r.loop.Kick()
		time.Sleep(time.Second)
		if r.loop.Learn(found) != nil {
			t.Error("the answer waits")
		}
		for s, want := range map[set]bool{
			{owner: short(dockertest.ID("web"))}: false, {owner: short(dockertest.ID("web")), clause: nft.Clause{Ports: nft.Ports{First: 443, Last: 443}}}: false,
			{owner: sourceDefault, deny: true}: true,
		} {
			if r.kernel.has(s, addr) != want {
				t.Errorf("in %+v: %v", s, !want)
			}
		}
	})
}

func TestATapFollowsItsSetting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.learning(t, "*.example.com", "")
		defer r.stop()
		set := TapSetting{Mode: nft.TapXTQueue, Queue: 7, Mark: 9}
		r.loop.Tap(set)
		time.Sleep(time.Second)
		if got := r.kernel.tapped(); got.Mode != set.Mode || got.Queue != set.Queue || got.Mark != set.Mark || len(got.Fenced) != 3 || len(got.Resolvers) == 0 {
			t.Errorf("%+v", got)
		}
		r.engine.fail(errors.New("restarting"))
		r.loop.Tap(TapSetting{})
		time.Sleep(time.Second)
		if got := r.kernel.tapped(); got.Mode != nft.TapOff {
			t.Errorf("while the Engine does not answer: %+v", got)
		}
	})
}

func TestATapThatCannotBeIsNotTheFencesAffair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.learning(t, "*.example.com", "")
		defer r.stop()
		r.kernel.failTap(errors.New("no such queue"))
		before := r.kernel.runs()
		r.loop.Tap(TapSetting{Mode: nft.TapNFTQueue})
		time.Sleep(time.Second)
		if o, _ := r.loop.Last(); o.TapErr == nil || o.Err != nil || r.kernel.runs() != before+1 {
			t.Errorf("%d runs, error %v, of the tap %v", r.kernel.runs()-before, o.Err, o.TapErr)
		}
		if r.loop.Learn(r.resolver.learn("www.example.com", addrs("203.0.113.77")...)) != nil {
			t.Error("nothing is learned")
		}
		r.kernel.failTap(nil)
		r.loop.Kick()
		time.Sleep(time.Second)
		if o, _ := r.loop.Last(); o.TapErr != nil || r.kernel.tapped().Mode != nft.TapNFTQueue {
			t.Errorf("not tried again: %v", o.TapErr)
		}
	})
}

// TestARepairIsToldAtOnce, also of what a stranger has undone himself, and a commit that repairs nothing is not.
func TestARepairIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		r := newRig()
		r.told.Repaired = func() { told++ }
		r.learning(t, "*.example.com", "")
		defer r.stop()
		r.loop.Kick()
		time.Sleep(time.Second)
		if told != 0 {
			t.Errorf("told of %d repairs before there was one", told)
		}
		r.engine.hang(true)
		r.kernel.flush()
		r.loop.Repair()
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		if told != 1 {
			t.Errorf("told of %d repairs, want 1, while the Engine does not answer", told)
		}
		r.kernel.undo()
		r.loop.Repair()
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		if told != 2 {
			t.Errorf("told of %d repairs, want 2, after one that a stranger has made", told)
		}
	})
}

func TestWhatIsRememberedFencesUntilTheEngineAnswers(t *testing.T) {
	good := nft.Ruleset{LogGroup: 7, FenceUnknown: true}
	for name, test := range map[string]struct {
		remembered nft.Ruleset
		known      bool
		first      uint16 // LogGroup of the first commit
	}{
		"known":                         {good, true, 7},
		"nothing is known":              {good, false, 32},
		"known, and the kernel refuses": {nft.Ruleset{LogGroup: 7, Free: []string{""}}, true, 32},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				r.engine.fail(errors.New("no Engine"))
				r.told.Remembered = func() (nft.Ruleset, bool) { return test.remembered, test.known }
				r.start(t, Config{LogGroup: 32})
				defer r.stop()
				time.Sleep(time.Second)
				if n := r.kernel.runs(); n != 1 || r.kernel.last().LogGroup != test.first {
					t.Fatalf("%d commits, of group %d", n, r.kernel.last().LogGroup)
				}
				r.engine.fail(nil)
				time.Sleep(time.Minute)
				if last := r.kernel.last(); last.LogGroup != 32 {
					t.Errorf("what Docker says is not committed: %+v", last)
				}
			})
		})
	}
}
