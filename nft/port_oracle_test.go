package nft

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
	"golang.org/x/sys/unix"
)

// portObservers note the destination of each frame, which is its number, before and after our chain.
const portObservers = `table bridge observers {
	set before { type ether_addr; flags dynamic; size 65535; }
	set after { type ether_addr; flags dynamic; size 65535; }
	chain before_ports { type filter hook prerouting priority -311; policy accept; update @before { ether daddr }; }
	chain after_ports { type filter hook prerouting priority -309; policy accept; update @after { ether daddr }; }
}
`

const (
	portRulesets = 25
	portFrames   = 250
)

// portOracle sends random frames from ports of fenced and of other bridges, and compares what becomes of them with what
// Judge says.
type portOracle struct {
	generator
	*router
	asleep   bool // the daemon has not said that it lives
	compared map[string]int
}

func TestJudgeAgreesWithKernelOnFrames(t *testing.T) {
	pin(t)
	o := &portOracle{generator: newGenerator(t), router: newRouter(t), compared: map[string]int{}}
	k := open(t, o.host)
	for i := range portRulesets {
		r := Ruleset{LogGroup: 32, BindPorts: i%10 != 9, DryRun: i%8 == 7, Bridges: worldBridges()}
		r.Ports = slices.DeleteFunc(o.ports(), func(Port) bool { return o.chance(10) })
		wires := []string{"blue", "blue2", "dock", "dock2", "free", "unkn"}
		for j := range r.Ports {
			r.Ports[j].Name = "p-" + wires[j]
		}
		slices.SortFunc(r.Ports, func(a, b Port) int { return strings.Compare(a.Name, b.Name) })
		apply(t, k, r)
		o.asleep = o.chance(30)
		wake(t, k, !o.asleep)
		o.round(t, k, r, wires)
	}
	t.Logf("compared: %v", o.compared)
	for _, what := range []string{"pass", "deny", "dry run", "arp", "ip", "ip6", "advert", "router", "stacked", "tagged", "behind", "foreign", "misplaced"} {
		if o.compared[what] == 0 || what != "pass" && what != "deny" && o.compared[what+" denied"] == 0 && what != "dry run" {
			t.Errorf("no frame of kind %q was compared, or none was denied", what)
		}
	}
}

func (o *portOracle) round(t *testing.T, k *Kernel, r Ruleset, wires []string) {
	t.Helper()
	lab.Nft(t, o.host, "table bridge observers\ndelete table bridge observers\n"+portObservers, "-f", "-")
	start := counters(t, k)
	var shots []Packet
	var frames []portFrame
	for i := range portFrames {
		wire := pick(o.generator, wires)
		f := o.frame(r)
		f.To = numbered(i)
		o.raw(t, wire, f.bytes())
		seen := f.asSeen("p-" + wire)
		seen.Link.Asleep = o.asleep
		shots, frames = append(shots, seen), append(frames, f)
	}
	o.raw(t, "blue", portFrame{To: numbered(portFrames), From: MAC{2, 0xee}, Src: netip.MustParseAddr("203.0.113.5"), Dst: netip.MustParseAddr("203.0.113.6"), Proto: UDP}.bytes())
	before, after := o.passed(t)
	spoofed := uint64(0)
	for i, p := range shots {
		got := r.Judge(p)
		if !before[numbered(i)] || got.Pass != after[numbered(i)] {
			t.Fatalf("Judge says %+v; the kernel saw it: %v, passes: %v\n%+v\nframe % x\n%s", got, before[numbered(i)], after[numbered(i)], frames[i], frames[i].bytes(),
				Table{Ports: r.Table().Ports})
		}
		if got.Reason == Spoof {
			spoofed++
		}
		o.note(p, frames[i], got)
	}
	if n := counters(t, k).packetsSince(start).Reasons[Spoof].Packets; n != spoofed {
		t.Errorf("%d frames counted as spoofed, want %d", n, spoofed)
	}
}

