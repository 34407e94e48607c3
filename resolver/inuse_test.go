package resolver

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// flowing is a running Resolver that wants names beneath example.org, and a table of flows.
type flowing struct {
	*bench
	flows flowTable
}

// flowTable is which addresses flows go to, and when that was looked at.
type flowTable struct {
	mu    sync.Mutex
	used  []netip.Addr
	err   error
	looks []time.Time
}

func (f *flowTable) inUse(addrs []netip.Addr) (map[netip.Addr]bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looks = append(f.looks, time.Now())
	used := map[netip.Addr]bool{}
	for _, addr := range addrs {
		used[addr] = slices.Contains(f.used, addr)
	}
	return used, f.err
}

// set says which flows there are from now on.
func (f *flowTable) set(used string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.used, f.err = list(used), err
}

// looked is when flows were looked at.
func (f *flowTable) looked() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.looks)
}

func flow(t *testing.T) *flowing {
	f := new(flowing)
	f.bench = start(t, func(o *Options) { o.InUse = f.flows.inUse })
	f.Want(Wanted{AllowBelow: []string{"example.org"}})
	return f
}

func (f *flowing) below() string { return spellNamed(f.Below()["example.org"]) }

func TestRunBeneathWildcards(t *testing.T) {
	tests := map[string]func(t *testing.T, f *flowing){
		"a warm name is asked for again and again, and kept": func(t *testing.T, f *flowing) {
			f.net.set("a.example.org", 0, "192.0.2.1")
			f.Learn(replied(said("a.example.org", 0, "192.0.2.1")))
			if asked, kicks := f.after(3 * time.Hour); asked != 47 || kicks != 0 || f.below() != "192.0.2.1=a.example.org" || len(f.flows.looked()) != 0 {
				t.Errorf("asked %d times, kicked %d, has %q, looked at flows %d times", asked, kicks, f.below(), len(f.flows.looked()))
			}
		},
		"a new address of a warm name is told": func(t *testing.T, f *flowing) {
			f.net.set("a.example.org", 0, "192.0.2.2")
			f.Learn(replied(said("a.example.org", 0, "192.0.2.1")))
			if _, kicks := f.after(4 * time.Minute); kicks != 1 || f.below() != "192.0.2.1=a.example.org 192.0.2.2=a.example.org" {
				t.Errorf("kicked %d times, has %q", kicks, f.below())
			}
			if names := f.NamesOf(netip.MustParseAddr("192.0.2.2")); !slices.Equal(names, []string{"a.example.org"}) {
				t.Errorf("the new address is called %q", names)
			}
			if _, kicks := f.after(2 * time.Minute); kicks != 1 || f.below() != "192.0.2.2=a.example.org" {
				t.Errorf("kicked %d times, has %q", kicks, f.below())
			}
		},
		"what has lapsed goes, in a step for all": func(t *testing.T, f *flowing) {
			for _, name := range []string{"a.example.org", "b.example.org", "c.example.org"} {
				f.Learn(replied(said(name, 0, "192.0.2.1")))
				f.after(time.Second)
			}
			if asked, kicks := f.after(6 * time.Minute); kicks != 1 || f.below() != "" || asked < 3*enough {
				t.Errorf("asked %d times, kicked %d, has %q", asked, kicks, f.below())
			}
			if asked, kicks := f.after(time.Hour); asked+kicks != 0 {
				t.Errorf("asked %d times, kicked %d for names that are gone", asked, kicks)
			}
		},
		"an address that a flow uses stays, and is asked about now and then": func(t *testing.T, f *flowing) {
			f.flows.set("192.0.2.1", nil)
			f.Learn(replied(said("a.example.org", 0, "192.0.2.1 192.0.2.2")))
			if f.after(time.Hour); f.below() != "192.0.2.1=a.example.org" || len(f.flows.looked()) < 5 || len(f.flows.looked()) > 12 {
				t.Errorf("has %q, looked at flows %d times", f.below(), len(f.flows.looked()))
			}
			f.flows.set("", nil)
			if _, kicks := f.after(10 * time.Minute); kicks != 1 || f.below() != "" {
				t.Errorf("the flow has ended: kicked %d times, has %q", kicks, f.below())
			}
		},
		"lifetimes alone decide where flows cannot be seen": func(t *testing.T, f *flowing) {
			f.flows.set("192.0.2.1", errors.New("no conntrack"))
			f.Learn(replied(said("a.example.org", 0, "192.0.2.1")))
			f.after(time.Minute)
			f.Learn(replied(said("b.example.org", 0, "192.0.2.2")))
			if f.after(10 * time.Minute); f.below() != "" {
				t.Errorf("has %q", f.below())
			}
			if n := strings.Count(f.log.String(), "no conntrack"); n != 1 {
				t.Errorf("logged %d times\n%s", n, &f.log)
			}
		},
	}
	for name, run := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { run(t, flow(t)) })
		})
	}
}

