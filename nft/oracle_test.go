package nft

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/google/go-cmp/cmp"
)

const (
	oracleRulesets = 30
	oraclePackets  = 220
)

// redirects are destination NAT as Docker does it for published ports, and some stranger ones.
var redirects = []struct {
	proto uint8
	dst   string
	port  uint16
	toDst string
	to    uint16
}{
	{TCP, "172.18.0.1", 8080, "172.17.0.5", 80},
	{UDP, "192.0.2.1", 443, "198.51.100.77", 53},
	{TCP, "203.0.113.200", 80, "172.17.0.1", 22},
	{TCP, "203.0.113.1", 443, "198.51.100.1", 8080},
	{ICMP, "10.0.1.1", 0, "198.51.100.1", 0},
	{TCP, "fd00:1::1", 8080, "fd00:2::2", 443},
	{UDP, "2001:db8:ff::1", 53, "2001:db8:2::77", 53},
}

func redirectRules() string {
	text := "table inet redirects {\n\tchain prerouting { type nat hook prerouting priority dstnat; policy accept;\n"
	for _, d := range redirects {
		family, to := "ip", d.toDst
		if !netip.MustParseAddr(d.dst).Is4() {
			family, to = "ip6", "["+d.toDst+"]"
		}
		if d.proto == ICMP {
			text += fmt.Sprintf("\t\t%s daddr %s meta l4proto icmp dnat ip to %s\n", family, d.dst, to)
			continue
		}
		text += fmt.Sprintf("\t\t%s daddr %s %s dport %d dnat %s to %s:%d\n", family, d.dst, protoName(d.proto), d.port, family, to, d.to)
	}
	return text + "\t}\n}\n"
}

// oracle sends random packets and compares what becomes of them with what Judge says.
type oracle struct {
	generator
	*router
	id    uint16
	sport uint16
	flows []frame // known to conntrack before there is a fence, by wire
	wires []string
	pairs map[[2]netip.Addr]bool // of protocols without ports

	tapping bool
	// counts of what was compared, so that a test of nothing fails
	compared map[string]int
}

func TestJudgeAgreesWithKernel(t *testing.T) {
	pin(t)
	o := &oracle{generator: newGenerator(t), router: newRouter(t), sport: 10000, pairs: map[[2]netip.Addr]bool{}, compared: map[string]int{}}
	lab.Nft(t, o.host, observers+redirectRules(), "-f", "-")
	o.openFlows(t)
	k := open(t, o.host)
	for i := range oracleRulesets {
		bridged := fmt.Sprint(i % 2)
		sysctl(t, o.host, "net/bridge/bridge-nf-call-iptables", bridged)
		sysctl(t, o.host, "net/bridge/bridge-nf-call-ip6tables", bridged)
		r := o.ruleset()
		r.BindPorts = false // see TestJudgeAgreesWithKernelOnFrames
		if i%3 > 0 {        // or random ones have too few containers to tell much
			r.Bridges = worldBridges()
			r = o.settle(r)
		}
		apply(t, k, r)
		o.tap(t, k, i)
		o.round(t, k, r)
	}
	t.Logf("compared: %v", o.compared)
	for _, what := range []string{"pass", "deny", "forward", "input", "tcp", "udp", "icmp", "ipv6-icmp", "sctp", "47", "v4", "v6", "new", "established", "related", "invalid", "untracked",
		"stray", "dnat", "broadcast", "multicast", "same network", "tapped", "reason denied", "reason unknown", "reason invalid", "reason stray", "reason multicast", "audit"} {
		if o.compared[what] == 0 {
			t.Errorf("no packet of kind %q was compared", what)
		}
	}
	if n := o.compared["pass"] + o.compared["deny"]; n < 1000 {
		t.Errorf("only %d packets compared", n)
	}
}

// tap has answers of the server of openFlows stopped, each way that the kernel knows and not at all in turn: nobody
// reads them, so they go on, and are judged as ever.
func (o *oracle) tap(t *testing.T, k *Kernel, round int) {
	modes := append([]TapMode{TapOff}, k.Features().Taps...)
	tap := Tap{Mode: modes[round%len(modes)], Queue: 5300, Fenced: []string{"br-blue", "docker0"}}
	for _, server := range []string{"198.51.100.99:4444", "[2001:db8:9::99]:4444"} {
		tap.Containers = append(tap.Containers, TapServer{"wan", netip.MustParseAddrPort(server)})
	}
	applyTap(t, k, tap)
	o.tapping = tap.Mode != TapOff
}

