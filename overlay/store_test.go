package overlay

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dockerwall/dockerwall/policy"
)

const second = time.Second

var (
	noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	idA  = strings.Repeat("a", 64)
	idB  = strings.Repeat("b", 64)
)

// clocks are a host's.
type clocks struct {
	wall  time.Time
	since time.Duration
	boot  string
}

func (c *clocks) pass(d time.Duration) { c.wall, c.since = c.wall.Add(d), c.since+d }

func (c *clocks) reboot(off time.Duration) {
	c.wall, c.since, c.boot = c.wall.Add(off), time.Minute, c.boot+"'"
}

func (c *clocks) options(path string) Options {
	return Options{
		Path: path, Boot: c.boot,
		Now: func() time.Time { return c.wall }, SinceBoot: func() (time.Duration, error) { return c.since, nil },
	}
}

func newClocks() *clocks { return &clocks{noon, time.Hour, "first"} }

func open(t rapid.TB, o Options) *Store {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func tokens(text string) []policy.Token {
	var out []policy.Token
	for _, e := range anyGroup().Entries(text) {
		out = append(out, e.Token)
	}
	return out
}

// told is an overlay in short: "host enforce", "a audit" and "a example.com", sorted.
func told(o Overlay) map[string]bool {
	out := map[string]bool{}
	if o.Enforce != nil {
		out["host "+o.Enforce.Mode.String()] = true
	}
	for id, c := range o.Containers {
		if c.Mode != nil {
			out[id[:1]+" "+c.Mode.Mode.String()] = true
		}
		for _, g := range c.Grants {
			out[id[:1]+" "+g.String()] = true
		}
	}
	return out
}

func wants(t *testing.T, s *Store, want ...string) {
	t.Helper()
	all := map[string]bool{}
	for _, w := range want {
		all[w] = true
	}
	if diff := cmp.Diff(all, told(s.Now())); diff != "" {
		t.Error(diff)
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsSaidCountsUntilItsTimeIsOver(t *testing.T) {
	c := newClocks()
	s := open(t, c.options(""))
	must(t, s.Grant(Wish{ID: idA, Name: "a", For: 10 * second, By: 7}, tokens("example.com:443, !192.0.2.1")),
		s.Grant(Wish{ID: idA, Name: "a"}, tokens("@pypi")), s.Grant(Wish{ID: idA, Name: "a", For: 20 * second}, tokens("!192.0.2.1")),
		s.SetMode(Wish{ID: idB, Name: "b"}, policy.ModeAudit))
	wants(t, s, "a example.com:443", "a !192.0.2.1", "a @pypi", "b audit")
	want := Stamp{By: 7, At: noon, Until: noon.Add(10 * second)}
	if got := s.Now().Containers[idA].Grants; len(got) != 3 || got[1].Stamp != (Stamp{At: noon}) && got[0].Stamp != want {
		t.Errorf("%+v", got)
	}
	c.pass(10*second - 1)
	wants(t, s, "a example.com:443", "a !192.0.2.1", "a @pypi", "b audit")
	c.pass(1)
	wants(t, s, "a !192.0.2.1", "a @pypi", "b audit")
	c.pass(10 * second)
	wants(t, s, "a @pypi", "b audit")
}

func TestModesGoBackToWhatWasSetForGood(t *testing.T) {
	web, forAWhile := Wish{ID: idA, Name: "a"}, Wish{ID: idA, Name: "a", For: second}
	host, hostForAWhile := Wish{}, Wish{For: second}
	for name, test := range map[string]struct {
		dryRun      bool
		do          func(*Store) error
		first, then []string
	}{
		"a pause, to nothing": {do: func(s *Store) error { return s.Pause(forAWhile) }, first: []string{"a audit"}},
		"a pause, to a mode": {do: func(s *Store) error {
			return errors.Join(s.SetMode(web, policy.ModeEnforce), s.Pause(forAWhile))
		}, first: []string{"a audit"}, then: []string{"a enforce"}},
		"a mode that nobody confirms": {do: func(s *Store) error {
			return errors.Join(s.SetMode(web, policy.ModeAudit), s.SetMode(forAWhile, policy.ModeEnforce))
		}, first: []string{"a enforce"}, then: []string{"a audit"}},
		"a mode that somebody confirms": {do: func(s *Store) error {
			return errors.Join(s.SetMode(web, policy.ModeAudit), s.SetMode(forAWhile, policy.ModeEnforce), s.SetMode(web, policy.ModeEnforce))
		}, first: []string{"a enforce"}, then: []string{"a enforce"}},
		"two that nobody confirms, to what was before both": {do: func(s *Store) error {
			return errors.Join(s.SetMode(forAWhile, policy.ModeEnforce), s.SetMode(forAWhile, policy.ModeAudit))
		}, first: []string{"a audit"}},
		"a pause that ends early": {do: func(s *Store) error { return errors.Join(s.Pause(forAWhile), s.Revoke(web, nil)) }},
		"a host in dry run, enforced for a while": {dryRun: true, do: func(s *Store) error { return s.SetMode(hostForAWhile, policy.ModeEnforce) },
			first: []string{"host enforce"}},
		"a host in dry run, enforced": {dryRun: true, do: func(s *Store) error { return s.SetMode(host, policy.ModeEnforce) },
			first: []string{"host enforce"}, then: []string{"host enforce"}},
		"a host in dry run, enforced and then left to its settings": {dryRun: true, do: func(s *Store) error {
			return errors.Join(s.SetMode(host, policy.ModeEnforce), s.AsConfigured())
		}},
		"a host that is to do what it does": {do: func(s *Store) error {
			return errors.Join(s.SetMode(host, policy.ModeEnforce), s.SetMode(hostForAWhile, policy.ModeEnforce))
		}},
		"a host in audit that is enforced for a while": {do: func(s *Store) error {
			return errors.Join(s.SetMode(host, policy.ModeAudit), s.SetMode(hostForAWhile, policy.ModeEnforce))
		}, first: []string{"host enforce"}, then: []string{"host audit"}},
		"a host in audit that is enforced again": {do: func(s *Store) error {
			return errors.Join(s.SetMode(host, policy.ModeAudit), s.SetMode(host, policy.ModeEnforce))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClocks()
			o := c.options("")
			o.DryRun = test.dryRun
			s := open(t, o)
			must(t, test.do(s))
			wants(t, s, test.first...)
			c.pass(second)
			wants(t, s, test.then...)
		})
	}
}

func TestWhatCannotBeChangesNothing(t *testing.T) {
	web := Wish{ID: idA, Name: "a"}
	many := make([]policy.Token, 0, MaxTokens+1)
	clauses := make([]policy.Token, 0, policy.MaxClauses+1)
	for i := range MaxTokens + 1 {
		many = append(many, tokens("192.0."+string(rune('0'+i%8))+"."+string(rune('0'+i/8%10))+":"+string(rune('1'+i/80)))...)
	}
	for i := range policy.MaxClauses + 1 {
		clauses = append(clauses, policy.Token{Dest: policy.Host, Clause: policy.Clause{Ports: policy.PortRange{First: uint16(i + 1), Last: uint16(i + 1)}}})
	}
	for name, do := range map[string]func(*Store) error{
		"more tokens than may be":               func(s *Store) error { return s.Grant(web, many) },
		"more ports than the grammar has":       func(s *Store) error { return s.Grant(web, clauses) },
		"a token that was not added":            func(s *Store) error { return s.Revoke(web, tokens("example.com, other.example")) },
		"an allow of which there is a denial":   func(s *Store) error { return s.Revoke(web, tokens("192.0.2.1")) },
		"a container of which nothing was said": func(s *Store) error { return s.Revoke(Wish{ID: idB, Name: "b"}, nil) },
		"a host of which nothing was said":      func(s *Store) error { return s.AsConfigured() },
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, newClocks().options(""))
			must(t, s.Grant(web, tokens("example.com, !192.0.2.1")))
			if err := do(s); err == nil {
				t.Error("no error")
			}
			wants(t, s, "a example.com", "a !192.0.2.1")
		})
	}
}

