package main

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// The dashboard and the alerts in packaging are checked against a scrape of a daemon in which everything moved.

const prometheusDir = "packaging/prometheus"

// scraped is a world with a daemon that has something to say in every family.
type scraped struct {
	*world
	shop, audited *box
}

func newScraped(t *testing.T) scraped {
	w := newWorld(t, lab.DockerOptions{})
	w.names()
	w.DNS.Set("a.refused.example", netip.MustParseAddr("127.0.0.9"))
	w.start(t)
	out := scraped{world: w}
	out.shop = w.run(t, lab.RunSpec{Name: "shop", Network: web, Labels: map[string]string{
		"dockerwall.outbound": "203.0.113.0/28, www.example.com, *.refused.example", "com.docker.compose.project": "corner", "com.docker.compose.service": "till"}})
	out.audited = w.run(t, lab.RunSpec{Name: "audited", Network: web, Labels: map[string]string{"dockerwall.mode": "audit"}})
	w.docker(t, "network", "connect", other, out.audited.ID)
	w.run(t, lab.RunSpec{Name: "mistaken", Network: web, Labels: map[string]string{"dockerwall.outbound": "https://www.example.com/x"}})
	out.shop.reaches(t, "tcp 203.0.113.1:80")
	for _, name := range []string{"www.example.com", "a.refused.example"} {
		if r, err := out.shop.Probe(t.Context(), "lookup", name); err != nil {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	out.move(t)
	return out
}

// move sends 3 packets that are denied and 2 that are audited.
func (w scraped) move(t *testing.T) {
	t.Helper()
	for b, act := range map[*box]string{w.shop: "udp 203.0.113.77:53 -count 3", w.audited: "udp 203.0.113.78:9 -count 2"} {
		if r, err := b.Probe(t.Context(), strings.Fields(act)...); err != nil || r.Sent == 0 {
			t.Fatalf("%+v, %v", r, err)
		}
	}
}

func TestDashboardAndAlertsFitARealScrape(t *testing.T) {
	w := newScraped(t)
	text, s := w.exposition(t), w.scrape(t)
	t.Run("containers are told by verdict and by who they are", func(t *testing.T) { w.verdicts(t, s) })
	t.Run("only the old names offend promtool", func(t *testing.T) { lintExposition(t, text) })
	t.Run("the old families have their labels", func(t *testing.T) { oldLabels(t, s) })
	t.Run("all families are documented", func(t *testing.T) { documented(t, s) })
	t.Run("alerts", func(t *testing.T) { checkAlerts(t, s) })
	t.Run("dashboard", func(t *testing.T) { checkDashboard(t, s) })
	t.Run("Prometheus takes all of it in", func(t *testing.T) { w.prometheus(t) })
}

func (w scraped) verdicts(t *testing.T, s scrape) {
	for _, c := range []struct {
		family string
		want   float64
		labels []string
	}{
		{"dockerwall_egress_packets_total", 3, []string{"name=shop", w.shop.id(), "verdict=denied"}},
		{"dockerwall_egress_bytes_total", 3 * (32 + 28), []string{"name=shop", w.shop.id(), "verdict=denied"}},
		{"dockerwall_egress_denied_packets_total", 3, []string{"name=shop", "reason=denied"}},
		{"dockerwall_egress_denied_packets_total", 0, []string{"name=shop", "reason=invalid"}},
		{"dockerwall_egress_packets_total", 0, []string{"name=audited", "verdict=denied"}},
		{"dockerwall_egress_packets_total", 2, []string{"name=audited", w.audited.id(), "verdict=audited"}},
		{"dockerwall_container_info", 1, []string{w.shop.id(), "name=shop", "image=" + lab.ProbeImage, "project=corner", "service=till", "network=" + web, "mode=enforce"}},
		{"dockerwall_container_info", 1, []string{w.audited.id(), "project=", "service=", "network=" + other + "," + web, "mode=audit"}},
		{"dockerwall_findings", 1, []string{"severity=error"}},
		{"dockerwall_set_elements", 1, []string{"set=denied"}},
		{"dockerwall_set_elements", 0, []string{"set=cut"}},
		{"dockerwall_set_capacity", 1024, []string{"set=denied"}},
	} {
		if got := s.sum(c.family, c.labels...); got != c.want {
			t.Errorf("%s%q is %v, want %v: %v", c.family, c.labels, got, c.want, s[c.family].GetMetric())
		}
	}
	if s.sum("dockerwall_set_elements", "set=clients") == 0 {
		t.Error("nobody asked for a name")
	}
}

// program is one of Prometheus', from the cache.
func prometheusProgram(t *testing.T, name string) string {
	t.Helper()
	dir, err := lab.FetchPrometheus(t.Context())
	if err != nil {
		lab.Cannot(t, "needs Prometheus ("+err.Error()+")")
	}
	return filepath.Join(dir, name)
}

// promtool fails unless promtool is content, and returns what it says.
func promtool(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), prometheusProgram(t, "promtool"), args...).CombinedOutput()
	if err != nil {
		t.Errorf("promtool %q: %v\n%s", args, err, out)
	}
	return string(out)
}