func TestFlowsAreLookedAtOnceInHalfAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(2 * time.Second) // so that the lists of resolvers are not looked at when addresses lapse
		f := flow(t)
		for i := range 30 {
			f.Learn(replied(said("n"+strings.Repeat("x", i)+".example.org", 0, numbered(i).String())))
			f.after(15 * time.Second)
		}
		f.after(20 * time.Minute)
		looks := f.flows.looked()
		for i := 1; i < len(looks); i++ {
			if d := looks[i].Sub(looks[i-1]); d < useEvery {
				t.Errorf("looked %v after the last time", d)
			}
		}
		if len(looks) < 3 || f.below() != "" {
			t.Errorf("looked %d times, has %q", len(looks), f.below())
		}
	})
}

func TestALearnedNameIsAskedAgainByTheNextRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &internet{zone: map[string]Answer{}, delay: time.Hour}
		r := quiet(t, Options{})
		r.ask = n.ask
		r.Want(Wanted{AllowBelow: []string{"example.org"}})
		r.Learn(replied(said("a.example.org", 0, "192.0.2.1")))
		for run, timeout := range []time.Duration{4 * time.Minute, time.Second} {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			if err := r.Run(ctx, func() {}); err != nil {
				t.Errorf("Run: %v", err)
			}
			cancel()
			if asked := n.count(); asked != 1 {
				t.Errorf("run %d: asked %d times", run, asked)
			}
		}
	})
}

func TestKnownAddressesOfExactNamesInUseStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := flow(t)
		f.net.set(www, 0, "192.0.2.1")
		f.Want(Wanted{Allow: []string{www}})
		f.after(time.Second)
		f.net.set(www, 0, "192.0.2.2")
		f.flows.set("192.0.2.1", nil)
		if f.after(time.Hour); f.show() != "192.0.2.1 192.0.2.2" {
			t.Errorf("live %q", f.show())
		}
		f.flows.set("", nil)
		if f.after(10 * time.Minute); f.show() != "192.0.2.2" {
			t.Errorf("live %q", f.show())
		}
	})
}

func TestWhatLapsesWhileFlowsAreLookedAtHasItsTurnNextTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		var r *Resolver
		r = quiet(t, Options{InUse: func(addrs []netip.Addr) (map[netip.Addr]bool, error) {
			asked = append(asked, join(addrs))
			r.Learn(replied(said("b.example.org", 0, "192.0.2.3"))) // b's other address is no longer current
			return nil, nil
		}})
		r.Want(Wanted{AllowBelow: []string{"example.org"}})
		r.Learn(replied(said("a.example.org", 0, "192.0.2.1"), said("b.example.org", 0, "192.0.2.2")))
		r.below.cool(r.below.names["a.example.org"])
		time.Sleep(10 * time.Minute)
		if !r.expire() || spellNamed(r.Below()["example.org"]) != "192.0.2.2=b.example.org 192.0.2.3=b.example.org" {
			t.Errorf("has %q", spellNamed(r.Below()["example.org"]))
		}
		time.Sleep(10 * time.Minute)
		if !r.expire() || spellNamed(r.Below()["example.org"]) != "192.0.2.3=b.example.org" || strings.Join(asked, ", ") != "192.0.2.1, 192.0.2.2" {
			t.Errorf("has %q, asked about %q", spellNamed(r.Below()["example.org"]), asked)
		}
	})
}

func TestLearningBesideRun(t *testing.T) {
	r := quiet(t, Options{InUse: func([]netip.Addr) (map[netip.Addr]bool, error) { return nil, nil }})
	r.ask = func(context.Context, string, []netip.AddrPort) outcome {
		return outcome{failure: &Failure{Empty: both}}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx, func() {}) }()
	learned := make(chan struct{})
	for i := range 4 {
		go func() {
			for j := range 200 {
				a := said("a.example.org", 0, numbered(200*i+j).String())
				r.Learn(replied(a, said("b.example.net", 0, "192.0.2.1")))
				r.Ask(ctx, "c.example.org")
				r.NamesOf(a.Addrs[0].Addr)
			}
			learned <- struct{}{}
		}()
	}
	for i := range 200 {
		r.Want(Wanted{AllowBelow: []string{"example.org", "org"}[:i%3%2+1], DenyBelow: []string{"example.net", "net"}[i%2:], Deny: []string{"c.example.org", "a.example.org"}[:i%3]})
		for _, named := range r.Below() {
			_ = spellNamed(named)
		}
		for _, named := range r.DeniedBelow() {
			_ = spellNamed(named)
		}
		r.Counters()
		r.Status()
	}
	for range 4 {
		<-learned
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	checkBelow(t, r.below)
}
