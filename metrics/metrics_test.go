package metrics

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

var update = flag.Bool("update", false, "rewrite the golden scrapes")

// scraped is a Metrics on a pedantic registry.
func scraped(t *testing.T, source func(context.Context) Snapshot) *Metrics {
	t.Helper()
	m, err := New(Options{Source: source, Registry: prometheus.NewPedanticRegistry(), Version: "1.0.0", Revision: "0123abc"})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// always gives one snapshot.
func always(s Snapshot) func(context.Context) Snapshot {
	return func(context.Context) Snapshot { return s }
}

// ours are the families of the scrape that are not Go's or the process's.
func ours(t *testing.T, m *Metrics) []*dto.MetricFamily {
	t.Helper()
	families, err := m.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(families, func(f *dto.MetricFamily) bool { return !strings.HasPrefix(f.GetName(), "dockerwall_") })
}

// exposition writes families as a scrape would get them.
func exposition(t *testing.T, format expfmt.Format, families []*dto.MetricFamily) string {
	t.Helper()
	var out bytes.Buffer
	encoder := expfmt.NewEncoder(&out, format)
	for _, f := range families {
		if err := encoder.Encode(f); err != nil {
			t.Fatalf("%s: %v", f.GetName(), err)
		}
	}
	if closer, ok := encoder.(expfmt.Closer); ok {
		if err := closer.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

func formats() map[string]expfmt.Format {
	return map[string]expfmt.Format{
		"scrape.txt":         expfmt.NewFormat(expfmt.TypeTextPlain),
		"scrape.openmetrics": expfmt.NewFormat(expfmt.TypeOpenMetrics),
	}
}

// busy is a state in which every family has something to say.
func busy() Snapshot {
	web := Container{
		ID: "3f2a91b0c4d5e6f7a8" + strings.Repeat("0", 46), Name: "web", Image: "registry.example.com/web:1",
		Sent:    []Part{{Name: "sent4", Packets: 900, Bytes: 90000}, {Name: "sent6", Packets: 100, Bytes: 10000}},
		Drops:   []Part{{Name: "drop", Packets: 58, Bytes: 5800}, {Name: "invalid4", Invalid: true, Packets: 2, Bytes: 200}},
		Project: "shop", Service: "web", Network: "back,front", Mode: ModeEnforce,
		Denied: []Denied{
			{Dst: netip.MustParseAddr("198.51.100.9"), Port: 443, Proto: protoTCP, Packets: 30, Bytes: 3000, Names: []string{"b.example.com", "a.example.com"}},
			{Dst: netip.MustParseAddr("198.51.100.9"), Port: 8443, Proto: protoTCP, Packets: 10, Bytes: 1000},
			{Dst: netip.MustParseAddr("198.51.100.9"), Port: 9443, Proto: protoTCP, Packets: 5, Bytes: 500},
			{Dst: netip.MustParseAddr("2001:db8::9"), Proto: protoICMPv6, Packets: 7, Bytes: 700, Names: []string{"quote\"back\\slash\nline.example.com"}},
		},
	}
	quiet := Container{ID: strings.Repeat("ab", 32), Name: "db", Image: "db", Sent: []Part{{Name: "sent4", Packets: 5, Bytes: 50}}, Mode: ModeAudit, Audited: true, Network: "back"}
	return Snapshot{
		Containers: []Container{web, quiet},
		Reasons:    map[string]uint64{"unknown": 3, "invalid": 2},
		Enforcing:  true, DockerUp: true, Fenced: 2, Unfenced: 1,
		ResolverQueries: map[string]uint64{"answer": 3, "nxdomain": 1},
		DNS: DNS{
			Mode: "xt", Replies: map[string]uint64{"learned": 7, "nothing": 2}, Refused: map[string]uint64{"private": 1}, Learned: 5, Cut: 1, Evicted: 2,
			Late: 1, Errors: map[string]uint64{"verdict": 1}, Waiting: 3, HeldCount: 9, HeldSum: 0.002, Held: map[float64]uint64{0.0001: 4, 0.001: 9},
		}, LabelErrors: []LabelErrors{{ID: web.ID, Name: "web", Count: 2}},
		Findings: map[string]int{SeverityError: 2, SeverityWarning: 1},
		Sets:     []Set{{Kind: "denied", Elements: 3, Capacity: 1024}, {Kind: "cut", Capacity: 262144}, {Kind: "clients", Elements: 2, Capacity: 65535}},
	}
}

func TestGoldenScrape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // time stands still for the timestamps
		m := scraped(t, always(busy()))
		m.Applied(3*time.Millisecond, nil)
		m.Applied(time.Second, errors.New("no"))
		m.Restored(CauseNotified)
		m.NflogLost(12)
		m.NotificationsLost()
		families := ours(t, m)
		for name, format := range formats() {
			file := filepath.Join("testdata", name)
			got := strings.ReplaceAll(exposition(t, format, families), runtime.Version(), "GO")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
		}
	})
}