func lintExposition(t *testing.T, text string) {
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), prometheusProgram(t, "promtool"), "check", "metrics")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	want := []string{"dockerwall_container_bytes", "dockerwall_container_packets", "dockerwall_dropped_packets"}
	var got []string
	for line := range strings.Lines(string(out)) {
		name, _, _ := strings.Cut(line, " ")
		got = append(got, name)
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); err == nil || diff != "" { // it fails when anything offends
		t.Errorf("%v (-want +got):\n%s\n%s", err, diff, out)
	}
}

func oldLabels(t *testing.T, s scrape) {
	samples := s.samples()
	for family, want := range map[string]string{
		"dockerwall_container_packets": "action id image name", "dockerwall_container_bytes": "action id image name",
		"dockerwall_dropped_packets": "destination domains id image name port protocol",
	} {
		var got []string
		for label := range samples[family] {
			if label != "job" && label != "instance" {
				got = append(got, label)
			}
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("%s has %q, want %s", family, got, want)
		}
	}
}

// documented compares the families of a real scrape with docs/reference/metrics.md, and the values of labels with those
// that docs/metrics.md explains.
func documented(t *testing.T, s scrape) {
	rows := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(dockerwall_[a-z_]+)` \\|").FindAllStringSubmatch(document(t, "docs/reference/metrics.md"), -1) {
		rows[row[1]] = true
		if s[row[1]] == nil {
			t.Errorf("no %s in the scrape", row[1])
		}
	}
	for family := range s {
		if strings.HasPrefix(family, "dockerwall_") && !rows[family] {
			t.Errorf("%s is not in docs/reference/metrics.md", family)
		}
	}
	samples := s.samples()
	for at, values := range labelValues(t) {
		for value := range samples[at.family][at.label] {
			if !slices.Contains(values, value) {
				t.Errorf("docs/metrics.md does not explain %s{%s=%q}", at.family, at.label, value)
			}
		}
	}
}

// alertRules is a file of rules, as far as we look at it.
type alertRules struct {
	Groups []struct {
		Rules []struct {
			Alert, Expr         string
			Labels, Annotations map[string]string
		}
	}
}

func checkAlerts(t *testing.T, s scrape) {
	var rules alertRules
	if err := yaml.Unmarshal([]byte(document(t, prometheusDir+"/alerts.yaml")), &rules); err != nil {
		t.Fatal(err)
	}
	cases, told := document(t, prometheusDir+"/alerts_test.yaml"), 0
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			told++
			var labels []string
			for key, text := range rule.Annotations {
				labels = append(labels, templated(text)...)
				if key == "runbook" {
					runbook(t, rule.Alert, text)
				}
			}
			for _, problem := range s.unknown(rule.Expr, labels...) {
				t.Errorf("%s: %s", rule.Alert, problem)
			}
			for _, name := range []string{"summary", "description", "runbook"} {
				if rule.Annotations[name] == "" {
					t.Errorf("%s has no %s", rule.Alert, name)
				}
			}
			if !slices.Contains([]string{"critical", "warning", "info"}, rule.Labels["severity"]) {
				t.Errorf("%s: severity %q", rule.Alert, rule.Labels["severity"])
			}
			if !regexp.MustCompile(`(?m)alertname: ` + rule.Alert + `\n +exp_alerts`).MatchString(cases) {
				t.Errorf("%s fires in no test", rule.Alert)
			}
		}
	}
	if told < 12 {
		t.Errorf("%d alerts", told)
	}
	for _, series := range regexp.MustCompile(`- series: '(.*)'`).FindAllStringSubmatch(cases, -1) {
		selectors, _ := promql(series[1])
		for _, m := range selectors[0].matchers { // values are the tests' own
			if s.samples()[selectors[0].metric][m.label] == nil {
				t.Errorf("alerts_test.yaml: %s has no label %s", selectors[0].metric, m.label)
			}
		}
	}
	promtool(t, "check", "rules", filepath.Join("..", "..", prometheusDir, "alerts.yaml"))
	promtool(t, "test", "rules", filepath.Join("..", "..", prometheusDir, "alerts_test.yaml"))
	promtool(t, "check", "config", filepath.Join("..", "..", prometheusDir, "prometheus.yml"))
}

// runbook wants a command of ours in a hint, and that it exists.
func runbook(t *testing.T, alert, text string) {
	root, found := newRoot(environment{getenv: os.Getenv}), false
	for _, command := range regexp.MustCompile("`dockerwall ([a-z ]+)").FindAllStringSubmatch(text, -1) {
		found = true
		c, rest, err := root.Find(strings.Fields(command[1]))
		if err != nil || len(rest) > 0 || c.HasSubCommands() {
			t.Errorf("%s: there is no command %q", alert, command[1])
		}
	}
	if !found {
		t.Errorf("%s: no command in %q", alert, text)
	}
}

func TestThePagesHaveThePrometheusFile(t *testing.T) {
	if !strings.Contains(document(t, "docs/howto/prometheus.md"), "```yaml\n"+document(t, prometheusDir+"/prometheus.yml")+"```") {
		t.Errorf("the snippet in docs/howto/prometheus.md is not %s/prometheus.yml", prometheusDir)
	}
}
