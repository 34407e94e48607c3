package observe

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dockerwall/dockerwall/droplog"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/packet"
)

// clocked is a kernel that counts when it is told to; what matters here is when it is read. The ledger's tests are about
// what, and those with a real kernel about both.
type clocked struct {
	mu     sync.Mutex
	k      *counted
	lost   nft.Count // denied to nobody, reason unknown
	gone   bool
	reads  []time.Time
	during func() // happens after the totals
}

func (c *clocked) deny(n int, packets uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.k.deny(target(n), count(packets, 60*packets))
}

func (c *clocked) Counters() (nft.Counters, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads = append(c.reads, time.Now())
	out := nft.Counters{Reasons: map[nft.Reason]nft.Count{nft.Unknown: c.lost}}
	if !c.gone {
		out.Parts = c.k.parts(web)
	}
	return out, nil
}

func (c *clocked) CountersOf(nft.Container) (nft.Counters, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return nft.Counters{Parts: c.k.parts(web)}, nil
}

func (c *clocked) Records(ids []string) (map[string][]nft.Denial, error) {
	if c.during != nil {
		c.during()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Equal(ids, []string{web}) {
		panic("records of others are read")
	}
	return map[string][]nft.Denial{web: c.k.denials()}, nil
}

// rig is an observer with what it told.
type rig struct {
	*Observer
	kernel  *clocked
	watched bool
	told    []Denial
}

const fullID = web + "00000000000000000000000000000000000000000000000000ff"

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{kernel: &clocked{k: newCounted(99)}}
	view := View{
		Container: func(id string) (Container, bool) {
			return Container{ID: fullID, Subject: Subject{Name: "web"}}, id == web
		},
		Names: func(netip.Addr) []string { return []string{"www.example.com"} },
		Token: func(Target, []string) (string, bool) { return "www.example.com:443/tcp", false },
	}
	var err error
	r.Observer, err = NewObserver(Options{
		Kernel: r.kernel, View: func() (View, bool) { return view, true }, Watched: func() bool { return r.watched },
		Baseline: &Baseline{}, Sinks: []func([]Denial){func(d []Denial) { r.told = append(r.told, d...) }},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) packets() (n uint64) {
	for _, d := range r.told {
		n += d.Packets
	}
	return n
}

// during runs the observer within a bubble, and ends it.
func (r *rig) during(t *testing.T, do func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	synctest.Wait()
	do()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAnObserverReads(t *testing.T) {
	shown := droplog.Drop{Prefix: droplog.Prefix{Chain: "c_" + web, Reason: "denied", Mode: "drop"}.String()}
	tests := map[string]struct {
		watched bool
		do      func(r *rig)
		want    []time.Duration // since the start, when it read
	}{
		"every 30 seconds while nothing happens": {false, func(*rig) { time.Sleep(61 * time.Second) }, []time.Duration{0, 30 * time.Second, 60 * time.Second, 61 * time.Second}},
		"every second while somebody watches":    {true, func(*rig) { time.Sleep(2500 * time.Millisecond) }, []time.Duration{0, time.Second, 2 * time.Second, 2500 * time.Millisecond}},
		"at once when a packet is denied": {false, func(r *rig) {
			time.Sleep(5 * time.Second)
			r.kernel.deny(1, 1)
			r.Drop(shown)
			time.Sleep(10 * time.Millisecond)
		}, []time.Duration{0, 5 * time.Second, 5010 * time.Millisecond}},
		"once a second while packets are denied": {false, func(r *rig) {
			time.Sleep(500 * time.Millisecond)
			for range 250 {
				r.kernel.deny(1, 1)
				r.Drop(shown)
				time.Sleep(10 * time.Millisecond)
			}
		}, []time.Duration{0, 500 * time.Millisecond, 1500 * time.Millisecond, 2500 * time.Millisecond, 3 * time.Second}},
		"not for a stranger's log rule": {false, func(r *rig) {
			time.Sleep(time.Second)
			r.Drop(droplog.Drop{Prefix: "ufw block"})
			time.Sleep(time.Second)
		}, []time.Duration{0, 2 * time.Second}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, start := newRig(t), time.Now()
				r.watched = tt.watched
				r.during(t, func() { tt.do(r) })
				var got []time.Duration
				for _, at := range r.kernel.reads {
					got = append(got, at.Sub(start))
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("read at %v, want %v", got, tt.want)
				}
				if r.packets() != r.kernel.k.ever.Packets {
					t.Errorf("%d packets told of %d", r.packets(), r.kernel.k.ever.Packets)
				}
			})
		})
	}
}

