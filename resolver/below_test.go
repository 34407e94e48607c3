package resolver

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// beneath is a below that wants wildcards allowed.
func beneath(allow ...string) *below {
	b := newBelow(Limits{})
	b.want(allow, nil, new(Cache))
	return b
}

// said is an answer about name: "192.0.2.1 2001:db8::1", all with one TTL.
func said(name string, ttl time.Duration, addrs string) Answer {
	a := ans(ttl, addrs)
	a.Name = name
	return a
}

// tell has b hear answers.
func (b *below) tell(now time.Time, answers ...Answer) (found []Found) {
	for _, a := range answers {
		found = append(found, b.hear(a, now)...)
	}
	b.fit(answers...)
	return found
}

// spellNamed is addresses with their names: "192.0.2.1=a.example.org".
func spellNamed(list []Named) string {
	var s []string
	for _, n := range list {
		s = append(s, n.Addr.String()+"="+n.Name)
	}
	return strings.Join(s, " ")
}

// spellFound is what was found, a line each: "deny *.example.org a.example.org: 192.0.2.1".
func spellFound(found []Found) string {
	var lines []string
	for _, f := range found {
		line := "allow "
		if f.Deny {
			line = "deny "
		}
		if f.Below != "" {
			line += "*." + f.Below + " "
		}
		lines = append(lines, line+f.Name+": "+join(f.Addrs))
	}
	return strings.Join(lines, "\n")
}

// has is what a wildcard has, once what has lapsed by now is gone.
func (b *below) has(parent string, now time.Time) string {
	b.expire(now, nil)
	if b.allow[parent] == nil {
		return "not wanted"
	}
	return spellNamed(b.allow[parent].addrs())
}

func TestNamesAreLearnedBeneathTheirWildcards(t *testing.T) {
	for name, tt := range map[string]struct{ name, org, example, shop string }{
		"one label below":              {name: "a.example.org", org: "192.0.2.1=a.example.org", example: "192.0.2.1=a.example.org"},
		"more labels below":            {name: "a.b.c.example.org", org: "192.0.2.1=a.b.c.example.org", example: "192.0.2.1=a.b.c.example.org"},
		"beneath three wildcards":      {name: "a.shop.example.org", org: "192.0.2.1=a.shop.example.org", example: "192.0.2.1=a.shop.example.org", shop: "192.0.2.1=a.shop.example.org"},
		"the apex is not beneath":      {name: "example.org", org: "192.0.2.1=example.org"},
		"a longer label is not either": {name: "badexample.org", org: "192.0.2.1=badexample.org"},
		"nor a top-level domain":       {name: "org"},
		"nor another end":              {name: "a.example.org.evil.example"},
		"nor a name in front":          {name: "example.org.example"},
	} {
		t.Run(name, func(t *testing.T) {
			b := beneath("org", "example.org", "shop.example.org")
			found := b.tell(epoch, said(tt.name, 0, "192.0.2.1"))
			if org, example, shop := b.has("org", epoch), b.has("example.org", epoch), b.has("shop.example.org", epoch); org != tt.org || example != tt.example || shop != tt.shop {
				t.Errorf("*.org %q, *.example.org %q, *.shop.example.org %q", org, example, shop)
			}
			var want []string
			for _, parent := range []string{"shop.example.org", "example.org", "org"} {
				if strings.HasSuffix(tt.name, "."+parent) {
					want = append(want, "allow *."+parent+" "+tt.name+": 192.0.2.1")
				}
			}
			if got := spellFound(found); got != strings.Join(want, "\n") {
				t.Errorf("found %q, want %q", got, want)
			}
			checkBelow(t, b)
		})
	}
}

func TestALaterWildcardHasWhatIsHeardFromThenOn(t *testing.T) {
	b := beneath("example.org")
	b.tell(epoch, said("a.example.org", time.Hour, "192.0.2.1"), said("b.example.org", time.Hour, "192.0.2.2"))
	b.want([]string{"org", "example.org"}, nil, new(Cache))
	if got := b.has("org", at(1)); got != "" {
		t.Errorf("*.org begins with %q", got)
	}
	b.observe(said("a.example.org", time.Hour, "192.0.2.1"), at(2))
	if got := b.has("org", at(2)); got != "" {
		t.Errorf("*.org has %q of an answer to the daemon", got)
	}
	if got := spellFound(b.tell(at(3), said("a.example.org", time.Hour, "192.0.2.1"))); got != "allow *.example.org a.example.org: 192.0.2.1\nallow *.org a.example.org: 192.0.2.1" {
		t.Errorf("found %s", got)
	}
	if got := b.has("org", at(3)); got != "192.0.2.1=a.example.org" {
		t.Errorf("*.org has %q", got)
	}
	b.want([]string{"org"}, nil, new(Cache))
	if got := b.has("org", at(3)); got != "192.0.2.1=a.example.org" || len(b.names) != 1 || b.has("example.org", at(3)) != "not wanted" {
		t.Errorf("*.org has %q of %d names, when *.example.org is gone", got, len(b.names))
	}
	b.want(nil, nil, new(Cache))
	if len(b.names)+len(b.warm) != 0 {
		t.Errorf("%d names are left", len(b.names))
	}
}

