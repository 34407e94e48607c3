package resolver

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

const warmName = "a.example.org"

// trouble is a failure of a question of the daemon's own about warmName.
func trouble(f Family) Failure { return Failure{Name: warmName, Families: f} }

func TestLearnedNamesAreAskedAgainBeforeTheyLapse(t *testing.T) {
	for name, tt := range map[string]struct {
		ttl    time.Duration
		jitter float64
		want   time.Duration
	}{
		"three quarters of the shortest lifetime": {want: 225 * time.Second},
		"three quarters of the TTL":               {ttl: time.Hour, want: 45 * time.Minute},
		"three quarters of a day":                 {ttl: 48 * time.Hour, want: 18 * time.Hour},
		"up to a tenth sooner":                    {ttl: time.Hour, jitter: 1, want: 45*time.Minute - 270*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBelow(Limits{Jitter: func() float64 { return tt.jitter }})
			b.want([]string{"example.org"}, nil, new(Cache))
			b.tell(epoch, said(warmName, tt.ttl, "192.0.2.1"))
			for i := range 3 {
				now := at(time.Duration(i) * tt.want)
				if got := b.next(); got != now.Add(tt.want) {
					t.Errorf("asked %v later", got.Sub(now))
				}
				if due := b.due(now.Add(tt.want - 1)); due != nil {
					t.Errorf("%v due too early", due)
				}
				if due := b.due(now.Add(tt.want)); !slices.Equal(due, []string{warmName}) {
					t.Errorf("due %v", due)
				}
				if due := b.due(now.Add(tt.want + time.Hour)); due != nil {
					t.Errorf("%v handed out twice", due)
				}
				b.observe(said(warmName, tt.ttl, "192.0.2.1"), now.Add(tt.want))
				b.names[warmName].seen = now.Add(tt.want) // somebody asks on
			}
			checkBelow(t, b)
		})
	}
}

func TestNamesThatNoContainerAsksForBecomeCold(t *testing.T) {
	b := beneath("example.org")
	b.tell(epoch, said(warmName, 0, "192.0.2.1"))
	asked := 0
	now := epoch
	for ; now.Before(at(30 * time.Hour)); now = now.Add(10 * time.Second) {
		for range b.due(now) {
			asked++
			b.observe(said(warmName, 0, "192.0.2.1"), now)
		}
		b.expire(now, nil)
		if len(b.names) == 0 {
			break
		}
	}
	if since := now.Sub(epoch); since < 24*time.Hour || since > 24*time.Hour+10*time.Minute || asked < 370 {
		t.Errorf("asked %d times, gone after %v", asked, since)
	}
	checkBelow(t, b)
}

func TestAsManyNamesAreWarmAsThereIsRoomFor(t *testing.T) {
	b := beneath("example.org", "example.net")
	name := func(i int) string { return fmt.Sprintf("n%d.example.org", i) }
	for i := range maxWarm {
		b.tell(at(time.Duration(i)*time.Millisecond), said(name(i), 0, "192.0.2.1"))
	}
	b.tell(at(2*time.Second), said(name(0), 0, "192.0.2.1")) // seen again
	b.tell(at(3*time.Second), said("new.example.org", 0, "192.0.2.1"))
	if len(b.warm) != maxWarm || b.warm["new.example.org"] == nil || b.warm[name(0)] == nil || b.warm[name(1)] != nil || !b.names[name(1)].cold {
		t.Errorf("%d are warm; want the one not seen for the longest cold", len(b.warm))
	}
	b.tell(at(4*time.Second), said("a.example.net", 0, "192.0.2.1"))
	for i := range 2 * maxWarm {
		b.tell(at(5*time.Second+time.Duration(i)*time.Millisecond), said(name(maxWarm+i), 0, "192.0.2.1"))
	}
	if b.warm["a.example.net"] == nil || len(b.warm) != maxWarm {
		t.Error("a flood beneath one wildcard has cooled another's name")
	}
	checkBelow(t, b)
	if got := b.has("example.org", at(10*time.Minute)); got != "192.0.2.1="+name(maxWarm+1025) { // of equal addresses the first name
		t.Errorf("cold names have not lapsed: %q", got)
	}
	if z := b.allow["example.org"]; len(z.names) != maxWarm-1 {
		t.Errorf("%d names are left", len(z.names))
	}
}

