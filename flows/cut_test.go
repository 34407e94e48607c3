package flows

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// opened are the flows of a namespace, each as its protocol and whom it was opened to.
func opened(t *testing.T, ns *lab.Namespace) []Flow {
	t.Helper()
	all, err := List(Options{NetNS: ns.FD()})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// everything opens one flow of each kind.
func everything(t *testing.T, ns *lab.Namespace) {
	t.Helper()
	for _, to := range []string{"192.0.2.2:5000", "[2001:db8::2]:5000", "192.0.2.1:443", "[2001:db8::1]:443"} {
		say(t, ns, to)
	}
	connect(t, ns, "192.0.2.3:443", "192.0.2.3:443")
	connect(t, ns, "[2001:db8::3]:443", "[2001:db8::3]:443")
	for _, proto := range []int{unix.IPPROTO_ICMP, unix.IPPROTO_GRE, unix.IPPROTO_SCTP, 253} {
		if err := ns.Do(func() error { return raw(proto) }); err != nil {
			t.Errorf("protocol %d: %v", proto, err)
		}
	}
}

func TestFlowsTellWhoAnswers(t *testing.T) {
	ns := tracked(t)
	everything(t, ns)
	var got []string
	for _, f := range opened(t, ns) {
		if f.Src.Port() != 0 && f.Proto != unix.IPPROTO_TCP && f.Proto != unix.IPPROTO_UDP && f.Proto != unix.IPPROTO_SCTP {
			t.Errorf("%v has ports", f)
		}
		got = append(got, strings.Join([]string{netip.AddrPort(f.Dst).String(), f.To.String()}, " -> "))
	}
	for _, want := range []string{
		"192.0.2.2:5000 -> 192.0.2.2:5000", "[2001:db8::2]:5000 -> [2001:db8::2]:5000", "192.0.2.1:443 -> 198.51.100.1:443",
		"[2001:db8::1]:443 -> [2001:db8:1::1]:443", "192.0.2.3:443 -> 192.0.2.3:443", "[2001:db8::3]:443 -> [2001:db8::3]:443", "192.0.2.2:0 -> 192.0.2.2:0",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is missing of %q", want, got)
		}
	}
}

func TestCutEndsFlowsOfEveryKind(t *testing.T) {
	ns := tracked(t)
	everything(t, ns)
	for left := opened(t, ns); len(left) > 0; {
		f := left[0]
		n, err := Cut(func(all []Flow) []int {
			i := slices.Index(all, f)
			if i < 0 {
				t.Fatalf("%v is not listed", f)
			}
			return []int{i}
		}, Options{NetNS: ns.FD()})
		if n != 1 || err != nil {
			t.Fatalf("cut %v: %d, %v", f, n, err)
		}
		rest := opened(t, ns)
		if slices.Contains(rest, f) || len(rest) != len(left)-1 {
			t.Fatalf("cut %v of %v: %v are left", f, left, rest)
		}
		left = rest
	}
}

func TestCutOfNothingEndsNothing(t *testing.T) {
	ns := tracked(t)
	say(t, ns, "192.0.2.2:5000")
	if n, err := Cut(func([]Flow) []int { return nil }, Options{NetNS: ns.FD()}); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if len(opened(t, ns)) != 1 {
		t.Error("the flow ended")
	}
}

// TestCutPassesOverWhatHasEnded by itself between the list and the cut.
func TestCutPassesOverWhatHasEnded(t *testing.T) {
	ns := tracked(t)
	say(t, ns, "192.0.2.2:5000")
	n, err := Cut(func([]Flow) []int {
		if _, err := Cut(func([]Flow) []int { return []int{0} }, Options{NetNS: ns.FD()}); err != nil {
			t.Error(err)
		}
		return []int{0}
	}, Options{NetNS: ns.FD()})
	if n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}
