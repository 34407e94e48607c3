package nft

import (
	"slices"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/pair"
)

// withoutRules is the text of tables with the rules of some base chains left out, of a table whose line begins with in.
func withoutRules(text, in string, chains ...string) string {
	var b strings.Builder
	table, chain := false, ""
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "table "):
			table = strings.HasPrefix(line, in)
		case strings.HasPrefix(line, "\tchain "):
			chain = strings.Fields(line)[1]
		case line == "\t}\n":
			chain = ""
		}
		rule := strings.HasPrefix(line, "\t\t") && !strings.HasPrefix(line, "\t\ttype ")
		if !table || !rule || !slices.Contains(chains, chain) {
			b.WriteString(line)
		}
	}
	return b.String()
}

// BenchmarkBudgetPathParts tells what of the table a forwarded packet of an established flow takes its time in: each step has
// one part more than the one before.
func BenchmarkBudgetPathParts(b *testing.B) {
	whole := crowd(1000).String()
	fence, _, _ := strings.Cut(whole, "table bridge ")
	unbound := withoutRules(whole, "table bridge", chainPorts)
	steps := []struct{ name, text string }{
		{"no table", ""},
		{"base chains of table inet, empty", withoutRules(fence, "table inet", chainPrerouting, chainForward)},
		{"those of table bridge, empty", withoutRules(unbound, "table inet", chainPrerouting, chainForward)},
		{"prerouting: frames to many", withoutRules(unbound, "table inet", chainForward)},
		{"forward: what each source sends is counted, and established", unbound},
		{"ports: MAC and address are the port's", whole},
	}
	pin(b)
	var all []*traffic
	var ways []func() float64
	for _, s := range steps {
		r := newRoad(b, 1000)
		if s.text != "" {
			lab.Nft(b, r.host, s.text, "-f", "-")
		}
		t := r.flowing(b, true)
		all, ways = append(all, t), append(ways, func() float64 { return 1e9 / t.rate(b) })
	}
	got := make([]pair.Samples, len(ways))
	pair.Rounds(func(round int) {
		slice := make([]pair.Samples, len(ways))
		for i := range 200 * len(ways) {
			at := (round + i + i/len(ways)) % len(ways)
			slice[at] = append(slice[at], ways[at]())
		}
		for i := range ways { // what else goes on falls on the slow ones: parts are small
			got[i] = append(got[i], slice[i].Quantile(0.1))
		}
	})
	cameAll(b, all)
	for i, s := range steps {
		f := pair.Figure{Case: "forwarded packet, " + s.name, Unit: "ns", Ours: got[i]}
		if i > 0 {
			f.Beside, f.Theirs = "one part less", got[i-1]
		}
		b.Run(s.name, f.Report)
	}
}