// wake has the table take the daemon for alive, or not.
func wake(t testing.TB, k *Kernel, alive bool) {
	t.Helper()
	err := k.Awake()
	if err == nil && !alive && k.last.table.Ports != nil {
		err = k.commit([]Op{onPorts{delElements{awakeSet(), awakeTypes()}}})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func numbered(i int) MAC { return MAC{2, 0xff, 0, 0, byte(i >> 8), byte(i)} }

// raw sends a frame as it is.
func (r *router) raw(t testing.TB, wire string, b []byte) {
	t.Helper()
	if _, err := unix.Write(r.sockets[wire], b); err != nil {
		t.Fatal(err)
	}
}

var macText = regexp.MustCompile(`02:ff(:[0-9a-f]{2}){4}`)

// passed waits for the last frame and returns which were seen before and after our chain.
func (o *portOracle) passed(t *testing.T) (before, after map[MAC]bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		sets := [2]map[MAC]bool{{}, {}}
		for i, name := range []string{"before", "after"} {
			for _, text := range macText.FindAllString(lab.Nft(t, o.host, "", "list", "set", "bridge", "observers", name), -1) {
				sets[i][mac(text)] = true
			}
		}
		if sets[1][numbered(portFrames)] {
			return sets[0], sets[1]
		}
	}
	t.Fatal("the last frame did not arrive")
	return nil, nil
}

func (o *portOracle) frame(r Ruleset) portFrame {
	macs := []MAC{mac("02:42:00:00:01:01"), mac("02:aa:aa:aa:aa:aa")}
	var addrs4, addrs6 []netip.Addr
	all := parseAddrs("172.17.0.1", "172.17.0.99", "0.0.0.0", "fe80::1", "fe80::99", "::", "::")
	var mine Port
	for _, p := range r.Ports {
		macs, all = append(macs, p.MAC), append(all, p.Addrs...)
		mine = p
	}
	for _, a := range all {
		if a.Is4() {
			addrs4 = append(addrs4, a)
		} else {
			addrs6 = append(addrs6, a)
		}
	}
	f := portFrame{From: pick(o.generator, macs), ARPMAC: pick(o.generator, macs), Src: pick(o.generator, addrs4), Dst: netip.MustParseAddr("172.17.0.7"), Proto: UDP, Dport: 53}
	switch o.Intn(4) {
	case 0:
		f.ARP = uint16(1 + o.Intn(2))
	case 3:
		if o.chance(20) {
			f.Proto, f.Type, f.Target = ICMPv6, pick(o.generator, []uint8{134, 136, 137}), pick(o.generator, addrs6)
		}
	case 1, 2:
		f.Src, f.Dst = pick(o.generator, addrs6), netip.MustParseAddr("ff02::1")
		if o.chance(75) {
			f.Proto, f.Type, f.Target = ICMPv6, pick(o.generator, []uint8{133, 134, 135, 135, 136, 136, 136, 137, 128, 143}), pick(o.generator, addrs6)
		}
		if f.Type != neighbourSolicit && f.Type != neighbourAdvert {
			f.Target = netip.Addr{}
		}
		if f.Type == routerRedirect {
			f.Target = f.Dst
		}
		if o.chance(30) {
			f.Behind = pick(o.generator, []uint8{unix.IPPROTO_HOPOPTS, unix.IPPROTO_FRAGMENT, unix.IPPROTO_DSTOPTS})
		}
	}
	if len(mine.Addrs) > 0 && o.chance(40) { // what is right for one port at least
		f.From, f.ARPMAC = mine.MAC, mine.MAC
		if a := pick(o.generator, mine.Addrs); a.Is4() == f.Src.Is4() {
			f.Src = a
		}
	}
	if o.chance(30) {
		f.Tags = pick(o.generator, [][]tag{{{unix.ETH_P_8021Q, 0}}, {{unix.ETH_P_8021Q, 7}}, {{unix.ETH_P_8021AD, 0}},
			{{unix.ETH_P_8021Q, 0}, {unix.ETH_P_8021Q, 0}}, {{unix.ETH_P_8021AD, 0}, {unix.ETH_P_8021Q, 0}}, {{unix.ETH_P_8021Q, 5}, {unix.ETH_P_8021AD, 6}}})
	}
	return f
}

func (o *portOracle) note(p Packet, f portFrame, j Judgement) {
	for kind, yes := range map[string]bool{
		"pass": j.Pass, "deny": !j.Pass, "dry run": j.Pass && j.Reason == Spoof, "arp": p.Link.ARP, "ip": p.Src.Is4() && !p.Link.ARP, "ip6": p.Src.Is6(),
		"advert": p.Type == neighbourAdvert, "router": p.Type == routerAdvert || p.Type == routerRedirect, "stacked": len(f.Tags) > 1, "tagged": len(f.Tags) == 1,
		"behind": f.Behind != 0, "foreign": p.In == "p-free" || p.In == "p-unkn", "misplaced": p.Src.Is4() && p.Proto == ICMPv6,
	} {
		if yes {
			o.compared[kind]++
			if j.Reason == Spoof {
				o.compared[kind+" denied"]++
			}
		}
	}
}