func TestThereAreNotTooManyContainers(t *testing.T) {
	s := open(t, newClocks().options(""))
	of := func(i int) Wish { return Wish{ID: fmt.Sprintf("%064x", i), Name: "c"} }
	for i := range MaxContainers {
		must(t, s.SetMode(of(i), policy.ModeAudit))
	}
	if err := s.SetMode(of(MaxContainers), policy.ModeAudit); err == nil || !strings.Contains(err.Error(), "dockerwall revoke") {
		t.Errorf("error %v", err)
	}
	must(t, s.SetMode(of(0), policy.ModeEnforce), s.Revoke(of(1), nil), s.SetMode(of(MaxContainers), policy.ModeAudit))
}

func TestAWriteThatFailsChangesNothing(t *testing.T) {
	c := newClocks()
	o := c.options(filepath.Join(t.TempDir(), FileName))
	full := errors.New("no space left")
	var fail error
	o.write = func(path string, text []byte) error {
		if fail != nil {
			return fail
		}
		return replace(path, text)
	}
	s := open(t, o)
	must(t, s.Grant(Wish{ID: idA, Name: "a"}, tokens("example.com")))
	fail = full
	if err := s.Grant(Wish{ID: idA, Name: "a"}, tokens("other.example")); !errors.Is(err, full) {
		t.Error(err)
	}
	wants(t, s, "a example.com")
	wants(t, open(t, o), "a example.com")
}

