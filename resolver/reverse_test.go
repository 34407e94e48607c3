package resolver

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestNamesOfAddresses(t *testing.T) {
	r := quiet(t, Options{})
	r.Want(Wanted{Allow: []string{"a.example.org"}})
	names := func(addr string) string { return strings.Join(r.NamesOf(netip.MustParseAddr(addr)), " ") }
	r.Learn(replied(said("b.example.org", 0, "192.0.2.1 2001:db8::1")))
	r.Learn(replied(said("a.example.org", 0, "192.0.2.1 ::ffff:192.0.2.2 127.0.0.1")))
	r.Learn(replied(said("a.example.org", 0, "192.0.2.1")))
	r.Learn(ReadReply(message(t, "www.example.org. A", nil, chain()...)))
	r.Learn(Reply{})
	for addr, want := range map[string]string{
		"192.0.2.1":        "a.example.org b.example.org www.example.org", // allowed or not, and sorted
		"2001:db8::1":      "b.example.org",
		"::ffff:192.0.2.1": "a.example.org b.example.org www.example.org",
		"192.0.2.2":        "a.example.org www.example.org", // by what was asked for, not by what is on the way
		"127.0.0.1":        "a.example.org",
		"192.0.2.99":       "",
	} {
		if got := names(addr); got != want {
			t.Errorf("%s is %q, want %q", addr, got, want)
		}
	}
	r.Learn(replied(said("c.example.org", 0, "192.0.2.1")))
	if got := names("192.0.2.1"); got != "a.example.org c.example.org www.example.org" {
		t.Errorf("a fourth name: %q, want the latest three", got)
	}
	r.Learn(replied(said("a.example.org", 0, "192.0.2.1")))
	if got := r.CalledOf(netip.MustParseAddr("192.0.2.1")); !slices.Equal(got, []string{"a.example.org", "c.example.org", "www.example.org"}) {
		t.Errorf("the latest first: %v", got)
	}
	r.CalledOf(netip.MustParseAddr("192.0.2.1"))[0] = "changed by the caller"
	r.NamesOf(netip.MustParseAddr("192.0.2.1"))[0] = "changed by the caller"
	if got := names("192.0.2.1"); got != "a.example.org c.example.org www.example.org" {
		t.Errorf("then %q", got)
	}
}

func TestNamesAreRememberedForTheLatestAddresses(t *testing.T) {
	var v reverse
	if v.names(numbered(0)) != nil {
		t.Error("the zero value knows something")
	}
	for i := range 3 * maxReverse {
		v.put(numbered(i), "a.example.org")
		v.put(numbered(1_000_000), "hot.example.org")
		if len(v.young) > maxReverse || len(v.old) > maxReverse {
			t.Fatalf("%d and %d addresses", len(v.young), len(v.old))
		}
		if back := i - maxReverse + 2; back > 0 && v.names(numbered(back)) == nil {
			t.Fatalf("address %d is forgotten after %d", back, i)
		}
	}
	for addr := range v.old {
		if v.names(netip.AddrFrom16(addr.As16())) == nil {
			t.Fatalf("%s is not found as the mapped address", addr)
		}
	}
	if v.names(numbered(0)) != nil || !slices.Equal(v.names(numbered(1_000_000)), []string{"hot.example.org"}) {
		t.Errorf("the first is %v, the one named all the time %v", v.names(numbered(0)), v.names(numbered(1_000_000)))
	}
	v.put(numbered(1_000_000), "b.example.org")
	for i := range maxReverse { // into the old
		v.put(numbered(i), "a.example.org")
	}
	v.put(numbered(1_000_000), "c.example.org")
	if got := v.names(numbered(1_000_000)); !slices.Equal(got, []string{"hot.example.org", "b.example.org", "c.example.org"}) {
		t.Errorf("taken over from the old: %v", got)
	}
}

func TestOneReplyDoesNotFillTheMemoryOfNames(t *testing.T) {
	r := quiet(t, Options{})
	r.Learn(replied(said("a.example.org", 0, "192.0.2.1")))
	for range 10 {
		r.Learn(ReadReply(bulky(t, 0, 4000)))
	}
	if n := len(r.reverse.young); n != 65 {
		t.Errorf("%d addresses", n)
	}
}

func TestRefusalsAreCountedAllAndToldAFew(t *testing.T) {
	var f refusals
	told := 0
	for i := range 1000 {
		for range 2 {
			if f.note(fmt.Sprintf("n%d.example.org", i), reasonLoopback, epoch) {
				told++
			}
		}
	}
	if told != maxRefusals || f.count[reasonLoopback] != 2000 || len(f.lines) != maxRefusals {
		t.Errorf("%d told, %d counted, %d remembered", told, f.count[reasonLoopback], len(f.lines))
	}
	if f.note("a.example.org", reasonHost, at(time.Minute-1)) || !f.note("n0.example.org", reasonLoopback, at(time.Minute)) || f.note("n0.example.org", reasonLoopback, at(time.Minute)) || !f.note("n0.example.org", reasonHost, at(time.Minute)) {
		t.Error("want each name and reason told once a minute")
	}
	if f.count[reasonHost] != 2 || len(f.count) != 2 {
		t.Errorf("counted %v", f.count)
	}
}

func TestRefusalsAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		r := quiet(t, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		r.Want(Wanted{Allow: []string{www}, AllowBelow: []string{"example.net"}})
		for range 2 {
			r.Learn(replied(said(www, 0, "127.0.0.1")))
			r.Learn(replied(said("a.example.net", 0, "10.0.0.1")))
			r.Learn(replied(said("a.example.com", 0, "127.0.0.1")))
		}
		for _, want := range []string{"name=www.example.org addr=127.0.0.1 reason=loopback", "name=a.example.net addr=10.0.0.1 reason=private"} {
			if n := strings.Count(log.String(), want); n != 1 {
				t.Errorf("logged %d times: %s\n%s", n, want, &log)
			}
		}
		if n := strings.Count(log.String(), "\n"); n != 2 {
			t.Errorf("%d lines\n%s", n, &log)
		}
		time.Sleep(time.Minute)
		r.Learn(replied(said(www, 0, "127.0.0.1")))
		if n := strings.Count(log.String(), "\n"); n != 3 {
			t.Errorf("a minute later %d lines", n)
		}
	})
}