func TestLifetimeBeneathWildcards(t *testing.T) {
	type step struct {
		at     time.Duration
		answer string // of a container's question
		ttl    time.Duration
		want   string
	}
	for name, steps := range map[string][]step{
		"a short TTL lives five minutes": {{answer: "192.0.2.1", want: "192.0.2.1"}, {at: 5*time.Minute - 1, want: "192.0.2.1"}, {at: 5 * time.Minute}},
		"a huge TTL lives a day": {{answer: "192.0.2.1", ttl: 1 << 31 * time.Second, want: "192.0.2.1"},
			{at: 24*time.Hour - 1, want: "192.0.2.1"}, {at: 24 * time.Hour}},
		"a shorter TTL does not shorten": {{answer: "192.0.2.1", ttl: time.Hour, want: "192.0.2.1"}, {at: time.Minute, answer: "192.0.2.1", want: "192.0.2.1"},
			{at: time.Hour - 1, want: "192.0.2.1"}, {at: time.Hour}},
		"an answer extends": {{answer: "192.0.2.1", want: "192.0.2.1"}, {at: 4 * time.Minute, answer: "192.0.2.1", want: "192.0.2.1"},
			{at: 9*time.Minute - 1, want: "192.0.2.1"}, {at: 9 * time.Minute}},
		"rotation keeps old addresses until their time": {{answer: "192.0.2.1", want: "192.0.2.1"}, {at: time.Minute, answer: "192.0.2.2", want: "192.0.2.1 192.0.2.2"},
			{at: 5 * time.Minute, want: "192.0.2.2"}, {at: 6 * time.Minute}},
	} {
		t.Run(name, func(t *testing.T) {
			b := beneath("example.org")
			for i, s := range steps {
				if s.answer != "" {
					b.tell(at(s.at), said("a.example.org", s.ttl, s.answer))
				}
				if e := b.warm["a.example.org"]; e != nil {
					b.cool(e) // lifetimes alone
				}
				if got := strings.ReplaceAll(b.has("example.org", at(s.at)), "=a.example.org", ""); got != s.want {
					t.Errorf("step %d: %q, want %q", i, got, s.want)
				}
				checkBelow(t, b)
			}
		})
	}
}

func TestHintsTakeNothing(t *testing.T) {
	b := beneath("example.org")
	b.tell(epoch, said("a.example.org", 0, "192.0.2.1"))
	hint := said("a.example.org", 0, "192.0.2.2")
	hint.Hint = true
	b.tell(at(time.Minute), hint)
	if got := b.has("example.org", at(time.Hour)); got != "192.0.2.1=a.example.org 192.0.2.2=a.example.org" {
		t.Errorf("has %q", got)
	}
}

func TestCapsOfANameBeneathAWildcard(t *testing.T) {
	b := beneath("example.org")
	spread := func(from, n int, ttl time.Duration) (a Answer) {
		a = Answer{Name: "a.example.org", Hint: true}
		for i := range n {
			a.Addrs = append(a.Addrs, Record{numbered(from + i), ttl})
		}
		return a
	}
	twice := spread(0, 40, 0)
	twice.Addrs = append(twice.Addrs, spread(0, 40, 0).Addrs...)
	if taken, cut := twice.capped(Limits{}); len(taken) != 40 || cut != 0 {
		t.Errorf("of 40 addresses, each twice: %d taken, %d cut", len(taken), cut)
	}
	mixed := spread(0, 100, 0)
	for i := range 100 {
		mixed.Addrs = append(mixed.Addrs, Record{netip.AddrFrom16([16]byte{0x20, 1, 15: byte(i)}), 0})
	}
	if found := b.tell(epoch, mixed); len(found) != 1 || len(found[0].Addrs) != 128 || b.allow["example.org"].size != 128 || b.cut != 72 {
		t.Errorf("of 100 of each family: %d found, %d learned, %d cut", len(found[0].Addrs), b.allow["example.org"].size, b.cut)
	}
	for i := range 4 {
		b.tell(at(time.Second), spread(1000*(i+1), 64, 24*time.Hour))
	}
	last := b.tell(at(2*time.Second), spread(9000, 64, 0)) // they would lapse first
	e := b.names["a.example.org"]
	if len(e.leases) != 256 || b.evicted != 192 {
		t.Errorf("%d addresses, %d evicted", len(e.leases), b.evicted)
	}
	if len(last[0].Addrs) != 64 || len(e.having(spread(9000, 64, 0).Addrs)) != 64 {
		t.Errorf("of what was just heard %d are found, %d learned", len(last[0].Addrs), len(e.having(spread(9000, 64, 0).Addrs)))
	}
	checkBelow(t, b)
}

