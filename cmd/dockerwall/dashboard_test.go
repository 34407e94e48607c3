package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// dashboard is Grafana's JSON, as far as we look at it.
type dashboard struct {
	ID            *int
	UID, Title    string
	SchemaVersion int
	Templating    struct{ List []variable }
	Panels        []dashboardPanel
}

type variable struct {
	Name, Type, Definition string
	Datasource             struct{ UID string }
}

type dashboardPanel struct {
	ID                  int
	Type, Title, Repeat string
	Datasource          struct{ UID string }
	GridPos             struct{ X, Y, W, H int }
	Targets             []struct {
		Expr, LegendFormat, RefID string
		Datasource                struct{ UID string }
	}
	Panels []dashboardPanel
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(document(t, "packaging/grafana/dockerwall.json")), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func checkDashboard(t *testing.T, s scrape) {
	d := readDashboard(t)
	if d.ID != nil || d.UID != "dockerwall" || d.SchemaVersion < 36 || d.SchemaVersion > 38 { // Grafana 10.0 writes 38
		t.Errorf("id %v, uid %q, schema %d", d.ID, d.UID, d.SchemaVersion)
	}
	checkVariables(t, s, d)
	var rows []string
	for _, p := range d.Panels {
		if p.Type == "row" {
			rows = append(rows, p.Title)
			continue
		}
		if p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
			t.Errorf("%s: datasource %q, %d queries", p.Title, p.Datasource.UID, len(p.Targets))
		}
		for _, target := range p.Targets {
			if target.Datasource.UID != "${datasource}" {
				t.Errorf("%s: datasource %q of a query", p.Title, target.Datasource.UID)
			}
			for _, problem := range s.unknown(target.Expr, templated(target.LegendFormat)...) {
				t.Errorf("%s: %s", p.Title, problem)
			}
		}
	}
	if want := []string{"Health", "Top denied", "Container $container"}; !slices.Equal(rows, want) {
		t.Errorf("rows %q, want %q", rows, want)
	}
	checkLayout(t, d.Panels)
	promtool(t, "check", "rules", recordingRules(t, d))
}

func checkVariables(t *testing.T, s scrape, d dashboard) {
	known := []string{"__all", "__range", "__rate_interval"}
	for _, v := range d.Templating.List {
		known = append(known, v.Name)
		if v.Type == "datasource" {
			continue
		}
		values := regexp.MustCompile(`^label_values\((.*), ([a-z]+)\)$`).FindStringSubmatch(v.Definition)
		if values == nil || v.Datasource.UID != "${datasource}" {
			t.Errorf("variable %s: %s of %s", v.Name, v.Definition, v.Datasource.UID)
			continue
		}
		for _, problem := range s.unknown(values[1], values[2]) {
			t.Errorf("variable %s: %s", v.Name, problem)
		}
	}
	for _, used := range regexp.MustCompile(`\$\{?([a-z_]+)`).FindAllStringSubmatch(document(t, "packaging/grafana/dockerwall.json"), -1) {
		if !slices.Contains(known, used[1]) {
			t.Errorf("variable %s is used, and not there", used[1])
		}
	}
}

// checkLayout wants panels to have numbers of their own and places that do not overlap.
func checkLayout(t *testing.T, panels []dashboardPanel) {
	ids := map[int]bool{}
	for i, p := range panels {
		if ids[p.ID] || p.ID == 0 || len(p.Panels) > 0 {
			t.Errorf("%s: number %d, %d panels within", p.Title, p.ID, len(p.Panels))
		}
		ids[p.ID] = true
		a := p.GridPos
		if a.W < 1 || a.H < 1 || a.X < 0 || a.X+a.W > 24 {
			t.Errorf("%s: at %+v", p.Title, a)
		}
		for _, q := range panels[:i] {
			if b := q.GridPos; a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("%s lies over %s", p.Title, q.Title)
			}
		}
	}
}

// filled is an expression as Grafana would send it.
func filled(expr string) string {
	return strings.NewReplacer("$__rate_interval", "20s", "$__range", "1m", "$instance", ".*", "$container", ".*").Replace(expr)
}

// recordingRules writes the queries as rules, so that promtool reads them.
func recordingRules(t *testing.T, d dashboard) string {
	t.Helper()
	type rule struct{ Record, Expr string }
	var rules []rule
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			rules = append(rules, rule{fmt.Sprintf("panel_%d:%s", p.ID, target.RefID), filled(target.Expr)})
		}
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// prometheus runs one with the file of the README and asks it what the dashboard asks.
func (w scraped) prometheus(t *testing.T) {
	dir := t.TempDir()
	config := strings.Replace(document(t, prometheusDir+"/prometheus.yml"), "scrape_interval: 15s", "scrape_interval: 1s", 1)
	for name, text := range map[string]string{
		"prometheus.yml": "global: {evaluation_interval: 1s}\n" + config, "alerts.yaml": document(t, prometheusDir+"/alerts.yaml"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var log logged
	cmd := w.HostCommand(t.Context(), prometheusProgram(t, "prometheus"), "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:9090")
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(tail(log.String()))
		}
	})
	next := time.Now()
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			eventually(t, func() error {
				if time.Now().After(next) { // rates need something that moves
					w.move(t)
					next = time.Now().Add(time.Second)
				}
				if err := w.ask(t, "query?query="+url.QueryEscape(filled(target.Expr)), `"result":[{`); err != nil {
					return fmt.Errorf("%s: %s: %w", p.Title, target.Expr, err)
				}
				return nil
			})
		}
	}
	eventually(t, func() error { return w.ask(t, "rules", `"health":"ok"`, `"name":"DockerwallSetNearlyFull"`) })
	if err := w.ask(t, "rules", `"health":"err"`); err == nil {
		t.Error("a rule cannot be evaluated")
	}
}

// ask wants the words in an answer of Prometheus' API.
func (w scraped) ask(t *testing.T, path string, words ...string) error {
	t.Helper()
	body, err := w.Host.Get(t.Context(), "http://127.0.0.1:9090/api/v1/"+path)
	for _, word := range append(words, `"status":"success"`) {
		if err == nil && !strings.Contains(body, word) {
			err = errors.New(body)
		}
	}
	return err
}
