package resolver

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

const www = "www.example.org"

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(d time.Duration) time.Time { return epoch.Add(d) }

// ans is an answer for www about both families: "192.0.2.1 2001:db8::1", all with one TTL.
func ans(ttl time.Duration, addrs string) Answer {
	a := Answer{Name: www}
	for _, s := range strings.Fields(addrs) {
		a.Addrs = append(a.Addrs, Record{Addr: netip.MustParseAddr(s), TTL: ttl})
	}
	return a
}

// part is an answer about one family.
func part(f Family, ttl time.Duration, addrs string) Answer {
	a := ans(ttl, addrs)
	a.Families = f
	return a
}

func lost(f Family) Failure { return Failure{Name: www, Families: f, Err: errors.New("no reply")} }

// show is the live addresses of www, once what has lapsed by now is gone.
func show(c *Cache, now time.Time) string {
	c.Expire(now, nil)
	var s []string
	for _, l := range c.Live()[www] {
		s = append(s, l.Addr.String())
	}
	return strings.Join(s, " ")
}

func wanting(now time.Time) *Cache {
	c := new(Cache)
	c.Want([]string{www}, nil, now)
	return c
}

func TestLifetime(t *testing.T) {
	type step struct {
		at      time.Duration
		answer  *Answer
		failure *Failure
		changed bool
		live    string // after the step
	}
	answer := func(a Answer) *Answer { return &a }
	failure := func(f Failure) *Failure { return &f }
	tests := map[string][]step{
		"a short TTL lives five minutes": {
			{at: 0, answer: answer(ans(time.Second, "192.0.2.1")), changed: true, live: "192.0.2.1"},
			{at: 10 * time.Second, answer: answer(ans(time.Second, "192.0.2.2")), changed: true, live: "192.0.2.1 192.0.2.2"},
			{at: 5*time.Minute - 1, live: "192.0.2.1 192.0.2.2"},
			{at: 5 * time.Minute, live: "192.0.2.2", changed: true},
		},
		"a huge TTL lives a day": {
			{at: 0, answer: answer(ans(1<<31*time.Second, "192.0.2.1")), changed: true, live: "192.0.2.1"},
			{at: time.Minute, answer: answer(ans(time.Minute, "192.0.2.2")), changed: true, live: "192.0.2.1 192.0.2.2"},
			{at: 2 * time.Minute, answer: answer(ans(48*time.Hour, "192.0.2.2")), live: "192.0.2.1 192.0.2.2"},
			{at: 24*time.Hour - 1, live: "192.0.2.1 192.0.2.2"},
			{at: 24 * time.Hour, live: "192.0.2.2", changed: true},
		},
		"a shorter TTL later does not shorten": {
			{at: 0, answer: answer(ans(time.Hour, "192.0.2.1")), changed: true, live: "192.0.2.1"},
			{at: time.Minute, answer: answer(ans(0, "192.0.2.1")), live: "192.0.2.1"},
			{at: 2 * time.Minute, answer: answer(ans(0, "192.0.2.2")), changed: true, live: "192.0.2.1 192.0.2.2"},
			{at: 3 * time.Minute, answer: answer(ans(2*time.Hour, "192.0.2.2")), live: "192.0.2.1 192.0.2.2"},
			{at: time.Hour - 1, live: "192.0.2.1 192.0.2.2"},
			{at: time.Hour, live: "192.0.2.2", changed: true},
		},
		"expired and missing from a newer answer goes, current stays until asked again": {
			{at: 0, answer: answer(ans(0, "192.0.2.1")), changed: true, live: "192.0.2.1"},
			{at: 8 * time.Hour, live: "192.0.2.1"}, // the machine slept
			{at: 8*time.Hour + 1, answer: answer(ans(0, "192.0.2.2")), changed: true, live: "192.0.2.2"},
		},
		"four failures keep an expired address, the fifth does not": {
			{at: 0, answer: answer(ans(0, "192.0.2.1 2001:db8::1")), changed: true, live: "192.0.2.1 2001:db8::1"},
			{at: 6 * time.Minute, failure: failure(lost(both)), live: "192.0.2.1 2001:db8::1"},
			{at: 7 * time.Minute, failure: failure(lost(both)), live: "192.0.2.1 2001:db8::1"},
			{at: 8 * time.Minute, failure: failure(lost(both)), live: "192.0.2.1 2001:db8::1"},
			{at: 9 * time.Minute, failure: failure(lost(both)), live: "192.0.2.1 2001:db8::1"},
			{at: 10 * time.Minute, failure: failure(lost(both)), changed: true},
		},
		"five failures do not take an address before its time": {
			{at: 0, answer: answer(ans(10*time.Minute, "192.0.2.1")), changed: true, live: "192.0.2.1"},
			{at: 1, failure: failure(lost(0)), live: "192.0.2.1"},
			{at: 2, failure: failure(lost(0)), live: "192.0.2.1"},
			{at: 3, failure: failure(lost(0)), live: "192.0.2.1"},
			{at: 4, failure: failure(lost(0)), live: "192.0.2.1"},
			{at: 5, failure: failure(lost(0)), live: "192.0.2.1"},
			{at: 10*time.Minute - 1, live: "192.0.2.1"},
			{at: 10 * time.Minute, changed: true},
		},
		"failures must be consecutive": {
			{at: 0, answer: answer(ans(0, "192.0.2.1")), changed: true, live: "192.0.2.1"},
			{at: 1, failure: failure(lost(both)), live: "192.0.2.1"},
			{at: 2, failure: failure(lost(both)), live: "192.0.2.1"},
			{at: 3, answer: answer(ans(0, "192.0.2.1")), live: "192.0.2.1"},
			{at: 4, failure: failure(lost(both)), live: "192.0.2.1"},
			{at: 5, failure: failure(lost(both)), live: "192.0.2.1"},
			{at: time.Hour, failure: failure(lost(both)), live: "192.0.2.1"},
		},
		"one family's answers do not let the failing other's addresses go": {
			{at: 0, answer: answer(ans(0, "192.0.2.1 2001:db8::1")), changed: true, live: "192.0.2.1 2001:db8::1"},
			{at: 10 * time.Minute, answer: answer(part(IPv4, 0, "192.0.2.1")), live: "192.0.2.1 2001:db8::1"},
			{at: 10 * time.Minute, failure: failure(lost(IPv6)), live: "192.0.2.1 2001:db8::1"},
			{at: 20 * time.Minute, answer: answer(ans(0, "192.0.2.1")), live: "192.0.2.1", changed: true},
		},
		"a mapped address is the IPv4 address": {
			{at: 0, answer: answer(part(IPv4, 0, "::ffff:192.0.2.1 192.0.2.1")), changed: true, live: "192.0.2.1"},
		},
		"a family not spoken of is not taken": {
			{at: 0, answer: answer(part(IPv4, 0, "192.0.2.1 2001:db8::1")), changed: true, live: "192.0.2.1"},
		},
		"another name's answer changes nothing": {
			{at: 0, answer: &Answer{Name: "other.example.org", Addrs: ans(0, "192.0.2.1").Addrs}},
		},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			c := wanting(epoch)
			for i, s := range steps {
				var changed bool
				switch {
				case s.answer != nil:
					changed = c.Observe(*s.answer, at(s.at))
					changed = c.Expire(at(s.at), nil) || changed
				case s.failure != nil:
					changed = c.Failed(*s.failure, at(s.at))
					changed = c.Expire(at(s.at), nil) || changed
				default:
					changed = c.Expire(at(s.at), nil)
				}
				if got := show(c, at(s.at)); got != s.live || changed != s.changed {
					t.Fatalf("step %d: live %q, changed %t; want %q, %t", i, got, changed, s.live, s.changed)
				}
			}
		})
	}
}

