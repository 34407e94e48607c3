package resolver

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// many is n addresses from 198.51.100.first on.
func many(n, first int) string {
	var s []string
	for i := range n {
		s = append(s, fmt.Sprintf("198.51.100.%d", first+i))
	}
	return strings.Join(s, " ")
}

func TestCaps(t *testing.T) {
	c := NewCache(Limits{AnswerAddrs: 4, NameAddrs: 6})
	c.Want([]string{www}, nil, epoch)
	c.Observe(ans(0, many(5, 1)+" 2001:db8::1"), epoch)
	if got, want := show(c, epoch), many(4, 1)+" 2001:db8::1"; got != want || c.cut != 1 {
		t.Fatalf("live %q, %d cut", got, c.cut)
	}
	c.Observe(part(IPv4, time.Hour, "198.51.100.1 198.51.100.2"), at(time.Second)) // 3 and 4 are no longer current, and expire first
	c.Observe(part(IPv4, 0, many(3, 7)), at(2*time.Second))
	if got, want := show(c, at(2*time.Second)), many(2, 1)+" "+many(3, 7)+" 2001:db8::1"; got != want || c.evicted != 2 {
		t.Errorf("live %q, want %q; %d evicted", got, want, c.evicted)
	}
}

func TestEvictionSparesTheCurrentAnswer(t *testing.T) {
	c := NewCache(Limits{NameAddrs: 2})
	c.Want([]string{www}, nil, epoch)
	c.Observe(ans(24*time.Hour, "192.0.2.1 192.0.2.2"), epoch)
	c.Observe(ans(0, "192.0.2.3"), at(time.Second)) // soonest to expire, but current
	if got := show(c, at(time.Second)); got != "192.0.2.2 192.0.2.3" {
		t.Errorf("live %q", got)
	}
}

func TestDefaultCaps(t *testing.T) {
	c := wanting(epoch)
	for i := range 6 {
		addrs := strings.ReplaceAll(many(100, 1), "198.51.100.", fmt.Sprintf("203.0.%d.", i))
		c.Observe(ans(0, addrs), epoch)
		if got, want := len(c.Live()[www]), min(64*(i+1), 256); got != want {
			t.Errorf("%d addresses after %d answers of 100, want %d", got, i+1, want)
		}
	}
	if c.cut != 6*36 || c.evicted != 128 {
		t.Errorf("%d cut, %d evicted", c.cut, c.evicted)
	}
}

func TestStatus(t *testing.T) {
	c := NewCache(Limits{})
	c.Want([]string{www, "api.exmaple.com"}, nil, epoch)
	c.Due(epoch)
	c.Observe(part(IPv4, time.Hour, "192.0.2.1"), at(time.Second))
	c.Failed(Failure{Name: www, Families: IPv6, Err: errors.New("no reply")}, at(time.Second))
	for range 2 {
		c.Failed(Failure{Name: "api.exmaple.com", Err: &LookupError{
			Name: "api.exmaple.com", Server: netip.MustParseAddrPort("192.0.2.53:53"), Result: NXDomain}}, at(2*time.Second))
	}
	want := []NameStatus{
		{Name: "api.exmaple.com", Failures: 2, Error: "api.exmaple.com does not exist (NXDOMAIN from 192.0.2.53)", Due: at(7 * time.Second)},
		{Name: www, Addrs: 1, Failures: 1, Error: "no reply", Answered: at(time.Second), Due: at(6 * time.Second)},
	}
	if diff := cmp.Diff(want, c.Status()); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	c.Observe(ans(0, "192.0.2.1"), at(3*time.Second))
	if got := c.Status()[1]; got.Error != "" || got.Failures != 0 {
		t.Errorf("status after an answer: %+v", got)
	}
}

func TestLiveListsNamesWithoutAddresses(t *testing.T) {
	c := wanting(epoch)
	if got := slices.Collect(maps.Keys(c.Live())); !slices.Equal(got, []string{www}) {
		t.Errorf("names %q", got)
	}
}
