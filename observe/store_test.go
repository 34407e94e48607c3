package observe

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dockerwall/dockerwall/nft"
)

// clock is a time that stands still.
type clock struct{ now time.Time }

func newClock() *clock { return &clock{time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) pass(d time.Duration) { c.now = c.now.Add(d) }

var webApp = Subject{Name: "web", Image: "app:1"}

// denied is a denial of one packet of 60 bytes.
func (c *clock) denied(s Subject, to string, names ...string) Denial {
	dst := netip.MustParseAddrPort(to)
	return Denial{
		Time: c.now, Subject: s, ContainerID: strings.Repeat("a", 64), Target: Target{dst.Addr(), dst.Port(), 6}, Names: names,
		Reason: string(nft.Denied), Packets: 1, Bytes: 60,
	}
}

func (c *clock) open(t *testing.T, dir string) (*Store, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	opt := StoreOptions{Dir: dir, Boot: "b", Now: func() time.Time { return c.now }, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	opt.Whose = func(q Question) (Asker, bool) {
		return Asker{Subject: webApp, ID: strings.Repeat("a", 64), Allowed: strings.HasPrefix(q.Name, "ok.")}, q.To == netip.MustParseAddr("172.17.0.2")
	}
	return OpenStore(opt), &log
}

func same(a, b []Observed) string {
	return cmp.Diff(a, b, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }), cmpopts.EquateEmpty(), cmpopts.EquateApproxTime(0))
}

