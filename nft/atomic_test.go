package nft

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// proberTime is how long packets flow while policies change.
const proberTime = 3 * time.Second

// prober sends about 10,000 packets a second to an allowed destination and as many to a denied one.
type prober struct {
	*router
	allowed, denied frame
	denier          string // the wire of the denied ones
	sent            uint64
}

func newProber(t *testing.T) *prober {
	t.Helper()
	p := &prober{router: newRouter(t), denier: "blue"}
	src := netip.MustParseAddr("172.18.0.2")
	p.allowed = frame{Src: src, Dst: netip.MustParseAddr("198.51.100.1"), Proto: UDP, Sport: 1000, Dport: 53}
	p.denied = frame{Src: src, Dst: netip.MustParseAddr("198.51.100.2"), Proto: UDP, Sport: 1000, Dport: 53}
	lab.Nft(t, p.host, observers+`table inet passed {
	counter allowed { }
	counter denied { }
	chain forward { type filter hook forward priority filter + 2; policy accept;
		ip daddr 198.51.100.1 counter name allowed
		ip daddr 198.51.100.2 counter name denied
	}
}`, "-f", "-")
	return p
}

// during sends until change has been called for the time of the test; it returns how often.
func (p *prober) during(t *testing.T, change func()) int {
	t.Helper()
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for start := time.Now(); ; {
			select {
			case <-stop:
				stopped <- nil
				return
			case <-tick.C: // late ones are made up for
				for due := uint64(time.Since(start).Seconds() * 10_000); p.sent < due; p.sent++ {
					if err := errors.Join(p.put("blue", p.allowed), p.put(p.denier, p.denied)); err != nil {
						stopped <- err
						return
					}
				}
			}
		}
	}()
	changes := 0
	for end := time.Now().Add(proberTime); time.Now().Before(end); changes++ {
		change()
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	return changes
}

func (p *prober) check(t *testing.T, k *Kernel, changes int) {
	t.Helper()
	p.settled(t, 1)
	allowed, denied := p.counted(t, "allowed"), p.counted(t, "denied")
	t.Logf("%d commits, %d packets to each destination: %d allowed lost, %d denied through", changes, p.sent, p.sent-allowed, denied)
	if allowed != p.sent || denied != 0 {
		t.Errorf("%d of %d allowed packets lost, %d denied ones through", p.sent-allowed, p.sent, denied)
	}
	if got := counters(t, k).Containers["000000000001"]; got.Sent.Packets != 2*p.sent || got.Denied.Packets != p.sent {
		t.Errorf("sent %d and %d, counted %+v", p.sent, p.sent, got)
	}
	if p.sent < 1000 || changes < 20 {
		t.Errorf("%d packets and %d commits prove little", p.sent, changes)
	}
}

func (p *prober) counted(t *testing.T, name string) uint64 {
	t.Helper()
	var n uint64
	_, rest, _ := strings.Cut(lab.Nft(t, p.host, "", "list", "counter", "inet", "passed", name), "packets ")
	_, _ = fmt.Sscan(rest, &n)
	return n
}

func TestNoPacketIsLostOrLeakedWhileOthersChange(t *testing.T) {
	p, g := newProber(t), newGenerator(t)
	k := open(t, p.host)
	apply(t, k, fenced())
	r := g.ruleset()
	changes := p.during(t, func() {
		r = g.next(r)
		apply(t, k, withProber(r))
	})
	p.check(t, k, changes)
}

// proberPort is where the prober's packets come from.
func proberPort() Port {
	return Port{Name: "p-blue", MAC: MAC{2, 0, 0, 0, 1, 'b'}, Addrs: parseAddrs("172.18.0.2")}
}

// withProber is r with the prober's container, bridge and policy in it.
func withProber(r Ruleset) Ruleset {
	r = clone(r)
	r.DryRun, r.FenceUnknown, r.LogGroup = false, true, 32
	r.Ports = append([]Port{proberPort()}, slices.DeleteFunc(r.Ports, func(p Port) bool { return slices.Contains(p.Addrs, proberPort().Addrs[0]) })...)
	others := r.Containers
	r.Containers = fenced().Containers[:1]
	for _, c := range others {
		if c.ID <= "000000000002" {
			continue
		}
		r.Containers = append(r.Containers, c)
	}
	if len(r.Bridges) == 0 || r.Bridges[0].Name != "br-blue" {
		r.Bridges = append(worldBridges()[:1], r.Bridges...)
	}
	for i := range r.Containers[1:] {
		c := &r.Containers[i+1]
		var kept []Endpoint
		for _, e := range c.Endpoints {
			if e.Bridge != "br-blue" || e.Addr != r.Containers[0].Endpoints[0].Addr && e.Addr != r.Containers[0].Endpoints[1].Addr {
				kept = append(kept, e)
			}
		}
		c.Endpoints = kept
	}
	return r
}

