package resolver

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestLeasesAreNamesAndBelowWithTheirEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := quiet(t, Options{})
		r.Want(Wanted{Allow: []string{www, "b.example.net"}, AllowBelow: []string{"example.org", "example.com"}})
		r.Learn(replied(said(www, 10*time.Minute, "192.0.2.1 2001:db8::1"), said("a.example.org", 0, "192.0.2.2")))
		at := func(addr string, minutes int) Lease {
			return Lease{Addr: netip.MustParseAddr(addr), Expires: time.Now().Add(time.Duration(minutes) * time.Minute)}
		}
		both := []Lease{at("192.0.2.1", 10), at("2001:db8::1", 10)}
		want := Leases{
			Names: map[string][]Lease{www: both, "b.example.net": {}},
			Below: map[string]map[string][]Lease{"example.org": {www: both, "a.example.org": {at("192.0.2.2", 5)}}, "example.com": {}},
		}
		if diff := cmp.Diff(want, r.Leases(), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