func TestAskAgain(t *testing.T) {
	tests := map[string]struct {
		do     func(c *Cache)
		jitter float64
		want   time.Duration
	}{
		"half the TTL":                      {do: func(c *Cache) { c.Observe(ans(2*time.Minute, "192.0.2.1"), epoch) }, want: time.Minute},
		"not sooner than 30 seconds":        {do: func(c *Cache) { c.Observe(ans(0, "192.0.2.1"), epoch) }, want: 30 * time.Second},
		"not later than 15 minutes":         {do: func(c *Cache) { c.Observe(ans(24*time.Hour, "192.0.2.1"), epoch) }, want: 15 * time.Minute},
		"jitter takes up to a tenth":        {do: func(c *Cache) { c.Observe(ans(2*time.Minute, "192.0.2.1"), epoch) }, jitter: 0.5, want: 57 * time.Second},
		"the first failure waits 5 seconds": {do: func(c *Cache) { c.Failed(lost(both), epoch) }, want: 5 * time.Second},
		"the third waits 20":                {do: func(c *Cache) { fail(c, 3) }, want: 20 * time.Second},
		"the hundredth waits 5 minutes":     {do: func(c *Cache) { fail(c, 100) }, want: 5 * time.Minute},
		"a partial failure is retried soon": {do: func(c *Cache) {
			c.Observe(part(IPv4, time.Hour, "192.0.2.1"), epoch)
			c.Failed(lost(IPv6), epoch)
		}, want: 5 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := NewCache(Limits{Jitter: func() float64 { return tt.jitter }})
			c.Want([]string{www}, nil, epoch)
			c.Due(epoch)
			tt.do(c)
			if got := c.Next().Sub(epoch); got != tt.want {
				t.Errorf("asked again after %v, want %v", got, tt.want)
			}
			if early := c.Due(at(tt.want - 1)); early != nil {
				t.Errorf("due too early: %q", early)
			}
			if due := c.Due(at(tt.want)); !slices.Equal(due, []string{www}) {
				t.Errorf("due %q", due)
			}
		})
	}
}

