package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// selector is a metric in a PromQL expression, and what its labels must be like.
type selector struct {
	metric   string
	matchers []matcher
}

type matcher struct{ label, op, value string }

// values are what the matcher names literally.
func (m matcher) values() []string {
	if strings.ContainsAny(m.value, "$.*+") || m.value == "" {
		return nil
	}
	if strings.HasSuffix(m.op, "~") {
		return strings.Split(m.value, "|")
	}
	return []string{m.value}
}

var promqlTokens = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|[a-zA-Z_:$][a-zA-Z0-9_:]*|[0-9][0-9a-z.]*|=~|!~|!=|[^\s]`)

// promql finds the selectors of an expression, and the labels that it groups or joins by. Whether it is PromQL at all,
// promtool says.
func promql(expr string) (selectors []selector, labels []string) {
	tokens := append(promqlTokens.FindAllString(expr, -1), "", "", "")
	words := []string{"and", "or", "unless", "bool", "offset"}
	listed := []string{"by", "without", "on", "ignoring", "group_left", "group_right"}
	inBraces, inList := false, false
	for i, token := range tokens[:len(tokens)-3] {
		isName := regexp.MustCompile(`^[a-zA-Z_]`).MatchString(token)
		switch {
		case token == "{" || token == "}":
			inBraces = token == "{"
		case token == ")":
			inList = false
		case inBraces && isName:
			last := &selectors[len(selectors)-1]
			last.matchers = append(last.matchers, matcher{token, tokens[i+1], strings.Trim(tokens[i+2], `"`)})
		case inList && isName:
			labels = append(labels, token)
		case slices.Contains(listed, token):
			inList = true
		case isName && tokens[i+1] != "(" && !slices.Contains(listed, tokens[i+1]) && !slices.Contains(words, token):
			selectors = append(selectors, selector{metric: token})
		}
	}
	return selectors, labels
}

// samples are the values of each label of each metric of a scrape, as Prometheus knows them.
func (s scrape) samples() map[string]map[string]map[string]bool {
	out := map[string]map[string]map[string]bool{"up": {"job": {}, "instance": {}}}
	for name, family := range s {
		names := []string{name}
		if family.GetMetric()[0].GetHistogram() != nil {
			names = []string{name + "_bucket", name + "_sum", name + "_count"}
		}
		for _, n := range names {
			out[n] = map[string]map[string]bool{"job": {"dockerwall": true}, "instance": {}}
			for _, m := range family.GetMetric() {
				for _, l := range m.GetLabel() {
					if out[n][l.GetName()] == nil {
						out[n][l.GetName()] = map[string]bool{}
					}
					out[n][l.GetName()][l.GetValue()] = true
				}
			}
			if strings.HasSuffix(n, "_bucket") {
				out[n]["le"] = map[string]bool{}
			}
		}
	}
	return out
}

// unknown says what an expression, or a text with its labels, names that the scrape does not have.
func (s scrape) unknown(expr string, more ...string) (problems []string) {
	samples, known := s.samples(), map[string]bool{}
	selectors, labels := promql(expr)
	if len(selectors) == 0 {
		problems = append(problems, "no metric in "+expr)
	}
	for _, sel := range selectors {
		have, ok := samples[sel.metric]
		if !ok {
			problems = append(problems, "no metric "+sel.metric)
		}
		for label := range have {
			known[label] = true
		}
		for _, m := range sel.matchers {
			if have[m.label] == nil {
				problems = append(problems, fmt.Sprintf("%s has no label %s", sel.metric, m.label))
			}
			for _, value := range m.values() {
				if sel.metric != "up" && !have[m.label][value] {
					problems = append(problems, fmt.Sprintf("%s has no %s=%q", sel.metric, m.label, value))
				}
			}
		}
	}
	for _, label := range append(labels, more...) {
		if !known[label] {
			problems = append(problems, fmt.Sprintf("no label %s in %s, only %q", label, expr, slices.Sorted(maps.Keys(known))))
		}
	}
	return problems
}

// templated are the labels that a legend or an annotation shows.
func templated(text string) (labels []string) {
	for _, m := range regexp.MustCompile(`\{\{\s*(?:\$labels\.)?([a-z_]+)\s*\}\}`).FindAllStringSubmatch(text, -1) {
		labels = append(labels, m[1])
	}
	return labels
}

func TestMetricsOfAnExpressionAreFound(t *testing.T) {
	for expr, want := range map[string]string{
		`a`: "[{a []}] []",
		`sum by (x, y) (rate(a_total{b="c",d=~"e|f"}[5m])) > 10`:                   "[{a_total [{b = c} {d =~ e|f}]}] [x y]",
		`a == 0 and b{c!="(by)"} or absent(up{job="x"})`:                           "[{a []} {b [{c != (by)}]} {up [{job = x}]}] []",
		`a * on (x) group_left (y) b / c`:                                          "[{a []} {b []} {c []}] [x y]",
		`topk(10, sum(increase(a{i=~"$i"}[$__range])) > 0) offset 5m`:              "[{a [{i =~ $i}]}] []",
		`histogram_quantile(0.99, sum by (le) (rate(h_bucket[$__rate_interval])))`: "[{h_bucket []}] [le]",
	} {
		selectors, labels := promql(expr)
		if got := fmt.Sprint(selectors, labels); got != want {
			t.Errorf("%s: %s, want %s", expr, got, want)
		}
	}
}
