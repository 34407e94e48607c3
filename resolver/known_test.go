package resolver

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func TestWhatAnEarlierDaemonKnewIsTakenOver(t *testing.T) {
	known := map[string][]netip.Addr{
		"a.example.org": list("192.0.2.1 10.0.0.1"), "b.example.org": list("192.0.2.2"), "example.org": list("192.0.2.3"),
		"a.example.net": list("192.0.2.4 127.0.0.1"), "a.example.com": list("192.0.2.5"), "badexample.org": list("192.0.2.6"),
	}
	below := func(parents ...string) Wanted { return Wanted{AllowBelow: parents} }
	tests := map[string]struct {
		wants []Wanted
		org   string // beneath *.example.org
		net   string // denied beneath *.example.net
		exact string // of b.example.org
		left  int    // names not taken over
	}{
		"by the first wildcard, as far as the guard lets": {wants: []Wanted{below("example.org")}, org: "192.0.2.1=a.example.org 192.0.2.2=b.example.org", left: 4},
		"by a denied one, whole": {wants: []Wanted{{AllowBelow: []string{"example.org"}, DenyBelow: []string{"example.net"}}},
			org: "192.0.2.1=a.example.org 192.0.2.2=b.example.org", net: "127.0.0.1=a.example.net 192.0.2.4=a.example.net", left: 3},
		"by a wildcard that comes later, if no other had it": {wants: []Wanted{below("example.com"), below("example.com", "example.org")},
			org: "192.0.2.1=a.example.org 192.0.2.2=b.example.org", left: 3},
		"not by a second one":         {wants: []Wanted{below("org"), below("org", "example.org")}, left: 2},
		"not by one that comes again": {wants: []Wanted{below("example.org"), {}, below("example.org")}, left: 4},
		"by a denied wildcard after an allowed one": {wants: []Wanted{below("net"), {AllowBelow: []string{"net"}, DenyBelow: []string{"example.net"}}},
			net: "192.0.2.4=a.example.net", left: 5},
		"by a name in full and a wildcard at once": {wants: []Wanted{{Allow: []string{"b.example.org"}, AllowBelow: []string{"example.org"}}},
			org: "192.0.2.1=a.example.org 192.0.2.2=b.example.org", exact: "192.0.2.2", left: 4},
		"by a name in full, whose wildcard comes later": {wants: []Wanted{{Allow: []string{"b.example.org"}}, {Allow: []string{"b.example.org"}, AllowBelow: []string{"example.org"}}},
			org: "192.0.2.1=a.example.org", exact: "192.0.2.2", left: 4},
		"by nobody": {left: 6},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := quiet(t, Options{Known: known})
			for _, w := range tt.wants {
				r.Want(w)
			}
			if got := spellNamed(r.Below()["example.org"]); got != tt.org {
				t.Errorf("*.example.org has %q, want %q", got, tt.org)
			}
			if got := spellNamed(r.DeniedBelow()["example.net"]); got != tt.net {
				t.Errorf("*.example.net denies %q, want %q", got, tt.net)
			}
			if got := join(r.Names()["b.example.org"]); got != tt.exact || len(r.known) != tt.left {
				t.Errorf("b.example.org has %q, want %q; %d names are left, want %d", got, tt.exact, len(r.known), tt.left)
			}
			checkBelow(t, r.below)
		})
	}
	if len(known) != 6 {
		t.Error("the caller's map has changed")
	}
}

func TestNoMoreIsTakenOverThanAWildcardHolds(t *testing.T) {
	known := map[string][]netip.Addr{}
	for i := range 5000 {
		known[fmt.Sprintf("n%d.example.org", i)] = []netip.Addr{numbered(i)}
	}
	r := quiet(t, Options{Known: known})
	r.Want(Wanted{AllowBelow: []string{"example.org"}, DenyBelow: []string{"org"}})
	if n := len(r.Below()["example.org"]); n > maxZoneAddrs || n < maxZoneAddrs/2 || len(r.DeniedBelow()["org"]) != 5000 {
		t.Errorf("took over %d, denies %d", n, len(r.DeniedBelow()["org"]))
	}
	checkBelow(t, r.below)
}

func TestWhatWasTakenOverIsAskedForAndLapses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t)
		b.known = map[string][]netip.Addr{"a.example.org": list("192.0.2.1"), "gone.example.org": list("192.0.2.2")}
		b.net.set("a.example.org", time.Hour, "192.0.2.9")
		b.Want(Wanted{AllowBelow: []string{"example.org"}})
		if got := spellNamed(b.Below()["example.org"]); got != "192.0.2.1=a.example.org 192.0.2.2=gone.example.org" {
			t.Errorf("begins with %s", got)
		}
		if asked, _ := b.after(3 * time.Minute); asked != 0 {
			t.Errorf("asked %d times before three quarters of the shortest lifetime", asked)
		}
		if _, kicks := b.after(time.Minute); kicks != 1 || spellNamed(b.Below()["example.org"]) != "192.0.2.1=a.example.org 192.0.2.2=gone.example.org 192.0.2.9=a.example.org" {
			t.Errorf("kicked %d times, has %s", kicks, spellNamed(b.Below()["example.org"]))
		}
		if _, kicks := b.after(5 * time.Minute); kicks == 0 || spellNamed(b.Below()["example.org"]) != "192.0.2.9=a.example.org" {
			t.Errorf("kicked %d times, has %s", kicks, spellNamed(b.Below()["example.org"]))
		}
	})
}