func TestAWarmNameThatFailsStaysForFiveQuestions(t *testing.T) {
	b := beneath("example.org")
	b.tell(epoch, said(warmName, 0, "192.0.2.1 2001:db8::1"))
	now := at(time.Hour) // the machine slept
	if got := b.has("example.org", now); got != "192.0.2.1=a.example.org 2001:db8::1=a.example.org" {
		t.Errorf("gone before anybody was asked: %q", got)
	}
	for i, wait := range []time.Duration{5, 10, 20, 40} {
		if due := b.due(now); len(due) != 1 {
			t.Fatalf("%d failures: not due", i)
		}
		b.failed(trouble(both), now)
		if got := b.has("example.org", now); got == "" || b.next() != now.Add(wait*time.Second) {
			t.Errorf("%d failures: has %q, asked %v later", i+1, got, b.next().Sub(now))
		}
		now = now.Add(wait * time.Second)
	}
	b.due(now)
	b.failed(trouble(IPv6), now)
	if b.lapse.After(now) || b.lapse.IsZero() {
		t.Errorf("lapses at %v", b.lapse)
	}
	if got := b.has("example.org", now); got != "192.0.2.1=a.example.org" {
		t.Errorf("after five failures of IPv6: %q", got)
	}
	b.failed(trouble(IPv4), now)
	if got := b.has("example.org", now); got != "" || len(b.names)+len(b.warm) != 0 {
		t.Errorf("after five failures: %q, %d names", got, len(b.names))
	}
	b.failed(trouble(both), now) // nobody's
	checkBelow(t, b)
}

func TestAnAnswerAfterFailuresCountsAnew(t *testing.T) {
	b := beneath("example.org")
	b.tell(epoch, said(warmName, 0, "192.0.2.1"))
	for range 4 {
		b.failed(trouble(both), at(time.Hour))
	}
	b.observe(said(warmName, 0, "192.0.2.1"), at(time.Hour))
	b.failed(trouble(both), at(2*time.Hour))
	if got := b.has("example.org", at(2*time.Hour)); got != "192.0.2.1=a.example.org" {
		t.Errorf("has %q", got)
	}
}

func TestFailuresDoNotTakeAnAddressBeforeItsTime(t *testing.T) {
	b := beneath("example.org")
	b.tell(epoch, said(warmName, time.Hour, "192.0.2.1"))
	for range 10 {
		b.failed(trouble(both), at(time.Minute))
	}
	if got := b.has("example.org", at(time.Hour-1)); got != "192.0.2.1=a.example.org" {
		t.Errorf("before: %q", got)
	}
	if got := b.has("example.org", at(time.Hour)); got != "" {
		t.Errorf("after: %q", got)
	}
}

// A container that keeps asking for one family must not keep the daemon from asking for the other, whose addresses
// would stay for ever.
func TestAnswersToContainersDoNotPutOffTheDaemonsQuestion(t *testing.T) {
	for name, ttl := range map[string]time.Duration{"short TTLs": 0, "long TTLs": 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			b := beneath("example.org")
			b.tell(epoch, said(warmName, 0, "192.0.2.1 2001:db8::1"))
			v4 := said(warmName, ttl, "192.0.2.1")
			v4.Families = IPv4
			for now := epoch; now.Before(at(6 * time.Minute)); now = now.Add(time.Second) {
				b.tell(now, v4)
				for range b.due(now) {
					b.tell(now, v4) // in the middle of asking
					if again := b.due(now.Add(time.Hour)); again != nil {
						t.Errorf("%v handed out twice", again)
					}
					b.observe(said(warmName, 0, "192.0.2.1"), now) // there is no IPv6 any more
				}
				b.expire(now, nil)
			}
			if got := b.has("example.org", at(6*time.Minute)); got != "192.0.2.1=a.example.org" {
				t.Errorf("has %q", got)
			}
		})
	}
}