// openFlows makes connections that stand before the fence does: one each of udp and tcp from some
// container addresses, so that packets of theirs are established, and errors about them related.
func (o *oracle) openFlows(t *testing.T) {
	for _, e := range worldEndpoints() {
		wire := map[string]string{"br-blue": "blue", "docker0": "dock"}[e.Bridge]
		if wire == "" {
			continue
		}
		dst := netip.MustParseAddr("198.51.100.99")
		if !e.Addr.Is4() {
			dst = netip.MustParseAddr("2001:db8:9::99")
		}
		for _, proto := range []uint8{TCP, UDP} {
			out := o.next(frame{Src: e.Addr, Dst: dst, Proto: proto, Dport: 4444, Flags: syn})
			o.send(t, wire, out)
			back := reply(out)
			back.Flags = syn | ack
			o.send(t, "wan", back)
			out.Flags = ack
			o.send(t, wire, out)
			o.flows, o.wires = append(o.flows, out), append(o.wires, wire)
		}
	}
	o.settled(t, o.newID())
	lab.Nft(t, o.host, "", "flush", "table", "inet", "observers")
	lab.Nft(t, o.host, "delete table inet observers\n"+observers, "-f", "-")
}

func reply(f frame) frame {
	f.Src, f.Dst, f.Sport, f.Dport = f.Dst, f.Src, f.Dport, f.Sport
	return f
}

func (o *oracle) newID() uint16 { o.id++; return o.id }

// next gives a frame an ID and a source port of its own.
func (o *oracle) next(f frame) frame {
	o.sport++
	f.ID, f.Sport = o.newID(), o.sport
	return f
}

// shot is a frame on a wire and what Judge is to be told of it.
type shot struct {
	wire string
	frame
}

func (o *oracle) round(t *testing.T, k *Kernel, r Ruleset) {
	t.Helper()
	lab.Nft(t, o.host, "delete table inet observers\n"+observers, "-f", "-")
	start := counters(t, k)
	shots := map[uint16]shot{}
	for range oraclePackets {
		s, ok := o.shot(r)
		if !ok {
			continue
		}
		shots[s.ID] = s
		o.send(t, s.wire, s.frame)
	}
	last := o.newID()
	all := o.settled(t, last)
	denied := uint64(0)
	want := expectation{Counters{Containers: map[string]Traffic{}, Reasons: map[Reason]Count{}}}
	for at, found := range all {
		s, ok := shots[at.id]
		if !ok {
			continue
		}
		p := s.asSeen(at.hook, found)
		got := r.Judge(p)
		if got.Pass != found.after {
			t.Errorf("Judge says %+v, the kernel passes: %v\npacket %+v\nruleset:\n%s", got, found.after, p, r)
			t.FailNow()
		}
		want.add(r, p, got)
		if got.Reason != "" && (got.Reason != Stray || got.Container != "") {
			denied++
		}
		o.note(r, p, got)
	}
	end := counters(t, k)
	if n := end.Denied().Packets - start.Denied().Packets; n != denied {
		t.Errorf("%d packets denied, by Judge %d\nruleset:\n%s", n, denied, r)
	}
	if diff := cmp.Diff(want.Counters, end.packetsSince(start)); diff != "" {
		t.Errorf("packets counted, by Judge (-) and by the kernel (+), differ:\n%s\nruleset:\n%s", diff, r)
	}
}

func counters(t testing.TB, k *Kernel) Counters {
	t.Helper()
	c, err := k.Counters()
	if err != nil {
		t.Fatal(err)
	}
	c.addUp(t)
	return c
}

