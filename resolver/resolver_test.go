package resolver

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

func TestContainersOwnServersAreAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		own := []netip.Addr{netip.MustParseAddr("203.0.113.53")}
		r, err := New(Options{Files: Files{Root: t.TempDir()}, ContainerDNS: func() []netip.Addr {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(own)
		}})
		if err != nil {
			t.Fatal(err)
		}
		if got := join(r.Servers().Ask); got != "8.8.8.8:53 8.8.4.4:53 203.0.113.53:53" {
			t.Errorf("servers %s", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		kicks := 0
		time.AfterFunc(time.Second, func() { mu.Lock(); defer mu.Unlock(); own = nil })
		if err := r.Run(ctx, func() { kicks++ }); err != nil {
			t.Fatal(err)
		}
		if got := join(r.Servers().Ask); got != "8.8.8.8:53 8.8.4.4:53" || kicks != 1 {
			t.Errorf("servers %s, kicked %d", got, kicks)
		}
	})
}

func TestResolverOverLoopback(t *testing.T) {
	server := serve(t, func(w dns.ResponseWriter, q *dns.Msg) {
		if q.Question[0].Name == "nx.example.org." {
			write(w, rcode(q, dns.RcodeNameError))
			return
		}
		write(w, reply(t, q, "www.example.org. 60 IN CNAME c.example.org.", "c.example.org. 60 IN A 192.0.2.1", "c.example.org. 60 IN AAAA 2001:db8::1"))
	})
	r, err := New(Options{Files: Files{Root: t.TempDir()}, Extra: server.String(), Timeout: plenty})
	if err != nil {
		t.Fatal(err)
	}
	names, err := r.Resolve(t.Context(), []string{"nx.example.org", www, www})
	if len(names) != 1 || join(names[www]) != "192.0.2.1 2001:db8::1" {
		t.Errorf("resolved %v", names)
	}
	if le, ok := errors.AsType[*LookupError](err); !ok || le.Result != NXDomain || le.Name != "nx.example.org" {
		t.Errorf("Resolve: %v", err)
	}
	if len(r.Names()) != 0 {
		t.Error("Resolve wrote into the cache")
	}

	ctx, cancel := context.WithCancel(t.Context())
	r.Want(Wanted{Allow: []string{www}})
	if err := r.Run(ctx, cancel); err != nil { // the first kick ends it
		t.Errorf("Run: %v", err)
	}
	if got := join(r.Names()[www]); got != "192.0.2.1 2001:db8::1" {
		t.Errorf("live %q", got)
	}
	if c := r.Counters(); c.Queries[Answered] != 4 || c.Queries[NXDomain] != 2 || len(c.Queries) != int(results) {
		t.Errorf("counters %+v", c)
	}
}

func TestNewRefusesNegativeOptions(t *testing.T) {
	for _, o := range []Options{{Timeout: -1}, {Limits: Limits{AnswerAddrs: -1}}, {Limits: Limits{NameAddrs: -1}}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v accepted", o)
		}
	}
}

func TestLookupErrorTexts(t *testing.T) {
	server := netip.MustParseAddrPort("192.0.2.53:53")
	for want, e := range map[string]*LookupError{
		"www.example.org does not exist (NXDOMAIN from 192.0.2.53)":          {Result: NXDomain},
		"www.example.org has no addresses (NODATA from 192.0.2.53)":          {Result: NoData},
		"resolve www.example.org: SERVFAIL from 192.0.2.53":                  {Result: ServFail},
		"resolve www.example.org: REFUSED by 192.0.2.53":                     {Result: Refused},
		"resolve www.example.org: no reply from 192.0.2.53":                  {Result: Timeout},
		"resolve www.example.org: ask 192.0.2.53: reply to another question": {Result: Malformed, Err: errUnrelated},
	} {
		e.Name, e.Server = www, server
		if got := e.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := Result(200).String(); got != "unknown" {
		t.Error(got)
	}
}
