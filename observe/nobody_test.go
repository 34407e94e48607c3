package observe

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dockerwall/dockerwall/nft"
)

func TestPacketsOfNobodyAreToldWithWhatNflogShowed(t *testing.T) {
	stranger := Sighting{Reason: nft.Unknown, Source: netip.MustParseAddr("172.18.0.99"), Interface: "br-1", Target: target(1), Packets: 3}
	told := func(s Sighting, packets, bytes uint64) Denial {
		return Denial{Time: start(), Reason: string(s.Reason), Source: s.Source, Interface: s.Interface, Target: s.Target, Packets: packets, Bytes: bytes}
	}
	rest := func(r nft.Reason, packets, bytes uint64) Denial {
		return Denial{Time: start(), Reason: string(r), Packets: packets, Bytes: bytes}
	}
	containers := []nft.Part{{ID: web, Name: "invalid4 a", Invalid: true, Count: count(4, 400)}}
	tests := map[string]struct {
		reading Reading
		want    []Denial
	}{
		"all were shown":    {Reading{Sightings: []Sighting{stranger}, Reasons: reasons(nft.Unknown, 3, 180)}, []Denial{told(stranger, 3, 180)}},
		"some were shown":   {Reading{Sightings: []Sighting{stranger}, Reasons: reasons(nft.Unknown, 9, 900)}, []Denial{told(stranger, 3, 300), rest(nft.Unknown, 6, 600)}},
		"none was":          {Reading{Reasons: reasons(nft.Cutoff, 2, 80)}, []Denial{rest(nft.Cutoff, 2, 80)}},
		"more than counted": {Reading{Sightings: []Sighting{stranger}, Reasons: reasons(nft.Unknown, 2, 120)}, []Denial{told(stranger, 2, 120)}},
		"stray segments are containers' and others' in one": {Reading{Reasons: reasons(nft.Stray, 5, 200)}, nil},
		"what containers' counters have is theirs": {Reading{Parts: containers, Reasons: reasons(nft.Invalid, 5, 460)}, []Denial{
			{Time: start(), ContainerID: web, Reason: string(nft.Invalid), Packets: 4, Bytes: 400}, rest(nft.Invalid, 1, 60),
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.reading.Time = start()
			got := NewLedger(&Baseline{}).Take(tt.reading)
			if diff := cmp.Diff(tt.want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func reasons(r nft.Reason, packets, bytes uint64) map[nft.Reason]nft.Count {
	return map[nft.Reason]nft.Count{r: count(packets, bytes)}
}

// TestPacketsOfNobodyAddUp also where what containers had of a reason is read after the reason, and is ahead.
func TestPacketsOfNobodyAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, k := NewLedger(&Baseline{}), newCounted(3)
		var others, told nft.Count
		look := func(between nft.Count) {
			r := Reading{Time: start(), Reasons: map[nft.Reason]nft.Count{nft.Invalid: plus(others, k.invalid["a"])}}
			if between.Packets > 0 {
				k.misplace("a", between)
			}
			r.Parts = k.parts(web)
			for range rapid.IntRange(0, 2).Draw(t, "sightings") {
				r.Sightings = append(r.Sightings, Sighting{Reason: nft.Invalid, Packets: rapid.Uint64Range(1, 3).Draw(t, "seen"), Interface: "br-1"})
			}
			for _, d := range l.Take(r) {
				if d.ContainerID == "" {
					told = plus(told, nft.Count{Packets: d.Packets, Bytes: d.Bytes})
				}
			}
			if told.Packets > others.Packets || told.Bytes > others.Bytes {
				t.Fatalf("told %v, others had %v", told, others)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"others":    func(*rapid.T) { others = plus(others, count(rapid.Uint64Range(1, 9).Draw(t, "packets"), 500)) },
			"container": func(*rapid.T) { k.misplace("a", count(2, 90)) },
			"read":      func(*rapid.T) { look(nft.Count{}) },
			"read late": func(*rapid.T) { look(count(3, 200)) },
			"the daemon starts again": func(*rapid.T) {
				b := l.Baseline()
				l = NewLedger(&b)
			},
			"": func(*rapid.T) {},
		})
		look(nft.Count{})
		if told.Packets != others.Packets {
			t.Fatalf("told %v, others had %v", told, others)
		}
	})
}