func TestCapsOfAWildcard(t *testing.T) {
	b := beneath("example.org", "example.net")
	b.tell(epoch, said("a.example.net", time.Hour, "198.51.100.1"), said("old.example.org", 0, "198.51.100.2"), said("long.example.org", 24*time.Hour, "198.51.100.3"))
	for i := range 6000 {
		name := fmt.Sprintf("n%d.example.org", i)
		now := at(time.Duration(i) * time.Millisecond)
		found := b.tell(now, Answer{Name: name, Addrs: []Record{{numbered(i), 10 * time.Minute}}})
		if z := b.allow["example.org"]; z.size > maxZoneAddrs || z.names[name] == nil || len(found) != 1 || len(found[0].Addrs) != 1 {
			t.Fatalf("%d addresses after the %d. name; it is learned: %t, found: %+v", z.size, i, z.names[name] != nil, found)
		}
	}
	if z := b.allow["example.org"]; b.evicted != 6002-uint64(z.size) || z.names["old.example.org"] != nil || z.names["n0.example.org"] != nil || z.names["long.example.org"] == nil {
		t.Errorf("%d evicted, %d left: want those gone that would have lapsed first", b.evicted, z.size)
	}
	if got := b.has("example.net", at(time.Minute)); got != "198.51.100.1=a.example.net" {
		t.Errorf("the flood beneath one wildcard touched another: %q", got)
	}
	checkBelow(t, b)
}

func TestANameInTwoWildcardsGoesFromTheFullOne(t *testing.T) {
	b := beneath("org", "example.org")
	b.tell(epoch, said("a.example.org", 0, "192.0.2.1"))
	for i := range maxZoneAddrs {
		b.tell(at(1), Answer{Name: fmt.Sprintf("n%d.org", i), Addrs: []Record{{numbered(i), time.Hour}}})
	}
	if got := b.has("example.org", at(1)); got != "192.0.2.1=a.example.org" || b.allow["org"].names["a.example.org"] != nil {
		t.Errorf("*.example.org has %q; *.org still has it: %t", got, b.allow["org"].names["a.example.org"] != nil)
	}
	checkBelow(t, b)
}

// The owner of a zone may answer the daemon's own questions otherwise than the container's.
func TestAnswersToTheDaemonFillNoMoreThanOthers(t *testing.T) {
	b := beneath("example.org")
	for i := range 1000 {
		b.tell(at(time.Duration(i)), said(fmt.Sprintf("n%d.example.org", i), 0, "192.0.2.1"))
	}
	for i := range 1000 {
		a := Answer{Name: fmt.Sprintf("n%d.example.org", i)}
		for j := range 64 {
			a.Addrs = append(a.Addrs, Record{numbered(i*64 + j), time.Hour})
		}
		b.observe(a, at(time.Minute))
		if size := b.allow["example.org"].size; size > maxZoneAddrs {
			t.Fatalf("%d addresses after %d answers", size, i+1)
		}
	}
	checkBelow(t, b)
}

func TestNoNameOfAReplyMakesAnotherOfItGo(t *testing.T) {
	b := beneath("example.org")
	for i := range maxZoneAddrs {
		b.tell(epoch, Answer{Name: fmt.Sprintf("n%d.example.org", i), Addrs: []Record{{numbered(i), 24 * time.Hour}}})
	}
	found := b.tell(at(1), said("a.example.org", 0, "192.0.2.1"), said("b.example.org", 0, "192.0.2.2"), said("c.example.org", 0, "192.0.2.3"))
	if len(found) != 3 {
		t.Errorf("found %s", spellFound(found))
	}
	for _, f := range found {
		if b.names[f.Name] == nil {
			t.Errorf("%s is found and gone", f.Name)
		}
	}
	checkBelow(t, b)
}

func TestAWildcardListsEachAddressOnceWithItsFirstName(t *testing.T) {
	b := beneath("example.org")
	b.tell(epoch, said("b.example.org", 0, "192.0.2.2 192.0.2.1"), said("a.example.org", 0, "2001:db8::1 192.0.2.2"))
	if got := b.has("example.org", epoch); got != "192.0.2.1=b.example.org 192.0.2.2=a.example.org 2001:db8::1=a.example.org" {
		t.Errorf("listed %q", got)
	}
	list := b.allow["example.org"].addrs()
	b.tell(at(1), said("b.example.org", 0, "192.0.2.2 192.0.2.1"))
	if again := b.allow["example.org"].addrs(); &again[0] != &list[0] || !slices.Equal(again, list) {
		t.Error("the list is made anew, though no address is")
	}
	if found := b.tell(at(2), Answer{Name: "c.example.org", Addrs: []Record{{Addr: netip.MustParseAddr("::ffff:192.0.2.9")}, {Addr: netip.MustParseAddr("192.0.2.9")}, {}}}); spellFound(found) != "allow *.example.org c.example.org: 192.0.2.9" {
		t.Errorf("found %s", spellFound(found))
	}
}