func TestWhenToAskAgainFollowsTheNewestAnswer(t *testing.T) {
	b := beneath("example.org")
	b.tell(epoch, said(warmName, 24*time.Hour, "192.0.2.1"))
	b.tell(epoch, said(warmName, 0, "192.0.2.2"))
	if got := b.next().Sub(epoch); got != 225*time.Second {
		t.Errorf("asked %v after an answer with a shorter TTL", got)
	}
	b.due(at(225 * time.Second))
	b.observe(said(warmName, time.Hour, "192.0.2.3 2001:db8::3"), at(225*time.Second))
	if got := b.warm[warmName].due.Sub(at(225 * time.Second)); got != 45*time.Minute {
		t.Errorf("asked %v later, when the old addresses need no question", got)
	}
	v4 := said(warmName, 4*time.Hour, "192.0.2.3")
	v4.Families = IPv4
	b.observe(v4, at(2*time.Hour)) // IPv6 has lapsed, and waits for an answer
	if got := b.warm[warmName].due.Sub(at(2 * time.Hour)); got != 3*time.Hour {
		t.Errorf("asked %v later", got)
	}
	b.observe(said(warmName, 0, "127.0.0.1"), at(3*time.Hour)) // nothing is current
	if got := b.warm[warmName].due.Sub(at(3 * time.Hour)); got != 225*time.Second {
		t.Errorf("asked %v after an answer without addresses", got)
	}
}

func TestAWarmNameThatWasColdIsNotLookedAtForEver(t *testing.T) {
	b := beneath("example.org")
	b.tell(epoch, said(warmName, 0, "192.0.2.1"))
	b.cool(b.names[warmName])
	b.tell(at(4*time.Minute), said(warmName, 0, "192.0.2.1"))
	if now := b.step(); !b.ripe(now) || b.ripe(now.Add(-1)) || b.lapsed(now) != nil || b.ripe(now.Add(time.Hour)) {
		t.Errorf("at %v, the next step is %v", now, b.step())
	}
}

func TestNewResolversAreAskedForWarmNamesSoon(t *testing.T) {
	b := beneath("example.org")
	b.tell(epoch, said(warmName, 24*time.Hour, "192.0.2.1"), said("b.example.org", 0, "192.0.2.2"))
	b.due(at(4 * time.Minute)) // b is handed out
	b.renew(at(4 * time.Minute))
	if due := b.due(at(4 * time.Minute)); !slices.Equal(due, []string{"b.example.org"}) {
		t.Errorf("what was being asked: due %v", due)
	}
	if due := b.due(at(4*time.Minute + minLife/2)); !slices.Equal(due, []string{warmName}) {
		t.Errorf("what was not: due %v", due)
	}
}

func TestWhatLapsesTogetherIsLookedAtTogether(t *testing.T) {
	b := beneath("example.org")
	for i := range 10 {
		b.tell(at(time.Duration(i)*time.Second), said(fmt.Sprintf("n%d.example.org", i), 0, numbered(i).String()))
	}
	for _, e := range b.warm {
		b.cool(e)
	}
	if got, want := b.next(), at(minLife+expiryStep); got != want {
		t.Errorf("next after %v, want %v", got.Sub(epoch), want.Sub(epoch))
	}
	if lapsed := b.lapsed(b.next()); len(lapsed) != 10 {
		t.Errorf("%d lapsed", len(lapsed))
	}
	if b.expire(at(minLife+4*time.Second), nil); len(b.names) != 5 || b.lapse != at(minLife+5*time.Second) {
		t.Errorf("%d names are left, the next lapses at %v", len(b.names), b.lapse)
	}
	if b.expire(at(time.Hour), nil); !b.next().IsZero() {
		t.Errorf("next at %v of nothing", b.next())
	}
}