func TestWhatIsRememberedIsThereAfterARestart(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	s, log := c.open(t, dir)
	s.Add([]Denial{c.denied(webApp, "192.0.2.1:443", "www.example.com", "cdn.example.net"), c.denied(webApp, "[2001:db8::1]:80")})
	c.pass(time.Hour)
	again := c.denied(webApp, "192.0.2.1:443", "api.example.com")
	again.Audit, again.Host = true, true
	s.Add([]Denial{again, {Time: c.now, Subject: webApp, Reason: "other", Packets: 7, Bytes: 70}, {Time: c.now, Subject: webApp, Reason: "stray", Packets: 1}, {Time: c.now, Reason: "denied", Packets: 1}})
	s.asked(Question{netip.MustParseAddr("172.17.0.2"), "OK.example.com.", c.now})
	s.asked(Question{netip.MustParseAddr("172.17.0.9"), "nobody.example.com", c.now})
	want := s.Observed()
	if len(want) != 1 || len(want[0].Records) != 3 {
		t.Fatalf("%+v", want)
	}
	r := want[0].Records[1]
	if r.Packets != 2 || r.Bytes != 120 || !r.Audit || !r.Host || !r.Last.Equal(c.now) || !r.First.Equal(c.now.Add(-time.Hour)) ||
		cmp.Diff([]string{"api.example.com", "www.example.com", "cdn.example.net"}, r.Names) != "" {
		t.Errorf("%+v", r)
	}
	if diff := cmp.Diff([]string{"ok.example.com"}, want[0].Asked); diff != "" {
		t.Error(diff)
	}
	s.Write()
	s, log2 := c.open(t, dir)
	if diff := same(want, s.Observed()); diff != "" || log2.Len() > 0 || strings.Contains(log.String(), "ERROR") {
		t.Errorf("(-before +after):\n%s\n%s%s", diff, log, log2)
	}
	info, err := os.Stat(filepath.Join(dir, FileName))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestOldRecordsAreForgotten(t *testing.T) {
	c := newClock()
	s, _ := c.open(t, "")
	s.Add([]Denial{c.denied(webApp, "192.0.2.1:443", "monthly.example.com")})
	c.pass(35 * 24 * time.Hour)
	s.Add([]Denial{c.denied(webApp, "192.0.2.2:443")})
	s.Refresh()
	if h := s.Observed(); len(h) != 1 || len(h[0].Records) != 2 {
		t.Errorf("after a month: %+v", h)
	}
	c.pass(keepFor - 30*24*time.Hour)
	s.Refresh()
	if h := s.Observed(); len(h) != 1 || len(h[0].Records) != 1 {
		t.Errorf("after 95 days: %+v", h)
	}
	c.pass(keepFor)
	s.Refresh()
	if h := s.Observed(); len(h) != 0 {
		t.Errorf("after half a year: %+v", h)
	}
}

func TestNobodyPushesOutWhatOthersSent(t *testing.T) {
	c := newClock()
	s, _ := c.open(t, "")
	s.Add([]Denial{c.denied(webApp, "192.0.2.1:443", "www.example.com")})
	for n := range 60 { // each with as many destinations as it may have
		var all []Denial
		for i := range maxOwn + 200 {
			c.pass(time.Microsecond)
			all = append(all, c.denied(Subject{Name: fmt.Sprintf("bad%d", n), Image: "x"}, fmt.Sprintf("10.%d.%d.%d:1", n, i>>8, i&255)))
		}
		s.Add(all)
	}
	total, kept := 0, 0
	for _, h := range s.Observed() {
		total += len(h.Records)
		if h.Subject == webApp {
			kept = len(h.Records)
		}
		if len(h.Records) > maxOwn {
			t.Errorf("%s has %d records", h.Subject.Name, len(h.Records))
		}
		for _, r := range h.Records {
			if h.Subject != webApp && r.Dst.As4()[2] == 0 && r.Dst.As4()[3] < 200 {
				t.Fatalf("%s keeps %v, of the first that it reached for", h.Subject.Name, r.Dst)
			}
		}
	}
	if total > maxAll || total < maxAll*8/10 || kept != 1 {
		t.Errorf("%d records, %d of web", total, kept)
	}
	for i := range maxSubjects + 10 {
		c.pass(time.Second)
		s.Add([]Denial{c.denied(Subject{Name: fmt.Sprintf("job%d", i)}, "192.0.2.9:443")})
	}
	if n := len(s.Observed()); n != maxSubjects {
		t.Errorf("%d subjects", n)
	}
	for i := range 10 * maxReached {
		s.asked(Question{netip.MustParseAddr("172.17.0.2"), fmt.Sprintf("n%d.example.com", i), c.now.Add(time.Duration(i))})
	}
	h := s.subjects[identity{"web", "app:1"}]
	if len(h.asked) > maxAsked || len(h.asked) < maxAsked*7/8 || len(h.reached) > maxReached || len(h.reached) < maxReached*7/8 {
		t.Errorf("%d names asked for, %d reached for", len(h.asked), len(h.reached))
	}
}

// TestNobodyPushesOutTheNameThatWasAskedFor: who runs a zone calls any address as he likes.
func TestNobodyPushesOutTheNameThatWasAskedFor(t *testing.T) {
	c := newClock()
	s := OpenStore(StoreOptions{Now: func() time.Time { return c.now }, Whose: func(Question) (Asker, bool) { return Asker{Subject: webApp}, true }})
	s.asked(Question{Name: "shop.example.com", Time: c.now})
	for _, names := range [][]string{
		{"shop.example.com"}, {"a.evil.example", "b.evil.example", "c.evil.example"}, {"d.evil.example", "e.evil.example", "f.evil.example"},
	} {
		c.pass(time.Second)
		s.Add([]Denial{c.denied(webApp, "192.0.2.1:443", names...)})
	}
	want := []string{"d.evil.example", "e.evil.example", "f.evil.example", "shop.example.com"}
	if diff := cmp.Diff(want, s.Observed()[0].Records[0].Names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

// TestATokenHasANameOfTheSubjectsOwn: the token of a denial is to be copied, and a neighbour's name in it would open any
// address.
func TestATokenHasANameOfTheSubjectsOwn(t *testing.T) {
	c := newClock()
	s := OpenStore(StoreOptions{Now: func() time.Time { return c.now }, Whose: func(Question) (Asker, bool) { return Asker{Subject: webApp}, true }})
	names := []string{"evil.example", "shop.example.com"}
	own := func(want ...string) {
		t.Helper()
		d := Denial{Subject: webApp, Target: Target{Dst: netip.MustParseAddr("192.0.2.1"), Port: 443, Proto: nft.TCP}, Reason: "denied"}
		View{
			Names: func(netip.Addr) []string { return names }, Own: s.Own,
			Token: func(_ Target, names []string) (string, bool) { return strings.Join(names, " "), false },
		}.complete(&d)
		if d.Token != strings.Join(want, " ") || !slices.Equal(d.Names, names) {
			t.Errorf("%q, want %q; names %q", d.Token, want, d.Names)
		}
	}
	own(names...) // nobody knows what it asks for
	s.asked(Question{Name: "other.example.com", Time: c.now})
	own()
	s.asked(Question{Name: "shop.example.com", Time: c.now})
	own("shop.example.com")
	c.pass(askedOfLate + time.Second)
	own("shop.example.com", "evil.example")
}

func TestTextsOfOthersAreKeptWithinBounds(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	s, _ := c.open(t, dir)
	long := strings.Repeat("x", 10000)
	s.Add([]Denial{c.denied(Subject{Name: "a\x1b[31m\n" + long, Image: long, Project: long, Service: "\u202e" + long}, "192.0.2.1:1",
		"\x1b.example.com", long+".example.com", `a\.b.example.com`, "*.example.com", "localhost", "Good.Example.com.")})
	s.Write()
	s, log := c.open(t, dir)
	h := s.Observed()
	if len(h) != 1 || log.Len() > 0 {
		t.Fatalf("%d, %s", len(h), log)
	}
	if diff := cmp.Diff([]string{"good.example.com"}, h[0].Records[0].Names); diff != "" {
		t.Error(diff)
	}
	if u := h[0].Subject; len(u.Name) > maxText || strings.ContainsAny(u.Name, "\x1b\n") || len(u.Image) > maxImage || len(u.Project) > maxText || len(u.Service) > maxText {
		t.Errorf("%+v", u)
	}
}

func TestWhatWasToldOfTheKernelsCountersIsKeptBesideIt(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	id := "0123456789ab"
	want := Baseline{
		Time: c.now, Parts: []nft.Part{{ID: id, Name: "c_" + id + "_drop", Count: nft.Count{Packets: 5, Bytes: 300}}, {ID: id, Name: "invalid4 00", Invalid: true}},
		Records: map[string][]nft.Denial{id: {{Dst: netip.MustParseAddr("192.0.2.1"), Proto: 6, Port: 443, Count: nft.Count{Packets: 4, Bytes: 240}}}},
		Reasons: map[nft.Reason]nft.Count{nft.Unknown: {Packets: 3, Bytes: 180}},
	}
	s, _ := c.open(t, dir)
	s.opt.Settled = func(do func(Baseline)) { do(want) }
	s.Add([]Denial{c.denied(webApp, "192.0.2.1:443")})
	s.Write()
	s, log := c.open(t, dir)
	if diff := cmp.Diff(&want, s.Baseline(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" || log.Len() > 0 {
		t.Errorf("(-want +got):\n%s%s", diff, log)
	}
	s = OpenStore(StoreOptions{Dir: dir, Boot: "another"})
	if s.Baseline() != nil || len(s.Observed()) != 1 {
		t.Errorf("after a boot of the host: %+v", s.Baseline())
	}
}

func TestABaselineIsKeptSmall(t *testing.T) {
	for name, test := range map[string]struct {
		sizes       []int
		limit, want int
	}{
		"all fit":                     {[]int{1, 2, 3}, 6, maxCounted},
		"the largest does not":        {[]int{3, 1, 2}, 5, 2},
		"of many alike none is kept":  {[]int{2, 2, 2}, 5, 1},
		"there is nothing to be kept": {nil, 5, maxCounted},
	} {
		t.Run(name, func(t *testing.T) {
			b := Baseline{Records: map[string][]nft.Denial{}}
			for i, n := range test.sizes {
				b.Records[fmt.Sprint(i)] = make([]nft.Denial, n)
			}
			if got := b.most(test.limit); got != test.want {
				t.Errorf("%d, want %d", got, test.want)
			}
		})
	}
}