// TestWhatWasAnsweredSurvivesAKill writes each change to disk before it is answered, and nothing else: a daemon that is
// killed in between leaves the old file.
func TestWhatWasAnsweredSurvivesAKill(t *testing.T) {
	c := newClocks()
	o := c.options(filepath.Join(t.TempDir(), "state", FileName))
	s := open(t, o)
	must(t, s.Grant(Wish{ID: idA, Name: "a", For: time.Hour}, tokens("example.com")), s.SetMode(Wish{}, policy.ModeAudit))
	wants(t, open(t, o), "a example.com", "host audit")
	killed := errors.New("killed")
	o.write = func(path string, text []byte) error { // half of it is there, under another name
		must(t, os.WriteFile(path+".new", text[:len(text)/2], 0o600))
		return killed
	}
	if err := open(t, o).Grant(Wish{ID: idA, Name: "a"}, tokens("other.example")); !errors.Is(err, killed) {
		t.Error(err)
	}
	o.write = nil
	next := open(t, o)
	wants(t, next, "a example.com", "host audit")
	must(t, next.Revoke(Wish{ID: idA, Name: "a"}, nil))
	wants(t, open(t, o), "host audit")
}

func TestTimeGoesOnWhileTheDaemonIsDown(t *testing.T) {
	for name, test := range map[string]struct {
		meanwhile func(*clocks)
		want      []string // of an allow for an hour, a denial for an hour, and an audit for good
	}{
		"less than it lasts":                        {func(c *clocks) { c.pass(59 * time.Minute) }, []string{"a example.com", "a !192.0.2.1", "a audit"}},
		"more than it lasts":                        {func(c *clocks) { c.pass(time.Hour) }, []string{"a audit"}},
		"a clock that is put back in one boot":      {func(c *clocks) { c.pass(time.Hour); c.wall = c.wall.Add(-48 * time.Hour) }, []string{"a audit"}},
		"a clock that is put forward in one boot":   {func(c *clocks) { c.wall = c.wall.Add(48 * time.Hour) }, []string{"a example.com", "a !192.0.2.1", "a audit"}},
		"a boot within the hour":                    {func(c *clocks) { c.reboot(time.Minute) }, []string{"a example.com", "a !192.0.2.1", "a audit"}},
		"a boot after the hour":                     {func(c *clocks) { c.reboot(time.Hour) }, []string{"a audit"}},
		"a boot with a clock of before it was said": {func(c *clocks) { c.reboot(-48 * time.Hour) }, []string{"a !192.0.2.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClocks()
			path := filepath.Join(t.TempDir(), FileName)
			s := open(t, c.options(path))
			must(t, s.Grant(Wish{ID: idA, Name: "a", For: time.Hour}, tokens("example.com, !192.0.2.1")), s.SetMode(Wish{ID: idA, Name: "a"}, policy.ModeAudit))
			test.meanwhile(c)
			s = open(t, c.options(path))
			wants(t, s, test.want...)
			c.pass(time.Hour)
			for _, w := range test.want {
				if w == "a audit" {
					wants(t, s, w)
					return
				}
			}
			wants(t, s)
		})
	}
}

func TestASettingThatHasComeToSayTheSameGoesBeforeIt(t *testing.T) {
	c := newClocks()
	path := filepath.Join(t.TempDir(), FileName)
	o := c.options(path)
	o.DryRun = true
	must(t, open(t, o).SetMode(Wish{}, policy.ModeEnforce))
	o.DryRun = false
	s := open(t, o)
	wants(t, s)
	must(t, s.Grant(Wish{ID: idA, Name: "a"}, tokens("example.com"))) // which writes the file
	o.DryRun = true
	wants(t, open(t, o), "a example.com")
}

func TestRunEndsWhatRunsOutAndTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var changed atomic.Int32
		o := Options{Path: filepath.Join(t.TempDir(), FileName), Boot: "one", Changed: func() { changed.Add(1) },
			SinceBoot: func() (time.Duration, error) { return time.Since(began) + time.Hour, nil }}
		s := open(t, o)
		done := make(chan error, 1)
		go func() { done <- s.Run(t.Context()) }()
		synctest.Wait()
		must(t, s.Grant(Wish{ID: idA, Name: "a", For: time.Hour}, tokens("example.com")), s.Grant(Wish{ID: idB, Name: "b"}, tokens("example.com")))
		time.Sleep(time.Hour - time.Millisecond)
		synctest.Wait()
		if n := changed.Load(); n != 2 {
			t.Errorf("told %d times, want 2", n)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if n := changed.Load(); n != 3 {
			t.Errorf("told %d times that something has run out, want 1", n-2)
		}
		text, err := os.ReadFile(o.Path)
		if err != nil || strings.Contains(string(text), idA) || !strings.Contains(string(text), idB) {
			t.Errorf("the file has %s (%v)", text, err)
		}
		s.Keep(func(id string) bool { return id != idB })
		synctest.Wait()
		wants(t, s)
		if n := changed.Load(); n != 4 {
			t.Errorf("told %d times that a container is gone, want 1", n-3)
		}
	})
}

// TestRandomChangesAreWhatAModelSays has anything said and any time pass, with restarts and boots in between.
func TestRandomChangesAreWhatAModelSays(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		c := newClocks()
		path := filepath.Join(dir, rapid.StringMatching(`[a-z]{12}`).Draw(t, "file"))
		defer func() { _ = os.Remove(path) }()
		s := open(t, c.options(path))
		m := model{tokens: map[string]time.Duration{}, set: map[string]string{}, temp: map[string]passing{}}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			m.step(t, c, s)
			if rapid.IntRange(0, 5).Draw(t, "restart") == 0 {
				s = open(t, c.options(path))
			}
			if diff := cmp.Diff(m.counts(c.since), told(s.Now())); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

// model is what counts, in short, and until when; 0 is for good.
type model struct {
	tokens map[string]time.Duration
	set    map[string]string
	temp   map[string]passing
}

type passing struct {
	mode string
	end  time.Duration
}

func (m model) counts(now time.Duration) map[string]bool {
	out := map[string]bool{}
	for token, end := range m.tokens {
		if end == 0 || now < end {
			out[token] = true
		}
	}
	modes := maps.Clone(m.set)
	for who, p := range m.temp {
		if now < p.end {
			modes[who] = p.mode
		}
	}
	for who, mode := range modes {
		out[who+" "+mode] = true
	}
	return out
}

func (m model) step(t *rapid.T, c *clocks, s *Store) {
	id := rapid.SampledFrom([]string{idA, idB}).Draw(t, "container")
	who := id[:1]
	token := rapid.SampledFrom([]string{"example.com", "!example.com", "192.0.2.1:443", "@pypi", "*"}).Draw(t, "token")
	lasts := rapid.SampledFrom([]time.Duration{0, second, time.Minute, time.Hour}).Draw(t, "for")
	end := time.Duration(0)
	if lasts != 0 {
		end = c.since + lasts
	}
	w := Wish{ID: id, Name: who, For: lasts}
	switch rapid.SampledFrom([]string{"grant", "revoke", "revoke all", "pause", "mode", "host", "pass"}).Draw(t, "step") {
	case "grant":
		check(t, s.Grant(w, tokens(token)), true)
		m.tokens[who+" "+token] = end
	case "revoke":
		_, there := m.counts(c.since)[who+" "+token]
		check(t, s.Revoke(w, tokens(token)), there)
		delete(m.tokens, who+" "+token)
	case "revoke all":
		there := false
		for what := range m.counts(c.since) {
			there = there || strings.HasPrefix(what, who+" ")
		}
		for what := range m.tokens {
			if strings.HasPrefix(what, who+" ") {
				delete(m.tokens, what)
			}
		}
		check(t, s.Revoke(w, nil), there)
		delete(m.set, who)
		delete(m.temp, who)
	case "pause":
		w.For = max(lasts, second)
		check(t, s.Pause(w), true)
		m.temp[who] = passing{"audit", c.since + w.For}
	case "mode":
		check(t, s.SetMode(w, policy.ModeEnforce), true)
		m.mode(who, "enforce", end)
	case "host":
		w.ID = ""
		check(t, s.SetMode(w, policy.ModeAudit), true)
		m.mode("host", "audit", end)
	case "pass":
		c.pass(rapid.SampledFrom([]time.Duration{1, second, time.Minute, time.Hour}).Draw(t, "time"))
		c.wall = c.wall.Add(rapid.SampledFrom([]time.Duration{0, -time.Hour, time.Hour}).Draw(t, "clock"))
	}
}

func (m model) mode(who, mode string, end time.Duration) {
	delete(m.temp, who)
	if end == 0 {
		m.set[who] = mode
	} else {
		m.temp[who] = passing{mode, end}
	}
}

func check(t *rapid.T, err error, works bool) {
	t.Helper()
	if (err == nil) != works {
		t.Fatalf("error %v, want it to work: %v", err, works)
	}
}
