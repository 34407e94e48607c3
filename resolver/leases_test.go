package resolver

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
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

// BenchmarkLeases is of a host with 50 wildcards as full as they get. The longest that an answer waited is reported, too.
func BenchmarkLeases(b *testing.B) {
	r := quiet(b, Options{})
	var wanted Wanted
	for i := range 50 {
		wanted.AllowBelow = append(wanted.AllowBelow, fmt.Sprintf("z%d.example.com", i))
	}
	r.Want(wanted)
	for i, zone := range wanted.AllowBelow {
		for j := range 500 {
			var addrs []string
			for k := range 8 {
				addrs = append(addrs, netip.AddrFrom4([4]byte{11 + byte(i), byte(j >> 8), byte(j), byte(k)}).String())
			}
			r.Learn(replied(said(fmt.Sprintf("n%d.%s", j, zone), time.Hour, strings.Join(addrs, " "))))
		}
	}
	var longest atomic.Int64
	done := make(chan struct{})
	ctx, stop := context.WithCancel(b.Context())
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			began := time.Now()
			r.NamesOf(netip.IPv4Unspecified())
			longest.Store(max(longest.Load(), int64(time.Since(began))))
			time.Sleep(100 * time.Microsecond)
		}
	}()
	for b.Loop() {
		r.Leases()
	}
	stop()
	<-done
	b.ReportMetric(float64(longest.Load()), "ns-waited")
}