// TestNoSpoofedFramePassesWhilePortsChange sends both kinds of frames in one container's name: those from its port pass,
// those from another do not.
func TestNoSpoofedFramePassesWhilePortsChange(t *testing.T) {
	p, g := newProber(t), newGenerator(t)
	p.denier = "blue2"
	k := open(t, p.host)
	next := func() {
		r := fenced()
		r.Containers[0].Own = Source{Allow: Matches{All: []Clause{{}}}}
		r.BindPorts, r.Ports, r.LogGroup = true, g.ports(), pick(g, []uint16{32, 33})
		r.Bridges[0].Addrs = some(g, parseAddrs("172.18.0.1", "fe80::1"), 2)
		apply(t, k, withProber(r))
		wake(t, k, true)
	}
	next()
	changes := p.during(t, next)
	p.settled(t, 1)
	passed, spoofed := p.counted(t, "allowed"), p.counted(t, "denied")
	t.Logf("%d commits, %d frames of each kind: %d lost, %d spoofed ones through", changes, p.sent, p.sent-passed, spoofed)
	if counted := counters(t, k).Reasons[Spoof].Packets; passed != p.sent || spoofed != 0 || counted != p.sent {
		t.Errorf("of %d frames %d pass, %d spoofed ones pass, %d are counted", p.sent, passed, spoofed, counted)
	}
	if p.sent < 1000 || changes < 20 {
		t.Errorf("%d frames and %d commits prove little", p.sent, changes)
	}
}

// waysToAllow let 198.51.100.1 and not 198.51.100.2 through, udp port 53, each by other sets.
func waysToAllow() []Source {
	one, web := addrs("198.51.100.1")[0], Clause{UDP, Ports{53, 53}}
	return []Source{
		{Allow: Matches{Addrs: Literals{Any: []Range{one}}}},
		{Allow: Matches{Nets: Literals{Any: nets("198.51.100.0/31")}}},
		{Allow: Matches{Nets: Literals{Any: append(nets("198.51.100.0/31"), Range{netip.MustParseAddr("198.51.100.3"), netip.MustParseAddr("198.51.100.9")})}}},
		{Allow: Matches{Nets: Literals{Any: []Range{{netip.MustParseAddr("198.0.0.0"), one.Last}}}}},
		{Allow: Matches{Nets: Literals{Boxes: []Box{{one, UDP, Ports{50, 60}}}}}},
		{Allow: Matches{Nets: Literals{Boxes: []Box{{Range{netip.MustParseAddr("198.0.0.0"), one.Last}, UDP, Ports{0, 65535}}, {nets("10.0.0.0/8")[0], TCP, Ports{1, 2}}}}}},
		{Allow: Matches{Addrs: Literals{Boxes: []Box{{one, UDP, Ports{53, 53}}}}}},
		{Allow: Matches{Names: []NameSet{{Addrs: named("198.51.100.1", "198.51.100.7")}}}},
		{Allow: Matches{Names: []NameSet{{Clause: web, Addrs: named("198.51.100.1")}}}},
		{Allow: Matches{Internet: []Clause{web}}, Deny: Matches{Addrs: Literals{Any: addrs("198.51.100.2")}}},
		{Allow: Matches{All: []Clause{{}}}, Deny: Matches{Nets: Literals{Any: nets("198.51.100.2/31")}}},
		{Allow: Matches{All: []Clause{web}}, Deny: Matches{Nets: Literals{Boxes: []Box{{nets("198.51.100.2/32")[0], UDP, Ports{53, 53}}}}}},
		{Allow: Matches{Resolvers: []netip.Addr{one.First}}},
	}
}

func TestNoPacketIsLostOrLeakedWhileItsOwnPolicyChanges(t *testing.T) {
	p, g := newProber(t), newGenerator(t)
	k := open(t, p.host)
	r := fenced()
	apply(t, k, r)
	ways := waysToAllow()
	changes := p.during(t, func() {
		r = clone(r)
		way := pick(g, ways)
		r.Sources, r.Containers[0].Shared, r.Containers[0].Own = nil, nil, Source{}
		if g.chance(50) {
			way.Name = "default"
			r.Sources, r.Containers[0].Shared = []Source{way}, []string{"default"}
		} else {
			r.Containers[0].Own = way
		}
		r.Containers[0].Reject, r.FenceUnknown = g.chance(20), g.chance(50)
		apply(t, k, r)
	})
	p.check(t, k, changes)
}
