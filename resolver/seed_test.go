package resolver

import (
	"net/netip"
	"testing"
	"time"
)

// denying beneath wildcards, nothing allowed.
func denyingBeneath(deny ...string) *below {
	b := newBelow(Limits{})
	b.want(nil, deny, new(Cache))
	return b
}

// denies is what a denied wildcard denies; "?" when that is not known.
func (b *below) denies(parent string) string {
	switch d := b.deny[parent]; {
	case d == nil:
		return "not denied"
	case d.stage.over:
		return "?"
	default:
		return spellNamed(d.named())
	}
}

func TestADeniedWildcardRemembersAll(t *testing.T) {
	many := Answer{Name: "a.example.org", Families: IPv4}
	for i := range 4000 {
		many.Addrs = append(many.Addrs, Record{numbered(4000 - i), 0})
	}
	b := denyingBeneath("example.org", "org")
	if got := b.denies("example.org"); got != "" {
		t.Errorf("nothing heard yet: %s", got)
	}
	found := b.tell(epoch, many)
	if len(found) != 2 || len(found[0].Addrs) != 4000 || !found[0].Deny || found[0].Below != "example.org" || found[1].Below != "org" {
		t.Errorf("found %d of 4000 addresses", len(found[0].Addrs))
	}
	b.tell(at(1), said("b.example.org", 0, "127.0.0.1 10.0.0.1 fe80::1 192.0.2.1"), said("example.org", 0, "192.0.2.2"), said("badexample.org", 0, "192.0.2.3"))
	b.tell(at(2), part(IPv4, 0, "2001:db8::1 ::ffff:192.0.2.4"))
	b.expire(at(1000*time.Hour), nil)
	if got := len(b.deny["example.org"].named()); got != 4000+4+2 {
		t.Errorf("*.example.org denies %d addresses", got)
	}
	if got := len(b.deny["org"].named()); got != 4000+4+2+2 {
		t.Errorf("*.org denies %d addresses", got)
	}
	if first := b.deny["org"].named()[0]; first != (Named{netip.MustParseAddr("10.0.0.1"), "b.example.org"}) {
		t.Errorf("the first is %v", first)
	}
	if len(b.names) != 0 {
		t.Errorf("%d names are learned that nobody allows", len(b.names))
	}
	checkBelow(t, b)
}

func TestADeniedWildcardOfTooManyIsNotKnown(t *testing.T) {
	b := denyingBeneath("example.org", "example.net")
	for i := range maxDeniedBelow / 4096 {
		a := Answer{Name: "a.example.org"}
		for j := range 4096 {
			a.Addrs = append(a.Addrs, Record{numbered(i*4096 + j), 0})
		}
		b.tell(epoch, a)
	}
	if got := len(b.deny["example.org"].named()); got != maxDeniedBelow || b.over != 0 {
		t.Fatalf("%d addresses, %d over", got, b.over)
	}
	found := b.tell(epoch, said("b.example.org", 0, "192.0.2.1"))
	if got := b.denies("example.org"); got != "?" || b.over != 1 || spellFound(found) != "deny *.example.org b.example.org: 192.0.2.1" {
		t.Errorf("one too many: %s, %d over, found %s", got, b.over, spellFound(found))
	}
	if b.observe(said("c.example.org", 0, "192.0.2.2"), epoch); b.denies("example.org") != "?" || b.over != 1 {
		t.Errorf("later %s, %d over", b.denies("example.org"), b.over)
	}
	if got := len(b.deny["example.org"].named()); got != maxDeniedBelow {
		t.Errorf("of too many %d are denied still", got)
	}
	if got := b.denies("example.net"); got != "" {
		t.Errorf("another wildcard denies %s", got)
	}
	b.want(nil, []string{"example.org", "example.net"}, new(Cache))
	if got := b.denies("example.org"); got != "?" {
		t.Errorf("wanted again, still: %s", got)
	}
	checkBelow(t, b)
}

func TestWhatTheDaemonHearsOfDeniedNamesIsTold(t *testing.T) {
	b := denyingBeneath("example.org")
	if !b.observe(said("a.example.org", 0, "10.0.0.1"), epoch) || b.observe(said("a.example.org", 0, "10.0.0.1"), epoch) || b.observe(said("example.org", 0, "10.0.0.2"), epoch) {
		t.Error("want an address that is new to the denial told, once")
	}
	if got := b.denies("example.org"); got != "10.0.0.1=a.example.org" {
		t.Errorf("denies %s", got)
	}
}

func TestADenialBeginsWithWhatIsKnown(t *testing.T) {
	exact := new(Cache)
	exact.Want([]string{"x.example.org", "example.org", www}, []string{www}, epoch)
	exact.Observe(said("x.example.org", 0, "192.0.2.1"), epoch)
	exact.Observe(said("example.org", 0, "192.0.2.2"), epoch)
	exact.Observe(said(www, 0, "192.0.2.3"), epoch)
	exact.Observe(said(www, 0, "192.0.2.4"), at(time.Hour))
	exact.Expire(at(time.Hour), nil) // the denial has both
	b := newBelow(Limits{})
	b.want([]string{"example.org", "net"}, []string{"b.example.org"}, exact)
	b.tell(epoch, said("a.example.org", 0, "192.0.2.5"), said("a.net", 0, "192.0.2.6"), said("badexample.org", 0, "192.0.2.7"))
	b.tell(epoch, said("a.b.example.org", 0, "10.0.0.1"))
	b.want([]string{"net"}, []string{"example.org"}, exact) // those that knew some of it go at once
	if got, want := b.denies("example.org"), "10.0.0.1=a.b.example.org 192.0.2.1=x.example.org 192.0.2.3=www.example.org 192.0.2.4=www.example.org 192.0.2.5=a.example.org"; got != want {
		t.Errorf("denies %s\nwant   %s", got, want)
	}
	if got := b.denies("b.example.org"); got != "not denied" {
		t.Errorf("*.b.example.org: %s", got)
	}
	b.want(nil, []string{"b.example.org"}, new(Cache))
	if got := b.denies("b.example.org"); got != "10.0.0.1=a.b.example.org" {
		t.Errorf("of what a wider denial knows *.b.example.org denies %s", got)
	}
	checkBelow(t, b)
}

// A name that is denied in full must not be reachable by an address it was learned with beneath a wildcard.
func TestADenialInFullBeginsWithWhatWildcardsKnow(t *testing.T) {
	for name, first := range map[string]Wanted{
		"of an allowed wildcard": {AllowBelow: []string{"example.org"}},
		"of a denied wildcard":   {DenyBelow: []string{"example.org"}},
		"of both":                {AllowBelow: []string{"example.org"}, DenyBelow: []string{"example.org"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := quiet(t, Options{})
			r.Want(first)
			r.Learn(replied(said(www, time.Hour, "192.0.2.1")))
			r.Learn(replied(said("a.example.org", time.Hour, "192.0.2.2")))
			r.Want(Wanted{Allow: []string{"a.example.org"}, Deny: []string{www}}) // the wildcard goes at once
			if got := denied(r.cache); got != "?" {
				t.Errorf("known before anybody was asked: %s", got)
			}
			r.Learn(replied(said(www, time.Hour, "192.0.2.3")))
			if got := denied(r.cache); got != "192.0.2.1 192.0.2.3" {
				t.Errorf("denied %s", got)
			}
			r.Want(Wanted{AllowBelow: []string{"example.org"}, Deny: []string{www}})
			if got := denied(r.cache); got != "192.0.2.1 192.0.2.3" {
				t.Errorf("wanted still, denied %s", got)
			}
		})
	}
}
