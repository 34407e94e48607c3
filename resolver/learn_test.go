package resolver

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// quiet is a Resolver that nobody runs.
func quiet(tb testing.TB, options Options) *Resolver {
	tb.Helper()
	options.Files = Files{Root: tb.TempDir()}
	r, err := New(options)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// replied is a reply whose question is the first answer's name.
func replied(answers ...Answer) Reply { return Reply{Question: answers[0].Name, Answers: answers} }

func TestLearnFinds(t *testing.T) {
	guard := Guard{Host: list("203.0.113.7")}
	tests := map[string]struct {
		wanted Wanted
		reply  Reply
		want   []string
	}{
		"nothing of names that nobody wants": {wanted: Wanted{Allow: []string{"a.example.org"}, AllowBelow: []string{"a.example.org"}, DenyBelow: []string{"www.example.org"}},
			reply: replied(said(www, 0, "192.0.2.1"))},
		"nothing in no reply": {wanted: Wanted{Allow: []string{www}}},
		"sorted, each once, but for what the guard refuses": {wanted: Wanted{Allow: []string{www}}, reply: replied(said(www, 0, "2001:db8::1 192.0.2.2 127.0.0.1 203.0.113.7 192.0.2.1 192.0.2.2 10.0.0.1")),
			want: []string{"allow www.example.org: 10.0.0.1 192.0.2.1 192.0.2.2 2001:db8::1"}},
		"nothing where the guard refuses all": {wanted: Wanted{Allow: []string{www}, AllowBelow: []string{"example.org"}}, reply: replied(said(www, 0, "127.0.0.1"))},
		"all for a denied name": {wanted: Wanted{Deny: []string{www}}, reply: replied(said(www, 0, "2001:db8::1 127.0.0.1 "+many(100, 1)+" 127.0.0.1")),
			want: []string{"deny www.example.org: 127.0.0.1 " + many(100, 1) + " 2001:db8::1"}},
		"as much as the caps let for an allowed one": {wanted: Wanted{Allow: []string{www}}, reply: replied(said(www, 0, many(100, 1))), want: []string{"allow www.example.org: " + many(64, 1)}},
		"a name both allowed and denied, in full and beneath wildcards": {wanted: Wanted{Allow: []string{www}, Deny: []string{www}, AllowBelow: []string{"example.org"}, DenyBelow: []string{"org"}},
			reply: replied(said(www, 0, "192.0.2.1 10.0.0.1")),
			want: []string{"deny *.org www.example.org: 10.0.0.1 192.0.2.1", "allow *.example.org www.example.org: 192.0.2.1",
				"deny www.example.org: 10.0.0.1 192.0.2.1", "allow www.example.org: 10.0.0.1 192.0.2.1"}},
		"what any name on the way means": {wanted: Wanted{Allow: []string{"b.example.net"}, AllowBelow: []string{"cdn.example"}, DenyBelow: []string{"net"}},
			reply: ReadReply(message(t, "www.example.org. A", nil, chain()...)),
			want:  []string{"allow *.cdn.example a.cdn.example: 192.0.2.1 192.0.2.2", "deny *.net b.example.net: 192.0.2.1 192.0.2.2", "allow b.example.net: 192.0.2.1 192.0.2.2"}},
		"no address of the other family for an allowed name, each for a denied one": {wanted: Wanted{Allow: []string{www}, DenyBelow: []string{"org"}},
			reply: ReadReply(message(t, "www.example.org. AAAA", nil, "www.example.org. 60 IN AAAA ::ffff:192.0.2.1")),
			want:  []string{"deny *.org www.example.org: 192.0.2.1"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := quiet(t, Options{})
			tt.wanted.Guard = guard
			r.Want(tt.wanted)
			for range 3 { // what is known may still be on its way to the kernel
				if diff := cmp.Diff(strings.Join(tt.want, "\n"), spellFound(r.Learn(tt.reply))); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
			for _, f := range r.Learn(tt.reply) {
				if known := r.knows(f); known != join(f.Addrs) {
					t.Errorf("found %s, but the next commit has %s", spellFound([]Found{f}), known)
				}
			}
		})
	}
}

// knows is what of f's addresses the next commit would have, too.
func (r *Resolver) knows(f Found) string {
	var have []netip.Addr
	switch {
	case f.Below == "" && f.Deny:
		have = r.Denied()[f.Name]
	case f.Below == "":
		have = r.Names()[f.Name]
	default:
		named := r.Below()[f.Below]
		if f.Deny {
			named = r.DeniedBelow()[f.Below]
		}
		for _, n := range named {
			have = append(have, n.Addr)
		}
	}
	var both []string
	for _, addr := range f.Addrs {
		for _, h := range have {
			if h == addr {
				both = append(both, addr.String())
			}
		}
	}
	return strings.Join(both, " ")
}

func TestRepliesToOthersSettleADenial(t *testing.T) {
	r := quiet(t, Options{})
	r.Want(Wanted{Deny: []string{www}})
	reply := func(question string, lines ...string) Reply { return ReadReply(message(t, question, nil, lines...)) }
	const a, aaaa = "www.example.org. 60 IN A 192.0.2.1", "www.example.org. 60 IN AAAA 2001:db8::1"
	cut := message(t, "www.example.org. AAAA", nil, aaaa, "www.example.org. 60 IN AAAA 2001:db8::2")
	for i, step := range []struct {
		reply Reply
		want  string
		lost  bool
	}{
		{reply("www.example.org. A", a), "?", true},
		{reply("www.example.org. AAAA", a), "?", false},                                                        // says nothing of IPv6
		{ReadReply(cut[:len(cut)-1]), "?", false},                                                              // says not all of IPv6
		{reply("www.example.org. HTTPS", "www.example.org. 60 IN HTTPS 1 . ipv6hint=2001:db8::3"), "?", false}, // nor does a hint
		{reply("www.example.org. AAAA", aaaa), "192.0.2.1 2001:db8::1 2001:db8::3", true},
		{reply("www.example.org. AAAA", aaaa), "192.0.2.1 2001:db8::1 2001:db8::3", false},
	} {
		r.lost = false
		r.Learn(step.reply)
		if got := denied(r.cache); got != step.want || r.lost != step.lost {
			t.Errorf("step %d: denied %s, want %s; to be committed: %t", i, got, step.want, r.lost)
		}
	}
}

// Whoever may ask for a name must not be able to keep the daemon from asking, or keep an address for ever.
func TestRepliesToOthersDoNotPutOffTheDaemonsQuestions(t *testing.T) {
	hint := said(www, 24*time.Hour, "192.0.2.1")
	hint.Hint = true
	for name, a := range map[string]Answer{"of all families": said(www, 24*time.Hour, "192.0.2.1"), "hints": hint, "of one family": part(IPv4, 24*time.Hour, "192.0.2.1")} {
		c := wanting(epoch)
		c.hear(a, epoch)
		if due := c.Due(epoch); len(due) != 1 {
			t.Errorf("%s: a new name is not asked at once", name)
		}
		c.hear(a, at(time.Second))
		if due := c.Due(at(20 * time.Minute)); len(due) != 0 {
			t.Errorf("%s: asked twice at once", name)
		}
		c.Observe(said(www, 0, "192.0.2.1"), at(time.Second))
		c.hear(a, at(2*time.Second))
		if due := c.Due(at(31 * time.Second)); len(due) != 1 {
			t.Errorf("%s: not asked after half the TTL", name)
		}
		c.Failed(lost(both), at(32*time.Second))
		c.hear(part(IPv4, 0, "192.0.2.1"), at(33*time.Second))
		if due := c.Due(at(37 * time.Second)); len(due) != 1 {
			t.Errorf("%s: not asked again after a failure", name)
		}
	}
}

func TestLearnDoesNotPutOffTheDaemonsQuestions(t *testing.T) {
	r := quiet(t, Options{})
	r.Want(Wanted{Allow: []string{www}})
	r.Learn(replied(said(www, time.Hour, "192.0.2.1")))
	if due := r.due(); len(due) != 1 {
		t.Errorf("due %q", due)
	}
}

func TestLearnTellsWhatIsLostOfNamesInFull(t *testing.T) {
	r := quiet(t, Options{Limits: Limits{NameAddrs: 2}})
	r.Want(Wanted{Allow: []string{www}})
	if r.Learn(replied(said(www, 0, "192.0.2.1 192.0.2.2"))); r.lost {
		t.Error("nothing is lost yet")
	}
	if r.Learn(replied(said(www, 0, "192.0.2.3"))); !r.lost {
		t.Error("an address made room")
	}
	r = quiet(t, Options{})
	r.Want(Wanted{Deny: []string{"a.example.org"}})
	full := Answer{Name: "a.example.org"}
	for i := range maxDenied {
		full.Addrs = append(full.Addrs, Record{Addr: numbered(i)})
	}
	if r.Learn(replied(full)); len(r.Denied()["a.example.org"]) != maxDenied {
		t.Errorf("%d denied", len(r.Denied()["a.example.org"]))
	}
	r.lost = false
	if r.Learn(replied(full)); r.lost {
		t.Error("all of it is known")
	}
	if r.Learn(replied(said("a.example.org", 0, "192.0.2.1"))); !r.lost || !r.Overflown()["a.example.org"] || len(r.Denied()["a.example.org"]) != maxDenied {
		t.Error("one too many is not told")
	}
}

func TestAskAsksForWantedNamesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t)
		b.net.set(www, time.Hour, "192.0.2.1 10.0.0.1")
		b.net.set("www.example.net", time.Hour, "192.0.2.2")
		b.Want(Wanted{AllowBelow: []string{"example.org"}, DenyBelow: []string{"net"}, Deny: []string{"gone.example"}})
		b.after(time.Second)
		for name, want := range map[string]string{
			www:                "allow *.example.org www.example.org: 192.0.2.1",
			"www.example.net":  "deny *.net www.example.net: 192.0.2.2",
			"none.example.org": "", "gone.example": "", "example.org": "", "www.example.com": "", "badexample.org": "", "": "",
		} {
			b.net.count()
			asks := strings.HasSuffix(name, ".example.org") || name == "www.example.net" || name == "gone.example"
			if got := spellFound(b.Ask(t.Context(), name)); got != want || (b.net.count() == 1) != asks {
				t.Errorf("%q: found %q, want %q", name, got, want)
			}
		}
		if got := join(b.net.servers); got != "192.0.2.53:53" {
			t.Errorf("asked %s", got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if found := b.Ask(ctx, www); found != nil {
			t.Errorf("found %v after the end", found)
		}
	})
}

func TestLearnHasWhatIsLostCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t)
		b.Want(Wanted{AllowBelow: []string{"example.org"}, DenyBelow: []string{"example.net"}, Allow: []string{www}})
		b.after(time.Second)
		b.Learn(replied(said("a.example.org", time.Hour, "192.0.2.1")))
		b.Learn(replied(said("a.example.net", time.Hour, "192.0.2.1")))
		b.Learn(replied(said(www, time.Hour, "192.0.2.1")))
		if _, kicks := b.after(time.Second); kicks != 0 {
			t.Errorf("kicked %d times for what is found", kicks)
		}
		for i := range maxZoneAddrs {
			b.Learn(replied(said(fmt.Sprintf("n%d.example.org", i), time.Hour, numbered(i).String())))
		}
		if _, kicks := b.after(time.Second); kicks == 0 || b.Counters().Evicted == 0 {
			t.Errorf("kicked %d times, %d evicted", kicks, b.Counters().Evicted)
		}
		for i := range 18 {
			a := Answer{Name: "b.example.net"}
			for j := range 4000 {
				a.Addrs = append(a.Addrs, Record{numbered(i*4000 + j), 0})
			}
			b.Learn(replied(a))
			if _, kicks := b.after(time.Second); (kicks == 1) != (i == 16) || b.Overflown()["*.example.net"] != (i >= 16) {
				t.Errorf("%d addresses of a denied wildcard: kicked %d times", (i+1)*4000, kicks)
			}
		}
		if n := len(b.DeniedBelow()["example.net"]); n != maxDeniedBelow {
			t.Errorf("%d addresses are denied still", n)
		}
	})
}

func TestCountersOfWhatIsLearned(t *testing.T) {
	r := quiet(t, Options{Limits: Limits{AnswerAddrs: 2, NameAddrs: 3}})
	r.Want(Wanted{AllowBelow: []string{"example.org", "org"}, Guard: Guard{Host: list("192.0.2.9")}})
	r.Learn(replied(said("a.example.org", 0, many(3, 1))))
	r.Learn(replied(said("a.example.org", 0, many(2, 11))))
	r.Learn(replied(said("b.example.org", 0, "192.0.2.9")))
	r.Learn(replied(said("c.example.org", 0, "127.0.0.1 10.0.0.1")))
	r.Learn(replied(said("d.example.com", 0, "127.0.0.1")))
	c := r.Counters()
	if c.Cut != 1 || c.Evicted != 1 || c.Learned != 6 {
		t.Errorf("%d cut, %d evicted, %d learned", c.Cut, c.Evicted, c.Learned)
	}
	if diff := cmp.Diff(map[string]uint64{reasonHost: 1, reasonLoopback: 1, reasonPrivate: 1}, c.Refused); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
}
