package page

import (
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/api"
)

func TestNumbersAndTimesInWords(t *testing.T) {
	for name, tt := range map[string]struct{ got, want string }{
		"a small number":       {number(7), "7"},
		"three digits":         {number(123), "123"},
		"thousands":            {number(1234), "1,234"},
		"the greatest":         {number(math.MaxUint64), "18,446,744,073,709,551,615"},
		"bytes":                {size(999), "999 B"},
		"kilobytes":            {size(1000), "1.0 kB"},
		"not 1000 kB":          {size(999_999), "1.0 MB"},
		"not 10.0 kB":          {size(9_999), "10 kB"},
		"the most bytes":       {size(math.MaxUint64), "18 EB"},
		"no time":              {span(0), "0 s"},
		"less than no time":    {span(-time.Hour), "0 s"},
		"seconds":              {span(119 * time.Second), "119 s"},
		"minutes":              {span(2 * time.Minute), "2 min"},
		"hours":                {span(2 * time.Hour), "2 h"},
		"days":                 {span(80 * time.Hour), "3 days"},
		"a time of today":      {clock(before(time.Hour), noon()), "11:00:00"},
		"a time of yesterday":  {clock(before(13*time.Hour), noon()), "11-25 23:00"},
		"a text that is cut":   {clip("abcdef", 3), "abc…"},
		"a text cut in a rune": {clip("aéb", 2), "a…"},
		"a text that fits":     {clip("abc\x1b", 4), "abc"},
		"two words stay two":   {whole("a\tb", 3), "a b"},
		"nothing to copy":      {whole("abcd", 3), ""},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.got != tt.want {
				t.Errorf("%q, want %q", tt.got, tt.want)
			}
		})
	}
}

func TestADayIsDrawn(t *testing.T) {
	for name, tt := range map[string]struct {
		history []uint64
		path    string
		text    string
	}{
		"nothing denied":               {make([]uint64, bars), "", "none denied in the last 24 h"},
		"only now":                     {day(func(i int) uint64 { return uint64(i / 47 * 5) }), "M190 24v-23", "5 denied in the last 24 h, most (5) within half an hour, from 30 min ago"},
		"a day ago":                    {day(func(i int) uint64 { return map[int]uint64{0: 1}[i] }), "M2 24v-23", "1 denied in the last 24 h, most (1) within half an hour, from 24 h ago"},
		"little beside much":           {[]uint64{1, 1_000_000}, "M186 24v-2M190 24v-23", "1,000,001 denied in the last 24 h, most (1,000,000) within half an hour, from 30 min ago"},
		"more than a day is cut":       {append([]uint64{9}, day(func(int) uint64 { return 0 })...), "", "none denied in the last 24 h"},
		"the greatest number there is": {[]uint64{math.MaxUint64, 0}, "M186 24v-23", "18,446,744,073,709,551,615 denied in the last 24 h, most (18,446,744,073,709,551,615) within half an hour, from 60 min ago"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := newSpark(tt.history); got.Path != tt.path || got.Text != tt.text {
				t.Errorf("%q %q", got.Path, got.Text)
			}
		})
	}
	if newSpark(nil) != nil {
		t.Error("what is not known is drawn as nothing denied")
	}
	full := newSpark(day(func(i int) uint64 { return uint64(i + 1) }))
	if n := strings.Count(full.Path, "M"); n != bars {
		t.Errorf("%d bars", n)
	}
}

func TestADenialInWords(t *testing.T) {
	for name, tt := range map[string]struct {
		in   api.Denial
		want denial
	}{
		"without a destination of its own": {
			api.Denial{Container: "web", Reason: api.ReasonOther}, denial{Container: "web", Reason: "noise, or record full"},
		},
		"of a container without a name": {
			api.Denial{ContainerID: strings.Repeat("a1", 32), Reason: "cut"}, denial{Container: "a1a1a1a1a1a1…", Reason: "cut connection"},
		},
		"of nobody known": {
			api.Denial{Source: "172.18.0.9", Interface: "br-1", Reason: "unknown", Protocol: "icmp"},
			denial{Container: "172.18.0.9@br-1", Reason: "unknown source", Port: "icmp"},
		},
		"of an interface": {api.Denial{Interface: "br-1", Reason: "spoof"}, denial{Container: "br-1", Reason: "another's address"}},
		"of nobody at all, for a reason that is new": {
			api.Denial{Reason: "moon", Verdict: api.VerdictAudit, First: true}, denial{Container: "unknown", Reason: "moon", Audit: true, First: true},
		},
		"to a stranger's resolver, in the words of watch": {
			api.Denial{Container: "web", Reason: "denied", Port: 53, Protocol: "udp", Destination: netip.MustParseAddr("192.0.2.53")},
			denial{Container: "web", Reason: "dns bypass", Port: "53/udp", Addr: "192.0.2.53"},
		},
		"to an address with a zone, on a port of no protocol": {
			api.Denial{Container: "web", Reason: "denied", Port: 7, Destination: netip.MustParseAddr("fe80::1%x")},
			denial{Container: "web", Reason: "no rule", Port: "7", Addr: "fe80::1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tt.in.Time, tt.want.Time = noon(), "12:00:00"
			if got := newDenial(tt.in, noon()); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}
