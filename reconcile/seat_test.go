package reconcile

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerwall/dockerwall/docker/dockertest"
	"github.com/dockerwall/dockerwall/hostnet"
)

// seated are the containers that have an address on the first network.
func (r *rig) seated() (names []string) {
	for _, c := range r.kernel.last().Containers {
		for _, e := range c.Endpoints {
			if e.Bridge == "docker0" && e.Addr.Is4() {
				names = append(names, c.Name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// silence is what becomes of ports while the Engine says nothing new.
type silence struct {
	seatless bool // a container's port is not known by its MAC
	then     func(ports []hostnet.Port) []hostnet.Port
	want     []string // containers that keep their addresses
}

func silences() map[string]silence {
	gone := func(ports []hostnet.Port) []hostnet.Port { return ports[1:] }
	newcomer := func(bridge string, mac [6]byte) func([]hostnet.Port) []hostnet.Port {
		return func(ports []hostnet.Port) []hostnet.Port {
			return append(ports, hostnet.Port{Index: 9, Name: "vn", Bridge: bridge, MAC: mac})
		}
	}
	web := [6]byte{2, 0x42, 0xac, 0x11, 0, 2}
	return map[string]silence{
		"ports that stay keep their addresses, as with live-restore":   {false, slices.Clone[[]hostnet.Port], []string{"db", "web"}},
		"a port that goes takes its address with it":                   {false, gone, []string{"db"}},
		"so it does when another's comes":                              {false, func(p []hostnet.Port) []hostnet.Port { return newcomer("docker0", web)(gone(p)) }, []string{"db"}},
		"all ports can go":                                             {false, func([]hostnet.Port) []hostnet.Port { return []hostnet.Port{} }, nil},
		"ports of which nothing is known any more say nothing":         {false, func([]hostnet.Port) []hostnet.Port { return nil }, []string{"db", "web"}},
		"a new port changes nothing for those who have theirs":         {false, newcomer("docker0", [6]byte{2, 1}), []string{"db", "web"}},
		"one with the MAC of another takes that one's address":         {false, newcomer("docker0", web), []string{"db"}},
		"on another bridge it does not":                                {false, newcomer("br-x", web), []string{"db", "web"}},
		"who never had a port loses the address to whoever comes":      {true, newcomer("docker0", [6]byte{2, 1}), []string{"db"}},
		"who never had a port keeps the address while nobody comes":    {true, slices.Clone[[]hostnet.Port], []string{"db", "web"}},
		"who never had a port keeps it when one comes to another wire": {true, newcomer("br-x", [6]byte{2, 1}), []string{"db", "web"}},
	}
}

func TestAnAddressGoesWithItsPortWhileTheEngineIsSilent(t *testing.T) {
	for name, test := range silences() {
		for how, silent := range map[string]func(*fakeEngine){
			"fails": func(e *fakeEngine) { e.fail(errors.New("restarting")) },
			"hangs": func(e *fakeEngine) { e.hang(true) },
		} {
			t.Run(name+", and it "+how, func(t *testing.T) {
				s := bound(t)
				s.TrustImages = true
				if test.seatless {
					s.Networks[0].MACs = map[string]string{"db": dbMAC}
				}
				state, _ := s.state()
				synctest.Test(t, func(t *testing.T) {
					var mu sync.Mutex
					ports := state.Ports
					r := newRig()
					r.ports = func() []hostnet.Port {
						mu.Lock()
						defer mu.Unlock()
						return ports
					}
					r.engine.show(s)
					r.start(t, state.Config)
					defer r.stop()
					synctest.Wait()
					if diff := cmp.Diff([]string{"db", "web"}, r.seated()); diff != "" {
						t.Fatal("before", diff)
					}
					silent(r.engine)
					mu.Lock()
					ports = test.then(slices.Clone(ports))
					mu.Unlock()
					r.loop.Moved()
					if test.seatless {
						time.Sleep(soon)
					}
					time.Sleep(2 * time.Millisecond)
					synctest.Wait()
					if diff := cmp.Diff(test.want, r.seated()); diff != "" {
						t.Error("at once", diff)
					}
					r.loop.Repair()
					time.Sleep(time.Minute)
					if diff := cmp.Diff(test.want, r.seated()); diff != "" {
						t.Error("later", diff)
					}
				})
			})
		}
	}
}

// TestAPortThatIsSeenLateIsNobodyElses is of a container whose port is not on the board yet when Docker tells of it, and of
// another that ends in the same moment.
func TestAPortThatIsSeenLateIsNobodyElses(t *testing.T) {
	for name, test := range map[string]struct {
		answers time.Duration // the Engine, after that
		want    []string
	}{"an Engine that answers in time is heard first": {50 * time.Millisecond, []string{"web"}}, "one that is silent is not waited for": {time.Second, nil}} {
		t.Run(name, func(t *testing.T) {
			s := bound(t)
			s.TrustImages = true
			state, _ := s.state()
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				ports := state.Ports[1:]
				r := newRig()
				r.ports = func() []hostnet.Port {
					mu.Lock()
					defer mu.Unlock()
					return slices.Clone(ports)
				}
				r.engine.show(s)
				r.start(t, state.Config)
				defer r.stop()
				synctest.Wait()
				r.engine.hang(true)
				mu.Lock()
				ports = state.Ports[:1]
				mu.Unlock()
				r.loop.Moved()
				time.Sleep(test.answers)
				synctest.Wait()
				if diff := cmp.Diff(test.want, r.seated()); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestTheEngineSaysWhetherAnEndpointWithoutItsPortIsOver(t *testing.T) {
	s := bound(t)
	s.TrustImages = true
	state, _ := s.state()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		ports := state.Ports
		r := newRig()
		r.ports = func() []hostnet.Port {
			mu.Lock()
			defer mu.Unlock()
			return ports
		}
		r.engine.show(s)
		r.start(t, state.Config)
		defer r.stop()
		synctest.Wait()
		mu.Lock()
		ports = ports[1:]
		mu.Unlock()
		r.loop.Moved()
		time.Sleep(time.Second)
		r.engine.mu.Lock()
		defer r.engine.mu.Unlock()
		if diff := cmp.Diff([]string{dockertest.ID("bridge")}, r.engine.doubted); diff != "" {
			t.Error("doubted", diff)
		}
		if diff := cmp.Diff([]string{"db", "web"}, r.seated()); diff != "" {
			t.Error("it is still there, and has another port by now", diff)
		}
	})
}