func TestAnObserverSaysWho(t *testing.T) {
	r := newRig(t)
	r.kernel.deny(1, 3)
	r.kernel.lost = count(2, 80)
	source := netip.MustParseAddr("172.18.0.9")
	for range 2 {
		r.Drop(droplog.Drop{Prefix: droplog.Prefix{Chain: droplog.NoChain, Reason: "unknown", Mode: "drop"}.String(), In: "br-1",
			Packet: packet.Packet{Src: source, Dst: target(2).Dst, DstPort: 443, Proto: packet.ProtoTCP}})
	}
	if !r.Read() || r.Read() || len(r.told) != 2 {
		t.Fatalf("%+v", r.told)
	}
	if d := r.told[0]; d.ContainerID != fullID || d.Subject.Name != "web" || d.Target != target(1) || d.Packets != 3 || d.Token == "" || d.Names[0] != "www.example.com" {
		t.Errorf("of the container: %+v", d)
	}
	if d := r.told[1]; d.ContainerID != "" || d.Source != source || d.Interface != "br-1" || d.Target != target(2) || d.Packets != 2 || d.Token != "" || d.Reason != "unknown" {
		t.Errorf("of nobody: %+v", d)
	}
}

// TestTheLastCountsOfAContainerAreTold also when it goes while a reading is under way, which then knows less.
func TestTheLastCountsOfAContainerAreTold(t *testing.T) {
	r := newRig(t)
	r.kernel.deny(1, 3)
	r.kernel.during = func() {
		r.kernel.during = nil
		r.kernel.deny(1, 4)
		r.Leaving([]nft.Container{{ID: web}})
		r.kernel.mu.Lock()
		r.kernel.gone = true
		r.kernel.mu.Unlock()
		r.Committed()
	}
	r.Read()
	if r.packets() != 7 {
		t.Errorf("%d packets told of 7: %+v", r.packets(), r.told)
	}
	r.kernel.k.restart()
	r.kernel.gone = false
	r.kernel.deny(1, 9) // more than before it went
	r.Read()
	if r.packets() != 16 {
		t.Errorf("back again: %d packets told of 16: %+v", r.packets(), r.told)
	}
}

// TestACommitThatFailsForgetsNothing: the counters are there still.
func TestACommitThatFailsForgetsNothing(t *testing.T) {
	r := newRig(t)
	r.kernel.deny(1, 3)
	r.Leaving([]nft.Container{{ID: web}})
	if len(r.told) > 0 {
		t.Error("the loop, which says who leaves, waits for the sinks")
	}
	r.kernel.deny(1, 1)
	r.Refused()
	r.Read()
	r.Committed() // the next one, by which it stays
	r.Read()
	if r.packets() != 4 {
		t.Errorf("%d packets told of 4: %+v", r.packets(), r.told)
	}
}

// crowd is a kernel with many containers, of which each is denied something.
type crowd struct {
	ids   []string
	drop  uint64
	asked []int // how many records at once
}

func (c *crowd) Counters() (nft.Counters, error) {
	var out nft.Counters
	for _, id := range c.ids {
		out.Parts = append(out.Parts, nft.Part{ID: id, Name: id, Count: count(c.drop, 60*c.drop)})
	}
	return out, nil
}

func (c *crowd) CountersOf(nft.Container) (nft.Counters, error) { return nft.Counters{}, nil }

func (c *crowd) Records(ids []string) (map[string][]nft.Denial, error) {
	c.asked = append(c.asked, len(ids))
	out := map[string][]nft.Denial{}
	for _, id := range ids {
		out[id] = []nft.Denial{{Dst: target(1).Dst, Port: 443, Proto: nft.TCP, Count: count(c.drop, 60*c.drop)}}
	}
	return out, nil
}

func TestManyContainersTakeTurns(t *testing.T) {
	r, c := newRig(t), &crowd{drop: 3}
	for i := range 8*maxGrown + 5 {
		c.ids = append(c.ids, fmt.Sprintf("%012x", i))
	}
	view, _ := r.opt.View()
	view.Container = func(id string) (Container, bool) { return Container{ID: id}, true }
	r.opt.Kernel, r.opt.View = c, func() (View, bool) { return view, true }
	for range 9 {
		r.Read()
		c.drop++ // those that had their turn are waiting again
	}
	for range 9 {
		r.Read()
	}
	told := map[string]uint64{}
	for _, d := range r.told {
		told[d.ContainerID] += d.Packets
		if d.Reason == ReasonOther {
			t.Errorf("told without its destination: %+v", d)
		}
	}
	if len(told) != len(c.ids) || slices.Max(c.asked) > maxGrown {
		t.Errorf("%d of %d containers had a turn, %v at once", len(told), len(c.ids), c.asked)
	}
	for id, n := range told {
		if n != c.drop {
			t.Errorf("%s: %d packets told of %d", id, n, c.drop)
		}
	}
}

func TestWhatIsSettledIsWhatSinksHave(t *testing.T) {
	r := newRig(t)
	r.kernel.deny(1, 3)
	r.Read()
	r.kernel.deny(2, 2)
	var base Baseline
	r.Settled(func(b Baseline) { base = b })
	next := newRig(t)
	next.ledger, next.kernel = NewLedger(&base), r.kernel
	next.opt.Kernel = r.kernel
	next.Read()
	if len(next.told) != 1 || next.told[0].Target != target(2) || next.told[0].Packets != 2 {
		t.Errorf("after a restart: %+v", next.told)
	}
}
