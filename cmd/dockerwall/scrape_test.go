package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// scrape is what the daemon's metrics say, summed over the series that have all of the labels NAME=value.
type scrape map[string]*dto.MetricFamily

func (w *world) scrape(t testing.TB) scrape {
	t.Helper()
	body := w.exposition(t)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatalf("parse the scrape: %v\n%s", err, body)
	}
	return families
}

// exposition is a scrape as it comes.
func (w *world) exposition(t testing.TB) string {
	t.Helper()
	body, err := w.Host.Get(t.Context(), "http://127.0.0.1:50000/metrics")
	if err != nil {
		t.Fatal(err)
	}
	return body + "\n"
}

func (s scrape) sum(family string, labels ...string) (total float64) {
	for _, m := range s[family].GetMetric() {
		has := map[string]bool{}
		for _, l := range m.GetLabel() {
			has[l.GetName()+"="+l.GetValue()] = true
		}
		matches := true
		for _, l := range labels {
			matches = matches && has[l]
		}
		if matches {
			total += m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
		}
	}
	return total
}

// packets are what a container sent beyond its networks, by what became of them.
func (s scrape) packets(b *box, action string) float64 {
	return s.sum("dockerwall_container_packets", b.id(), "action="+action)
}

func TestMetricsMoveAsTrafficDoes(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.names()
	w.start(t)
	b := w.run(t, lab.RunSpec{Name: "talker", Network: web, Labels: map[string]string{"dockerwall.outbound": "203.0.113.7, www.example.com:443"}})
	b.reaches(t, "udp 203.0.113.7:5000", "tcp 203.0.113.10:443") // the name is resolved
	before := w.scrape(t)
	out, err := b.Probe(t.Context(), "udp", "203.0.113.7:5000", "-count", "11", "-wait", "2s")
	if err != nil || out.Received != 11 {
		t.Fatalf("%+v, %v", out, err)
	}
	for _, a := range []string{"udp 203.0.113.8:53 -count 7", "udp 203.0.113.10:5000 -count 5", "udp [2001:db8:1::8]:9 -count 3"} {
		if _, err := b.Probe(t.Context(), strings.Fields(a)...); err != nil {
			t.Fatal(err)
		}
	}
	s := w.scrape(t)
	t.Logf("after:\n%s", strings.ReplaceAll(fmt.Sprint(s["dockerwall_dropped_packets"].GetMetric()), " label", "\nlabel"))
	who := []string{b.id(), "name=talker", "image=" + lab.ProbeImage}
	for name, c := range map[string]struct {
		family string
		labels []string
		want   float64
	}{
		"accepted packets": {"dockerwall_container_packets", []string{"action=accept"}, 11},
		"accepted bytes":   {"dockerwall_container_bytes", []string{"action=accept"}, 11 * (32 + 28)},
		"dropped packets":  {"dockerwall_container_packets", []string{"action=drop"}, 15},
		"dropped bytes":    {"dockerwall_container_bytes", []string{"action=drop"}, 12*(32+28) + 3*(32+48)},
		"by destination":   {"dockerwall_dropped_packets", []string{"destination=203.0.113.8", "port=53", "protocol=udp", "domains="}, 7},
		"with its name":    {"dockerwall_dropped_packets", []string{"destination=203.0.113.10", "port=>1024", "protocol=udp", "domains=www.example.com"}, 5},
		"of IPv6":          {"dockerwall_dropped_packets", []string{"destination=2001:db8:1::8", "port=9", "protocol=udp"}, 3},
		"all destinations": {"dockerwall_dropped_packets", nil, 15},
	} {
		labels := append(c.labels, who...)
		if got := s.sum(c.family, labels...) - before.sum(c.family, labels...); got != c.want {
			t.Errorf("%s: %v more, want %v", name, got, c.want)
		}
	}
	if s.sum("dockerwall_enforcing") != 1 || s.sum("dockerwall_docker_up") != 1 || s.sum("dockerwall_containers", "state=fenced") != 1 {
		t.Error("the health families do not say that one container is fenced")
	}
	t.Run("a full record of destinations keeps totals exact and lets nothing through", func(t *testing.T) { fullRecord(t, w, b) })
	t.Run("100,000 random destinations have at most 500 series and exact totals", func(t *testing.T) { randomDestinations(t, w) })
	t.Run("a container that loses an address keeps its totals", func(t *testing.T) { lostAddress(t, w) })
	t.Run("OpenMetrics ends as it must", func(t *testing.T) { w.openMetrics(t) })
}

// fullRecord sends to more destinations than the kernel's set of a container holds.
func fullRecord(t *testing.T, w *world, b *box) {
	const destinations = 2048
	before := w.scrape(t)
	script := []string{"script"}
	for i := range destinations {
		script = append(script, fmt.Sprintf("udp [2001:db8:2::%x]:%d", i, 9))
	}
	if _, err := b.Probe(t.Context(), script...); err != nil {
		t.Fatal(err)
	}
	s := w.scrape(t)
	if got := s.packets(b, "drop") - before.packets(b, "drop"); got != destinations {
		t.Errorf("%v dropped, want %d", got, destinations)
	}
	if got := s.sum("dockerwall_dropped_packets", b.id()); got != s.packets(b, "drop") {
		t.Errorf("by destination %v, in all %v", got, s.packets(b, "drop"))
	}
	if s.sum("dockerwall_dropped_packets", b.id(), "destination=other") == 0 {
		t.Error("nothing is told as other")
	}
	flows, err := w.Flows()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range flows {
		if strings.HasPrefix(f.Destination.String(), "2001:db8:2:") {
			t.Errorf("arrived: %+v", f)
		}
	}
}

// openMetrics checks the form that Prometheus asks for first.
func (w *world) openMetrics(t *testing.T) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: w.Host.Dial}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:50000/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "application/openmetrics-text;version=1.0.0")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var body strings.Builder
	if err := response.Write(&body); err != nil {
		t.Fatal(err)
	}
	text := body.String()
	if !strings.Contains(text, "application/openmetrics-text") || !strings.HasSuffix(strings.TrimRight(text, "\r\n0"), "# EOF") {
		t.Errorf("not OpenMetrics:\n%s", tail(text))
	}
	if !strings.Contains(text, "\n# TYPE dockerwall_container_packets ") {
		t.Error("the old families are missing")
	}
}

// id is the container's label in the metrics: as many digits as the program of old had.
func (b *box) id() string { return "id=" + b.ID[:18] }
