package observe

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestWhatIsWrittenCanBeRead however many subjects are hostile: all they are remembered for has room in the file.
func TestWhatIsWrittenCanBeRead(t *testing.T) {
	c := newClock()
	s, _ := c.open(t, "")
	s.room = 1 << 20
	long := strings.Repeat(strings.Repeat("x", 60)+".", 3)
	subject := webApp
	s.opt.Whose = func(Question) (Asker, bool) { return Asker{Subject: subject}, true }
	s.Add([]Denial{c.denied(Subject{Name: "quiet"}, "192.0.2.1:443", "www.example.com")})
	for i := range 20 {
		subject = Subject{Name: fmt.Sprintf("bad%d\"<", i)}
		for j := range 400 {
			c.pass(time.Microsecond)
			s.asked(Question{netip.Addr{}, fmt.Sprintf("n%d.%sexample.com", j, long), c.now})
		}
		var all []Denial
		for j := range 200 {
			all = append(all, c.denied(subject, fmt.Sprintf("10.0.%d.%d:1", i, j), "a."+long+"com", "b."+long+"com"))
		}
		s.Add(all)
	}
	s.opt.Running = func() (out []Running) {
		for i := range 20 {
			out = append(out, Running{Subject: Subject{Name: fmt.Sprintf("bad%d\"<", i)}, Outbound: strings.Repeat("<", 50_000)})
		}
		return out
	}
	for range 2 {
		s.Refresh()
		content, _ := s.content(c.now)
		var out bytes.Buffer
		if err := content.encode(&out); err != nil {
			t.Fatal(err)
		}
		if out.Len() > s.room || out.Len() < s.room/4 {
			t.Errorf("%d bytes, room for %d", out.Len(), s.room)
		}
		s.dirty = true
	}
	if len(s.subjects) != 21 || len(s.subjects[identity{name: "quiet"}].records) != 1 {
		t.Errorf("%d subjects", len(s.subjects))
	}
}
