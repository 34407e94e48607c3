package observe

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestANewNameIsOneEvent(t *testing.T) {
	type step struct {
		what  string // "ask NAME" or "to ADDR NAME…"
		first bool
	}
	for name, steps := range map[string][]step{
		"a name that is asked for, and then denied":           {{"ask a.example.com", true}, {"to 192.0.2.1:443 a.example.com", false}, {"ask a.example.com", false}},
		"a name that is denied at two addresses":              {{"to 192.0.2.1:443 a.example.com", true}, {"to 192.0.2.2:443 a.example.com", false}, {"to 192.0.2.2:80 a.example.com", false}},
		"an address without a name, and then with one":        {{"to 192.0.2.1:443", true}, {"to 192.0.2.1:444", false}, {"to 192.0.2.1:443 a.example.com", false}},
		"two names of one address":                            {{"to 192.0.2.1:443 a.example.com b.example.com", true}, {"to 192.0.2.1:443 b.example.com a.example.com", false}, {"to 192.0.2.2:443 b.example.com", false}},
		"another name at another address":                     {{"to 192.0.2.1:443 a.example.com", true}, {"to 192.0.2.2:443 b.example.com", true}},
		"two names, of which one was asked for":               {{"ask b.example.com", true}, {"to 192.0.2.1:443 a.example.com b.example.com", false}},
		"an allowed name":                                     {{"ask ok.example.com", true}, {"ask ok.example.com", false}},
		"groups, which nobody can allow":                      {{"to 224.0.0.251:5353", false}},
		"what was learned in the first hour is known forever": {{"ask early.example.com", false}, {"to 192.0.2.77:443", false}},
	} {
		t.Run(name, func(t *testing.T) {
			c, dir := newClock(), t.TempDir()
			s, _ := c.open(t, dir)
			s.asked(Question{netip.MustParseAddr("172.17.0.2"), "early.example.com", c.now})
			s.Add([]Denial{c.denied(webApp, "192.0.2.77:443")})
			if s.Firsts(webApp) != 0 {
				t.Error("something was news in the first hour")
			}
			c.pass(learning)
			for _, step := range steps {
				s.Write()
				s2, log := c.open(t, dir) // each time another daemon
				words := strings.Fields(step.what)
				first := false
				if words[0] == "ask" {
					s2.asked(Question{netip.MustParseAddr("172.17.0.2"), words[1], c.now})
					first = s2.Firsts(webApp) == 1
				} else {
					all := []Denial{c.denied(webApp, words[1], words[2:]...)}
					s2.Add(all)
					first = all[0].First
				}
				lines := strings.Count(log.String(), "first seen")
				if first != step.first || first != (lines == 1) || first != (s2.Firsts(webApp) == 1) || lines > 1 {
					t.Errorf("%s: first %v, %d counted, log:\n%s", step.what, first, s2.Firsts(webApp), log)
				}
				s = s2
			}
		})
	}
}

func TestTheLineSaysWhatIsNew(t *testing.T) {
	c := newClock()
	s, log := c.open(t, "")
	s.Add([]Denial{c.denied(webApp, "192.0.2.77:443")})
	c.pass(2 * learning)
	s.asked(Question{netip.MustParseAddr("172.17.0.2"), "ok.example.com", c.now})
	audit := c.denied(webApp, "192.0.2.1:443", "www.example.com")
	audit.Audit = true
	s.Add([]Denial{audit, c.denied(webApp, "192.0.2.2:80")})
	for _, want := range []string{
		`level=INFO msg="first seen" container=web id=aaaaaaaaaaaa name=ok.example.com verdict=allowed`,
		`container=web id=aaaaaaaaaaaa name=www.example.com port=443 protocol=tcp verdict=audit`,
		`name=192.0.2.2 port=80 protocol=tcp verdict=denied`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no line %s in\n%s", want, log)
		}
	}
}

func TestMadeUpNamesDoNotFloodTheLog(t *testing.T) {
	c := newClock()
	s, log := c.open(t, "")
	others := make([]Subject, 20)
	for i := range others {
		others[i] = Subject{Name: fmt.Sprint("other", i)}
		s.Add([]Denial{c.denied(others[i], "192.0.2.77:443")})
	}
	s.Add([]Denial{c.denied(webApp, "192.0.2.77:443")})
	c.pass(2 * learning)
	for i := range 5000 {
		s.Add([]Denial{c.denied(webApp, fmt.Sprintf("10.0.%d.%d:443", i>>8, i&255), fmt.Sprintf("n%d.example.com", i))})
	}
	if n := strings.Count(log.String(), "\n"); n != maxLinesEach || s.Firsts(webApp) != 5000 {
		t.Errorf("%d lines, %d counted", n, s.Firsts(webApp))
	}
	s.Add([]Denial{c.denied(others[0], "192.0.2.78:443")})
	if !strings.Contains(log.String(), "other0") {
		t.Error("another container has no line left")
	}
	c.pass(time.Minute)
	s.Write()
	if !strings.Contains(log.String(), "count=4990") {
		t.Errorf("what was left out is not told:\n%s", log)
	}
	for _, o := range others {
		for i := range 10 {
			s.Add([]Denial{c.denied(o, fmt.Sprintf("10.1.0.%d:443", i))})
		}
	}
	if n := strings.Count(log.String(), "first seen"); n > 2*maxLines {
		t.Errorf("%d lines in two minutes", n)
	}
}