func TestScrapesAreValidWithAnyNumberOfContainers(t *testing.T) {
	for name, containers := range map[string]int{"none": 0, "one": 1, "two": 2, "many": 1000} {
		t.Run(name, func(t *testing.T) {
			var s Snapshot
			for i := range containers {
				k := newKernel(i, 100)
				for n := range i % 40 {
					k.deny(address(n), 5)
				}
				k.c.Denied = append(k.c.Denied, Denied{Dst: address(i), Proto: 6, Port: 1, Packets: 1, Names: []string{"\"\\\n\xff\x00"}})
				s.Containers = append(s.Containers, k.c)
				s.LabelErrors = append(s.LabelErrors, LabelErrors{ID: k.c.ID, Name: "a\"b", Count: 1}, LabelErrors{ID: k.c.ID})
			}
			m := scraped(t, always(s))
			for range 2 {
				families := ours(t, m)
				checkText(t, exposition(t, expfmt.NewFormat(expfmt.TypeTextPlain), families), len(families))
				checkOpenMetrics(t, exposition(t, expfmt.NewFormat(expfmt.TypeOpenMetrics), families))
			}
		})
	}
}

// checkText parses the text format as Prometheus does, and counts each HELP and TYPE.
func checkText(t *testing.T, text string, families int) {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	parsed, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil || len(parsed) != families {
		t.Fatalf("%d of %d families: %v", len(parsed), families, err)
	}
	for _, word := range []string{"# HELP ", "# TYPE "} {
		if got := strings.Count(text, word); got != families {
			t.Errorf("%d lines of %q for %d families", got, word, families)
		}
	}
	for _, name := range []string{"dockerwall_container_packets", "dockerwall_container_bytes", "dockerwall_dropped_packets"} {
		if f := parsed[name]; f != nil && f.GetType() != dto.MetricType_COUNTER {
			t.Errorf("%s is a %v", name, f.GetType())
		}
	}
}

// checkOpenMetrics holds text against the rules of the OpenMetrics 1.0 text format: one block of
// lines for each family, no family named as another's sample, no sample twice, an EOF.
func checkOpenMetrics(t *testing.T, text string) {
	t.Helper()
	sample := regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{([a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\["\\n])*",?)*\})? [0-9.e+-]+$`)
	suffixes := map[string][]string{
		"counter": {"_total", "_created"}, "gauge": {""}, "unknown": {""}, "histogram": {"_bucket", "_count", "_sum", "_created"},
	}
	types, seen, family := map[string]string{}, map[string]bool{}, ""
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if lines[len(lines)-1] != "# EOF" {
		t.Fatalf("ends in %q", lines[len(lines)-1])
	}
	for _, line := range lines[:len(lines)-1] {
		if strings.HasPrefix(line, "# ") {
			words := strings.SplitN(line, " ", 4)
			if words[1] == "TYPE" {
				family = words[2]
				if types[family] != "" {
					t.Errorf("second %s", line)
				}
				types[family] = words[3]
			}
			continue
		}
		match := sample.FindStringSubmatch(line)
		if match == nil {
			t.Fatalf("not a sample: %s", line)
		}
		suffix, ok := strings.CutPrefix(match[1], family)
		if !ok || !slices.Contains(suffixes[types[family]], suffix) {
			t.Errorf("%s in family %s of type %s", match[1], family, types[family])
		}
		if key := match[1] + match[2]; seen[key] {
			t.Errorf("twice: %s", key)
		} else {
			seen[key] = true
		}
	}
	for name, kind := range types {
		for _, suffix := range suffixes[kind] {
			if suffix != "" && types[name+suffix] != "" {
				t.Errorf("%s clashes with %s", name, name+suffix)
			}
		}
	}
}

func TestOnlyTheOldNamesOffendTheLinter(t *testing.T) {
	m := scraped(t, always(busy()))
	problems, err := testutil.GatherAndLint(m.Registry())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, p := range problems {
		got[p.Metric] = true
	}
	want := map[string]bool{"dockerwall_container_packets": true, "dockerwall_container_bytes": true, "dockerwall_dropped_packets": true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems %v (-want +got):\n%s", problems, diff)
	}
}

func TestDeniedPacketsByReasonOutliveTheirContainer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := busy()
		m := scraped(t, func(context.Context) Snapshot { return s })
		ours(t, m)
		s = Snapshot{Reasons: map[string]uint64{"unknown": 4}}
		time.Sleep(keepDead)
		text := exposition(t, expfmt.NewFormat(expfmt.TypeTextPlain), ours(t, m))
		for _, want := range []string{
			`dockerwall_denied_packets_total{reason="denied"} 58`,
			`dockerwall_denied_packets_total{reason="unknown"} 4`,
			`dockerwall_denied_packets_total{reason="invalid"} 2`,
			`dockerwall_denied_packets_total{reason="stray"} 0`,
			`dockerwall_enforcing 0`,
		} {
			if !strings.Contains(text, want+"\n") {
				t.Errorf("no %s", want)
			}
		}
		if strings.Contains(text, `name="web"`) {
			t.Error("the dead are still there")
		}
	})
}

func TestADryRunDoesNotEnforce(t *testing.T) {
	m := scraped(t, always(Snapshot{Enforcing: true, DryRun: true}))
	text := exposition(t, expfmt.NewFormat(expfmt.TypeTextPlain), ours(t, m))
	if !strings.Contains(text, "dockerwall_enforcing 0\n") || !strings.Contains(text, "dockerwall_dry_run 1\n") {
		t.Error(text)
	}
}

func TestANilMetricsRecordsNothing(t *testing.T) {
	var m *Metrics
	m.Applied(time.Second, nil)
	m.Restored(CauseNotified)
	m.NflogLost(1)
	m.NotificationsLost()
}

func TestNewRefusesAnUnknownDestination(t *testing.T) {
	if _, err := New(Options{Destination: "country"}); err == nil {
		t.Error("accepted")
	}
}
