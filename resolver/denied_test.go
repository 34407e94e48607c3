package resolver

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// denied is what a denied www means: "?" when that is not known.
func denied(c *Cache) string {
	addrs, ok := c.Denied()[www]
	switch {
	case !ok:
		return "not denied"
	case addrs == nil, c.denied[www].stage.over:
		return "?"
	}
	return join(addrs)
}

func denying(allow ...string) *Cache {
	c := new(Cache)
	c.Want(allow, []string{www}, epoch)
	return c
}

// rotating are n different addresses in answers of 100.
func rotating(n int) []Answer {
	var out []Answer
	for i := range n {
		if i%100 == 0 {
			out = append(out, part(both, 0, ""))
		}
		a := &out[len(out)-1]
		a.Addrs = append(a.Addrs, Record{Addr: netip.AddrFrom4([4]byte{203, byte(i >> 16), byte(i >> 8), byte(i)})})
	}
	return out
}

func TestADeniedNameIsKnownOnceBothFamiliesAre(t *testing.T) {
	nothing := func(f Family) Failure {
		return Failure{Name: www, Families: both, Empty: f, Err: fmt.Errorf("NXDOMAIN")}
	}
	for name, test := range map[string]struct {
		do   func(c *Cache)
		want string
	}{
		"nothing was asked":                     {func(*Cache) {}, "?"},
		"asking fails":                          {func(c *Cache) { c.Failed(lost(0), epoch) }, "?"},
		"asking fails for ever":                 {func(c *Cache) { fail(c, 100) }, "?"},
		"there is no such name":                 {func(c *Cache) { c.Failed(nothing(both), epoch) }, ""},
		"there is no IPv6, and no word of IPv4": {func(c *Cache) { c.Failed(nothing(IPv6), epoch) }, "?"},
		"one family is empty, then the other":   {func(c *Cache) { c.Failed(nothing(IPv6), epoch); c.Failed(nothing(IPv4), epoch) }, ""},
		"addresses":                             {func(c *Cache) { c.Observe(ans(0, "2001:db8::1 ::ffff:192.0.2.1 192.0.2.1"), epoch) }, "192.0.2.1 2001:db8::1"},
		"one family's addresses":                {func(c *Cache) { c.Observe(part(IPv4, 0, "192.0.2.1"), epoch) }, "?"},
		"one family after the other": {func(c *Cache) {
			c.Observe(part(IPv4, 0, "192.0.2.1"), epoch)
			c.Observe(part(IPv6, 0, "2001:db8::1"), epoch)
		}, "192.0.2.1 2001:db8::1"},
		"one family's addresses, the other is empty": {func(c *Cache) { c.Observe(part(both, 0, "192.0.2.1"), epoch) }, "192.0.2.1"},
		"failures after an answer take nothing":      {func(c *Cache) { c.Observe(ans(0, "192.0.2.1"), epoch); fail(c, 10); c.Expire(at(time.Hour), nil) }, "192.0.2.1"},
		"NXDOMAIN after an answer takes nothing":     {func(c *Cache) { c.Observe(ans(0, "192.0.2.1"), epoch); c.Failed(nothing(both), epoch) }, "192.0.2.1"},
		"addresses from before the start":            {func(c *Cache) { c.Keep(www, list("192.0.2.1 192.0.2.2"), epoch) }, "192.0.2.1 192.0.2.2"},
		"another name's answer":                      {func(c *Cache) { c.Observe(Answer{Name: "x.example.org"}, epoch) }, "?"},
		"no longer denied":                           {func(c *Cache) { c.Observe(ans(0, "192.0.2.1"), epoch); c.Want([]string{www}, nil, epoch) }, "not denied"},
		"denied again, and not answered since": {func(c *Cache) {
			c.Observe(ans(0, "192.0.2.1"), epoch)
			c.Want(nil, nil, epoch)
			c.Want(nil, []string{www}, epoch)
		}, "?"},
		"denied still": {func(c *Cache) {
			c.Observe(ans(0, "192.0.2.1"), epoch)
			c.Want([]string{www}, []string{www, www}, epoch)
		}, "192.0.2.1"},
	} {
		t.Run(name, func(t *testing.T) {
			c := denying()
			test.do(c)
			if got := denied(c); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func list(text string) []netip.Addr {
	var out []netip.Addr
	for _, r := range ans(0, text).Addrs {
		out = append(out, r.Addr)
	}
	return out
}

func TestNeitherTimeNorCapsTakeADeniedAddress(t *testing.T) {
	c := denying(www)
	for i, a := range rotating(10_000) {
		now := at(time.Duration(i) * time.Hour)
		c.Observe(a, now)
		c.Expire(now, nil)
	}
	now := at(1000 * time.Hour)
	c.Expire(now, nil)
	got := c.Denied()[www]
	if len(got) != 10_000 || !slices.IsSortedFunc(got, netip.Addr.Compare) {
		t.Errorf("%d denied addresses", len(got))
	}
	if live := len(c.Live()[www]); live != 64 {
		t.Errorf("%d live addresses: the allow goes by its own lifetimes and caps", live)
	}
}

func TestANameWithTooManyAddressesIsNotKnown(t *testing.T) {
	c := denying()
	changed := false
	for _, a := range rotating(maxDenied) {
		changed = c.Observe(a, epoch)
	}
	if got := len(c.Denied()[www]); got != maxDenied || !changed {
		t.Errorf("%d denied addresses, changed %t", got, changed)
	}
	c.Observe(rotating(maxDenied)[0], epoch)
	if got := len(c.Denied()[www]); got != maxDenied {
		t.Errorf("%d denied addresses after one came again", got)
	}
	more := rotating(maxDenied + 1)
	if !c.Observe(more[len(more)-1], epoch) || denied(c) != "?" {
		t.Errorf("%s after one too many", denied(c))
	}
	c.Observe(ans(0, "203.0.0.1"), epoch)
	if denied(c) != "?" {
		t.Error("what was too much is forgotten")
	}
}

func TestADenialOfAnAllowedNameBeginsWithItsAddressesAndAsks(t *testing.T) {
	c := wanting(epoch)
	c.Due(epoch)
	c.Observe(ans(time.Hour, "192.0.2.1"), epoch)
	c.Want([]string{www}, []string{www}, at(time.Second))
	if due := c.Due(at(time.Second)); !slices.Equal(due, []string{www}) || denied(c) != "?" {
		t.Errorf("due %q, known: %s", due, denied(c))
	}
	c.Observe(ans(time.Hour, "192.0.2.2"), at(time.Second))
	if got := denied(c); got != "192.0.2.1 192.0.2.2" {
		t.Errorf("denied %q", got)
	}
}

func TestWhatChangesDenialsIsTold(t *testing.T) {
	c := denying()
	empty := Failure{Name: www, Empty: both, Err: fmt.Errorf("NXDOMAIN")}
	if c.Failed(lost(0), epoch) || !c.Failed(empty, epoch) || c.Failed(empty, epoch) {
		t.Error("want the first word that there are no addresses told, and no other failure")
	}
	c.Observe(ans(0, many(64, 1)), epoch)
	if !c.Observe(ans(0, many(65, 1)), epoch) || c.Observe(ans(0, many(65, 1)), epoch) {
		t.Error("want an address beyond the cap of live ones told, once")
	}
}

func TestAddressesFromBeforeTheStartOpenNothingOfAnOnlyDeniedName(t *testing.T) {
	for name, test := range map[string]struct {
		allow []string
		live  string
	}{"denied": {nil, ""}, "denied and allowed": {[]string{www}, "192.0.2.1"}} {
		t.Run(name, func(t *testing.T) {
			c := denying(test.allow...)
			c.Keep(www, list("192.0.2.1"), epoch)
			if got := show(c, epoch); got != test.live || denied(c) != "192.0.2.1" {
				t.Errorf("live %q, denied %q", got, denied(c))
			}
		})
	}
}

func TestResolverRemembersWhatIsDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t)
		show := func() string {
			if addrs := b.Denied()[www]; addrs != nil {
				return "[" + join(addrs) + "]"
			}
			return "?"
		}
		b.known = map[string][]netip.Addr{"old.example.org": list("192.0.2.9")}
		b.net.slow(time.Second)
		b.Want(Wanted{Deny: []string{www, "old.example.org"}})
		if got := join(b.Denied()["old.example.org"]); got != "192.0.2.9" || show() != "?" {
			t.Errorf("before any answer: %s known by the table, www %s", got, show())
		}
		if _, kicks := b.after(2 * time.Second); show() != "[]" || kicks != 1 {
			t.Errorf("NXDOMAIN: %s, kicked %d", show(), kicks)
		}
		var want []string
		for i := range 5 {
			addr := fmt.Sprintf("192.0.2.%d", i+1)
			want = append(want, addr)
			b.net.set(www, 0, addr)
			b.after(time.Hour)
		}
		if got := show(); got != "["+strings.Join(want, " ")+"]" {
			t.Errorf("denied %s", got)
		}
		if got := b.show(); got != "192.0.2.5" {
			t.Errorf("live %s", got)
		}
	})
}
