package nft

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerwall/dockerwall/internal/lab"
)

func sampleTap(mode TapMode) Tap {
	return Tap{
		Mode: mode, Queue: 5300, Mark: 0x6477, Fenced: []string{"br-blue"}, Bridges: []string{"br-blue", "br-free", "docker0"},
		Resolvers: addrsOf("198.51.100.53", "2001:db8:ffff::53"), Host: addrsOf("127.0.0.53", "198.51.100.53", "::1"),
		Containers: []TapServer{{"br-blue", netip.MustParseAddrPort("172.18.0.53:53")}, {"br-blue", netip.MustParseAddrPort("[fd00:2::53]:5353")}},
	}
}

func addrsOf(texts ...string) (out []netip.Addr) {
	for _, a := range texts {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func applyTap(t *testing.T, k *Kernel, tap Tap) {
	t.Helper()
	if err := k.ApplyTap(tap); err != nil {
		t.Fatal(err)
	}
}

// tapText is both tables as nft lists them, "" if there are none.
func tapText(t *testing.T, n *lab.Namespace) (text string) {
	t.Helper()
	for line := range strings.Lines(lab.Nft(t, n, "", "list", "tables")) {
		name := strings.Fields(line)
		text += line + normalise(lab.Nft(t, n, "", "-s", "list", "table", name[1], name[2]))
	}
	return text
}

func TestATapIsWhatItsTextSays(t *testing.T) {
	n, ref := namespace(t), namespace(t)
	k := open(t, n)
	first := sampleTap(TapCopy) // the others have no text that nft loads on every kernel
	second := first
	second.Fenced, second.Host = []string{"br-blue", "br-red"}, first.Host[:1]
	second.Containers, second.Queue = nil, 5301
	for _, tap := range []Tap{first, second, first, {}, first} {
		applyTap(t, k, tap)
		lab.Nft(t, ref, "flush ruleset\n"+tap.String(), "-f", "-")
		if diff := cmp.Diff(tapText(t, ref), tapText(t, n)); diff != "" {
			t.Fatalf("text loaded by nft (-) and the committed tables (+) differ:\n%s", diff)
		}
	}
}

func TestATapsElementsChangeInPlace(t *testing.T) {
	n := namespace(t)
	k := open(t, n)
	tap := sampleTap(TapXTQueue)
	applyTap(t, k, tap)
	handles := func() string { return lab.Nft(t, n, "", "-a", "list", "chains") }
	before := handles()
	tap.Resolvers = tap.Resolvers[:1]
	applyTap(t, k, tap)
	if after := handles(); before != after {
		t.Errorf("chains were made anew, which drops what waits in queues:\n%s", cmp.Diff(before, after))
	}
	if text := lab.Nft(t, n, "", "list", "set", "ip6", tapTable, setResolvers); strings.Contains(text, "2001:db8") {
		t.Errorf("a resolver that is gone stays:\n%s", text)
	}
}

func TestATapEndsWithItsDaemon(t *testing.T) {
	n := namespace(t)
	k, err := Open(Options{NetNS: n.FD()})
	if err != nil {
		t.Fatal(err)
	}
	if !k.Features().Owner {
		lab.Cannot(t, "needs a kernel whose tables know owners (5.12)")
	}
	applyTap(t, k, sampleTap(TapXTQueue))
	if text := lab.Nft(t, n, "", "list", "tables"); !strings.Contains(text, "ip dockerwall-dns") || !strings.Contains(text, "ip6 dockerwall-dns") {
		t.Errorf("no tap among these:\n%s", text)
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	if text := lab.Nft(t, n, "", "list", "tables"); strings.Contains(text, tapTable) {
		t.Errorf("left behind:\n%s", text)
	}
}

func TestATapReplacesWhatStands(t *testing.T) {
	n := namespace(t)
	lab.Nft(t, n, "table ip dockerwall-dns {\n chain forward {\n type filter hook forward priority 0; policy drop;\n }\n}\n", "-f", "-")
	k := open(t, n)
	applyTap(t, k, sampleTap(TapXTQueue))
	if text := lab.Nft(t, n, "", "list", "ruleset"); strings.Contains(text, "policy drop") {
		t.Errorf("a stranger's chain stays:\n%s", text)
	}
	if err := k.Remove(); err != nil {
		t.Fatal(err)
	}
	if text := lab.Nft(t, n, "", "list", "tables"); text != "" {
		t.Errorf("left behind: %s", text)
	}
	if err := k.Beat(); err != nil {
		t.Errorf("a beat after the table was removed: %v", err)
	}
	if err := k.ApplyTap(sampleTap(TapXTQueue)); !errors.Is(err, ErrRemoved) {
		t.Errorf("a tap after the table was removed: %v", err)
	}
}

func TestATapThatTheKernelWouldMisreadIsRefused(t *testing.T) {
	k := open(t, namespace(t))
	server := func(bridge, addr string) []TapServer {
		return []TapServer{{bridge, netip.AddrPortFrom(netip.MustParseAddr(addr), 53)}}
	}
	for name, spoil := range map[string]func(*Tap){
		"a fenced bridge with a space":         func(tap *Tap) { tap.Fenced = []string{"a bridge"} },
		"a bridge with a name too long":        func(tap *Tap) { tap.Bridges = []string{"br-longer-than-15"} },
		"a container on no bridge":             func(tap *Tap) { tap.Containers = server("", "192.0.2.1") },
		"a container without an address":       func(tap *Tap) { tap.Containers = []TapServer{{Bridge: "br-blue"}} },
		"a container with a mapped address":    func(tap *Tap) { tap.Containers = server("br-blue", "::ffff:192.0.2.1") },
		"a resolver that is no address":        func(tap *Tap) { tap.Resolvers = []netip.Addr{{}} },
		"a resolver with a zone":               func(tap *Tap) { tap.Resolvers = addrsOf("fe80::1%eth0") },
		"the host's resolver's address mapped": func(tap *Tap) { tap.Host = addrsOf("::ffff:127.0.0.53") },
		"a mode that is none":                  func(tap *Tap) { tap.Mode = TapNFTQueue + 1 },
		"a bridge with a star at its end":      func(tap *Tap) { tap.Bridges = []string{"br-*"} },
	} {
		tap := sampleTap(TapXTQueue)
		if spoil(&tap); k.ApplyTap(tap) == nil {
			t.Errorf("%s: applied", name)
		}
	}
	applyTap(t, k, sampleTap(TapXTQueue))
}

func TestTheProbeKnowsHowToHoldAnswers(t *testing.T) {
	k := open(t, namespace(t))
	taps := k.Features().Taps
	if !slices.Contains(taps, TapCopy) || !slices.Contains(taps, TapXTQueue) && !slices.Contains(taps, TapNFTQueue) {
		t.Errorf("%v", taps)
	}
	for _, mode := range taps {
		applyTap(t, k, sampleTap(mode))
	}
	t.Logf("this kernel has %v", taps)
}

func TestAQueueIsUsedOnlyWhileTheDaemonBeats(t *testing.T) {
	n := namespace(t)
	k := open(t, n)
	applyTap(t, k, sampleTap(TapXTQueue))
	alive := func() bool {
		text := lab.Nft(t, n, "", "list", "set", "ip6", tapTable, setAlive)
		return strings.Contains(text, "tcp") && strings.Contains(text, "udp")
	}
	if !alive() {
		t.Error("a tap just applied is not in use")
	}
	for deadline := time.Now().Add(2 * aliveFor); alive(); {
		if time.Now().After(deadline) {
			t.Fatal("a daemon that says nothing lives for ever")
		}
	}
	for range 2 {
		if err := k.Beat(); err != nil || !alive() {
			t.Errorf("after a beat: alive %v, %v", alive(), err)
		}
	}
}