// fail asks n times at epoch, each in vain.
func fail(c *Cache, n int) {
	for range n {
		c.Refresh(epoch)
		c.Due(epoch)
		c.Failed(lost(both), epoch)
	}
}

func TestPassingAnswerDoesNotDelayAsking(t *testing.T) {
	c := wanting(epoch)
	c.Due(epoch)
	c.Observe(ans(2*time.Minute, "192.0.2.1"), epoch)
	c.Observe(part(IPv4, time.Hour, "192.0.2.1"), at(time.Second))
	if got := c.Next(); got != at(time.Minute) {
		t.Errorf("asked again at %v", got)
	}
}

func TestWant(t *testing.T) {
	c := wanting(epoch)
	if got := c.Due(epoch); !slices.Equal(got, []string{www}) {
		t.Fatalf("due %q", got)
	}
	if got := c.Due(at(time.Hour)); got != nil {
		t.Errorf("handed out twice: %q", got)
	}
	if got := c.Next(); !got.IsZero() {
		t.Errorf("Next is %v while everything is being asked", got)
	}
	c.Observe(ans(0, "192.0.2.1"), epoch)
	c.Want([]string{"b.example.org", www, "a.example.org", "a.example.org"}, nil, at(time.Second))
	if got := c.Due(at(time.Second)); !slices.Equal(got, []string{"a.example.org", "b.example.org"}) {
		t.Errorf("new names due: %q", got)
	}
	if got := show(c, at(time.Second)); got != "192.0.2.1" {
		t.Errorf("a name that stays wanted lost its addresses: %q", got)
	}
	c.Want(nil, nil, at(2*time.Second))
	if c.Observe(ans(0, "192.0.2.1"), at(3*time.Second)) || len(c.Live()) != 0 || !c.Next().IsZero() {
		t.Error("a name no longer wanted lives on")
	}
}

func TestZeroCache(t *testing.T) {
	var c Cache
	if c.Due(epoch) != nil || !c.Next().IsZero() || c.Expire(epoch, nil) || len(c.Live()) != 0 || len(c.Status()) != 0 ||
		c.Observe(ans(0, "192.0.2.1"), epoch) || c.Failed(lost(0), epoch) {
		t.Error("the zero cache knows something")
	}
}

func TestNextIsTheNextExpiry(t *testing.T) {
	c := wanting(epoch)
	c.Due(epoch)
	c.Observe(ans(0, "192.0.2.1"), epoch)
	c.Observe(ans(time.Hour, "192.0.2.2"), at(time.Second))
	c.Due(at(20 * time.Minute)) // handed out: only expiries count
	if got := c.Next(); got != at(5*time.Minute) {
		t.Errorf("next at %v", got)
	}
	if got := c.Live()[www]; !slices.Equal(got, []Lease{
		{Addr: netip.MustParseAddr("192.0.2.1"), Expires: at(5 * time.Minute)},
		{Addr: netip.MustParseAddr("192.0.2.2"), Expires: at(time.Hour + time.Second)},
	}) {
		t.Errorf("leases %v", got)
	}
}

func TestAddressesFromBeforeTheStartAreKept(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	old, fresh := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	c := NewCache(Limits{})
	c.Want([]string{"www.example.org"}, nil, now)
	c.Keep("www.example.org", []netip.Addr{old}, now)
	c.Keep("other.example.org", []netip.Addr{old}, now)
	if due := c.Due(now); !slices.Equal(due, []string{"www.example.org"}) {
		t.Errorf("due %v: a kept name is asked at once", due)
	}
	live := func() (addrs []netip.Addr) {
		for _, l := range c.Live()["www.example.org"] {
			addrs = append(addrs, l.Addr)
		}
		return addrs
	}
	if got := live(); !slices.Equal(got, []netip.Addr{old}) {
		t.Errorf("kept %v", got)
	}
	c.Observe(Answer{Name: "www.example.org", Addrs: []Record{{Addr: fresh, TTL: time.Hour}}}, now)
	c.Keep("www.example.org", []netip.Addr{netip.MustParseAddr("192.0.2.3")}, now)
	if got := live(); !slices.Equal(got, []netip.Addr{old, fresh}) {
		t.Errorf("after an answer %v: the old address lives out its time, nothing is kept after an answer", got)
	}
	later := now.Add(minLife + time.Second)
	c.Expire(later, nil)
	if got := live(); !slices.Equal(got, []netip.Addr{fresh}) {
		t.Errorf("later %v", got)
	}
}
