package metrics

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
)

func TestVerdictsAddUpToWhatWasSent(t *testing.T) {
	part := func(name string, packets uint64) Part {
		return Part{Name: name, Packets: packets, Bytes: 100 * packets, Invalid: name == "invalid"}
	}
	one := func(sent, denied, invalid uint64, audited bool) Container { // invalid are of denied
		return Container{ID: strings.Repeat("ab", 32), Name: "web", Mode: ModeEnforce, Audited: audited,
			Sent: []Part{part("sent", sent)}, Drops: []Part{part("drop", denied-invalid), part("invalid", invalid)}}
	}
	for name, c := range map[string]struct {
		readings []Container
		want     string // allowed, denied and audited packets; bytes are a hundredfold; denied and invalid by reason
	}{
		"all of it is allowed":                         {[]Container{one(10, 0, 0, false)}, "10 0 none 0 0"},
		"what is denied is not allowed":                {[]Container{one(10, 4, 1, false)}, "6 4 none 3 1"},
		"in audit nothing is denied":                   {[]Container{one(10, 4, 1, true)}, "6 0 4 3 1"},
		"each packet stays under the verdict it had":   {[]Container{one(10, 4, 0, true), one(20, 9, 0, false), one(21, 10, 0, true)}, "11 5 5 10 0"},
		"a kernel that starts anew takes nothing back": {[]Container{one(10, 4, 2, false), one(3, 1, 1, false)}, "8 5 none 2 3"},
	} {
		t.Run(name, func(t *testing.T) {
			var now Container
			m := scraped(t, func(context.Context) Snapshot { return Snapshot{Containers: []Container{now}} })
			var text string
			for _, now = range c.readings {
				text = exposition(t, expfmt.NewFormat(expfmt.TypeTextPlain), ours(t, m))
			}
			value := func(family, label string) string {
				_, rest, found := strings.Cut(text, "\n"+family+`{id="ababababababababab",name="web",`+label+`"} `)
				if !found {
					return "none"
				}
				rest, _, _ = strings.Cut(rest, "\n")
				return rest
			}
			var got []string
			for _, verdict := range []string{verdictAllowed, verdictDenied, verdictAudited} {
				packets, bytes := value("dockerwall_egress_packets_total", `verdict="`+verdict), value("dockerwall_egress_bytes_total", `verdict="`+verdict)
				if bytes != "none" && bytes != strings.TrimPrefix(packets+"00", "000") && packets != "0" {
					t.Errorf("%s: %s packets, %s bytes", verdict, packets, bytes)
				}
				got = append(got, packets)
			}
			for _, reason := range []string{ReasonDenied, ReasonInvalid} {
				got = append(got, value("dockerwall_egress_denied_packets_total", `reason="`+reason))
			}
			if g := strings.Join(got, " "); g != c.want {
				t.Errorf("got %s, want %s\n%s", g, c.want, text)
			}
		})
	}
}

func TestTheOldFamiliesCanBeLeftOut(t *testing.T) {
	m, err := New(Options{Source: always(busy()), NoCompat: true})
	if err != nil {
		t.Fatal(err)
	}
	text := exposition(t, expfmt.NewFormat(expfmt.TypeTextPlain), ours(t, m))
	for _, old := range []string{"dockerwall_container_packets", "dockerwall_container_bytes", "dockerwall_dropped_packets", "dockerwall_metrics_overflow"} {
		if strings.Contains(text, old) {
			t.Errorf("%s is still there", old)
		}
	}
	if want := `dockerwall_egress_packets_total{id="3f2a91b0c4d5e6f7a8",name="web",verdict="denied"} 60` + "\n"; !strings.Contains(text, want) {
		t.Errorf("no %s in\n%s", want, text)
	}
}

func TestAThousandContainersHaveSoManySeries(t *testing.T) {
	var s Snapshot
	for i := range 1000 {
		k := newKernel(i, 100)
		for n := range 60 {
			k.deny(address(1000*i+n), 1)
		}
		k.c.Audited, k.c.Network = i%2 == 0, fmt.Sprint("network ", i)
		s.Containers = append(s.Containers, k.c)
	}
	got := map[string]int{}
	for _, f := range ours(t, scraped(t, always(s))) {
		got[f.GetName()] = len(f.GetMetric())
	}
	for family, want := range map[string]int{
		"dockerwall_egress_packets_total": 2500, "dockerwall_egress_bytes_total": 2500, "dockerwall_egress_denied_packets_total": 2000,
		"dockerwall_container_info": 1000, "dockerwall_container_packets": 2000, "dockerwall_container_bytes": 2000,
	} {
		if got[family] != want {
			t.Errorf("%s has %d series, want %d", family, got[family], want)
		}
	}
	if n := got["dockerwall_dropped_packets"]; n > 1000 {
		t.Errorf("%d series of destinations", n)
	}
}
