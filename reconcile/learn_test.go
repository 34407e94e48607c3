package reconcile

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dockerwall/dockerwall/docker/dockertest"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
)

// isDone says whether what a Learn returned lets its answer go.
func isDone(done <-chan struct{}) bool {
	if done == nil {
		return true
	}
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// learning is a rig with container "web", whose label is given, after its first run.
func (r *rig) learning(t *testing.T, label, preset string) {
	t.Helper()
	r.engine.show(single(label, preset))
	config := Config{}
	config.Default, _ = policy.Parse(preset)
	r.start(t, config)
	synctest.Wait()
	if r.kernel.runs() != 1 {
		t.Fatalf("%d runs", r.kernel.runs())
	}
}

func newRig() *rig { return &rig{kernel: &fakeKernel{}, engine: &fakeEngine{}} }

func TestLearnReturnsWhenTheKernelHoldsIt(t *testing.T) {
	web, addr := short(dockertest.ID("web")), netip.MustParseAddr("203.0.113.77")
	port := nft.Clause{Ports: nft.Ports{First: 443, Last: 443}}
	for name, test := range map[string]struct {
		label, preset string
		name          string
		want          []set
	}{
		"a name in full":                        {"www.example.com", "", "www.example.com", []set{{web, false, nft.Clause{}}}},
		"a name beneath a wildcard":             {"*.example.com", "", "a.b.example.com", []set{{web, false, nft.Clause{}}}},
		"under each clause":                     {"www.example.com, *.example.com:443", "", "www.example.com", []set{{web, false, nft.Clause{}}, {web, false, port}}},
		"with everybody who wants it":           {"*.example.com:443", "*.com", "www.example.com", []set{{"default", false, nft.Clause{}}, {web, false, port}}},
		"a denied name":                         {"!www.example.com:443", "", "www.example.com", []set{{web, true, port}}},
		"a name beneath a denied wildcard":      {"", "!*.example.com", "www.example.com", []set{{"default", true, nft.Clause{}}}},
		"allowed and denied":                    {"*.example.com", "!www.example.com", "www.example.com", []set{{web, false, nft.Clause{}}, {"default", true, nft.Clause{}}}},
		"a name in full that a wildcard denies": {"www.example.com", "!*.example.com", "www.example.com", []set{{web, false, nft.Clause{}}, {"default", true, nft.Clause{}}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				r.learning(t, test.label, test.preset)
				defer r.stop()
				found := r.resolver.learn(test.name, addr)
				if len(found) == 0 {
					t.Fatal("nobody wants it")
				}
				if done := r.loop.Learn(found); done != nil {
					t.Error("the answer waits for a run")
				}
				for _, s := range test.want {
					if !r.kernel.has(s, addr) {
						t.Errorf("not in %+v", s)
					}
				}
				time.Sleep(time.Second)
				if r.kernel.runs() != 1 {
					t.Error("it took a run")
				}
				r.loop.Kick()
				time.Sleep(time.Second)
				for _, s := range test.want {
					if !r.kernel.has(s, addr) {
						t.Errorf("gone from %+v after a run", s)
					}
				}
			})
		})
	}
}

func TestNothingIsNothingToLearn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.learning(t, "*.example.com", "")
		defer r.stop()
		if r.loop.Learn(nil) != nil || r.loop.Learn(r.resolver.learn("www.example.org", addrs("203.0.113.1")...)) != nil {
			t.Error("an answer that nobody wants waits")
		}
		time.Sleep(time.Second)
		if r.kernel.runs() != 1 || r.kernel.learns != 0 {
			t.Error("it took a run, or a batch")
		}
	})
}

// A run begins at 10 ms. It takes 5 ms from the look at what names mean to the commit, and that another 5 ms; an answer
// comes at any time.
func TestWhatIsLearnedDuringACommitIsNotLost(t *testing.T) {
	want := set{owner: short(dockertest.ID("web"))}
	addr := netip.MustParseAddr("203.0.113.77")
	const begin, took = 10 * time.Millisecond, 10 * time.Millisecond
	for at := time.Duration(0); at < 30*time.Millisecond; at += time.Millisecond / 2 {
		for name, gap := range map[string]time.Duration{"at once": 0, "a little later": 3 * time.Millisecond, "much later": 15 * time.Millisecond} {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				r.learning(t, "*.example.com", "")
				defer r.stop()
				r.resolver.took, r.kernel.took = took/2, took/2
				begun := time.Now()
				time.AfterFunc(begin-time.Millisecond, r.loop.Kick) // a run begins after the settle time
				time.Sleep(at)
				found := r.resolver.learn("www.example.com", addr)
				time.Sleep(gap) // between the resolver's knowing and the loop's
				called := time.Since(begun)
				done := r.loop.Learn(found)
				if done != nil || !r.kernel.has(want, addr) {
					t.Errorf("learned after %v, %s: not held, or not in the table", at, name)
				}
				if now := time.Since(begun); called > begin && called < begin+took && now < begin+took {
					t.Errorf("learned after %v, %s: let go after %v, while a commit was under way", at, name, now)
				}
				for range 60 {
					time.Sleep(time.Millisecond / 2)
					synctest.Wait()
					if !r.kernel.has(want, addr) {
						t.Fatalf("learned after %v, %s: gone after %v", at, name, time.Since(begun))
					}
				}
			})
		}
	}
}

func TestWhatTheKernelDoesNotTakeWaitsForTheNextRun(t *testing.T) {
	want := set{owner: short(dockertest.ID("web"))}
	addr := netip.MustParseAddr("203.0.113.77")
	for name, recovers := range map[string]bool{"which succeeds": true, "which fails, too": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				r.learning(t, "*.example.com", "")
				defer r.stop()
				r.kernel.fail(errors.New("no"))
				done := r.loop.Learn(r.resolver.learn("www.example.com", addr))
				if isDone(done) {
					t.Fatal("the answer does not wait")
				}
				if recovers {
					r.kernel.fail(nil)
				}
				time.Sleep(time.Millisecond)
				synctest.Wait()
				if !isDone(done) {
					t.Error("the answer still waits after the run that it asked for")
				}
				if r.kernel.has(want, addr) != recovers {
					t.Errorf("in the table: %v", !recovers)
				}
			})
		})
	}
}

func TestWhatANewerPolicyWantsWaitsForItsCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.learning(t, "*.example.com", "")
		defer r.stop()
		newer := single("*.example.com", "")
		newer.Containers[1].Labels = map[string]string{"dockerwall.outbound": "*.example.org"}
		r.engine.show(newer)
		r.kernel.fail(errors.New("no")) // the resolver knows of the new policy, the table does not
		r.loop.Kick()
		time.Sleep(10 * time.Millisecond)
		found := r.resolver.learn("www.example.org", addrs("203.0.113.77")...)
		if len(found) != 1 {
			t.Fatalf("found %v", found)
		}
		done := r.loop.Learn(found)
		if isDone(done) {
			t.Fatal("the answer does not wait")
		}
		r.kernel.fail(nil)
		time.Sleep(time.Second)
		if !isDone(done) || !r.kernel.has(set{owner: short(dockertest.ID("db"))}, addrs("203.0.113.77")[0]) {
			t.Error("the answer waits on, or was not committed")
		}
	})
}