// addUp fails unless the parts are what the totals of containers are the sums of, each with a name of its own.
func (c Counters) addUp(t testing.TB) {
	t.Helper()
	sums, names := map[string]Traffic{}, map[string]bool{}
	for _, p := range c.Sent {
		of := sums[p.ID]
		of.Sent = of.Sent.plus(p.Count)
		sums[p.ID], names[p.Name] = of, true
	}
	for _, p := range c.Parts {
		of := sums[p.ID]
		of.Denied = of.Denied.plus(p.Count)
		if p.Invalid {
			of.Invalid = of.Invalid.plus(p.Count)
		}
		sums[p.ID], names[p.Name] = of, true
	}
	if diff := cmp.Diff(c.Containers, sums); diff != "" || len(names) != len(c.Sent)+len(c.Parts) {
		t.Errorf("%d parts with %d names; totals (-) and sums of parts (+) differ:\n%s", len(c.Sent)+len(c.Parts), len(names), diff)
	}
}

// packetsSince is what moved, in packets.
func (c Counters) packetsSince(start Counters) Counters {
	out := Counters{Containers: map[string]Traffic{}, Reasons: map[Reason]Count{}}
	for id, t := range c.Containers {
		was := start.Containers[id]
		moved := Traffic{Sent: Count{Packets: t.Sent.Packets - was.Sent.Packets}, Denied: Count{Packets: t.Denied.Packets - was.Denied.Packets}}
		if moved != (Traffic{}) {
			out.Containers[id] = moved
		}
	}
	for reason, n := range c.Reasons {
		if moved := n.Packets - start.Reasons[reason].Packets; moved > 0 {
			out.Reasons[reason] = Count{Packets: moved}
		}
	}
	return out
}

// expectation adds up what the counters should show.
type expectation struct{ Counters }

func (e expectation) add(r Ruleset, p Packet, j Judgement) {
	neighbour := p.Hook == Input && p.Proto == ICMPv6 && slices.Contains(neighbourTypes(), p.Type)
	if c := r.source(p); c != nil && !neighbour {
		t := e.Containers[c.ID]
		t.Sent.Packets++
		if j.Reason == Invalid || j.Reason != "" && j.Container == c.ID {
			t.Denied.Packets++
		}
		e.Containers[c.ID] = t
	}
	if j.Reason != "" && j.Reason != Denied {
		n := e.Reasons[j.Reason]
		n.Packets++
		e.Reasons[j.Reason] = n
	}
}

func (o *oracle) note(r Ruleset, p Packet, j Judgement) {
	kinds := map[string]bool{
		"pass": j.Pass, "deny": !j.Pass, p.Hook.String(): true, protoName(p.Proto): true, "v4": p.Src.Is4(), "v6": !p.Src.Is4(),
		[...]string{"new", "established", "related", "invalid", "untracked"}[p.State]: true, "stray": p.Stray, "dnat": p.DNAT, "broadcast": p.Broadcast,
		"multicast": p.Dst.IsMulticast(), "same network": p.Hook == Forward && p.In == p.Out && p.InBridge, "reason " + string(j.Reason): true,
		"audit": j.Pass && j.Reason != "" && !r.DryRun, "tapped": o.tapping && p.In == "wan" && p.State == StateEstablished && p.Hook == Forward,
	}
	for kind, yes := range kinds {
		if yes {
			o.compared[kind]++
		}
	}
}

// asSeen is the packet at the hook where the observers saw it.
func (s shot) asSeen(hook Hook, found seen) Packet {
	p := Packet{
		Hook: hook, In: bridgeOf(s.wire), InBridge: s.wire != "wan", Out: found.out, Src: s.Src, Dst: s.Dst, Proto: s.Proto,
		Stray: s.Proto == TCP && s.Flags&(fin|syn|rst|ack) != syn, Broadcast: s.MAC == [6]byte{255, 255, 255, 255, 255, 255}, Own: len(s.Payload) > 0,
		State: map[string]State{"established": StateEstablished, "related": StateRelated, "invalid": StateInvalid, "untracked": StateUntracked}[found.state],
	}
	if s.Proto == TCP || s.Proto == UDP || s.Proto == SCTP {
		p.DstPort = s.Dport
	}
	if s.Proto == ICMPv6 {
		p.Type = s.Type
	}
	if found.dnat {
		p.DNAT, p.OriginalDst, p.OriginalPort = true, p.Dst, p.DstPort
		for _, d := range redirects {
			if d.proto == s.Proto && d.dst == s.Dst.String() && d.port == p.DstPort {
				p.Dst, p.DstPort = netip.MustParseAddr(d.toDst), d.to
			}
		}
	}
	return p
}
