package policy

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the wanted part of the corpora")

// TestLabels reads testdata/labels: a container's labels, its image's where there is one, and what
// must come of them.
func TestLabels(t *testing.T) {
	files, err := filepath.Glob("../testdata/labels/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			given := map[string]map[string]string{}
			want := &txtar.File{Name: "want"}
			for i, f := range ar.Files {
				if f.Name == "want" {
					want = &ar.Files[i]
					continue
				}
				var labels map[string]string
				if err := json.Unmarshal(f.Data, &labels); err != nil {
					t.Fatalf("%s: %v", f.Name, err)
				}
				given[f.Name] = labels
			}
			got := describe(ParseLabels(given["labels.json"], given["image.json"]))
			if *update {
				want.Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got != string(want.Data) {
				t.Errorf("got\n%swant\n%s", got, want.Data)
			}
		})
	}
}

func describe(l Labels, problems []Problem) string {
	var b strings.Builder
	fmt.Fprintf(&b, "mode %v, reject %v, void %v\n", l.Mode, l.Reject, l.Outbound.Void)
	for _, t := range l.Outbound.Tokens {
		fmt.Fprintf(&b, "token %v\n", t)
	}
	for _, p := range problems {
		fmt.Fprintf(&b, "%v\n", p)
	}
	return b.String()
}

func TestImageLabelsAreTrustedWithoutImage(t *testing.T) {
	labels := map[string]string{LabelOutbound: "a.example", LabelMode: "off"}
	if l, problems := ParseLabels(labels, nil); len(l.Outbound.Tokens) != 1 || l.Mode != ModeOff || len(problems) > 0 {
		t.Errorf("got %+v, %v", l, problems)
	}
	if l, problems := ParseLabels(labels, labels); len(l.Outbound.Tokens) != 0 || l.Mode != ModeEnforce || len(problems) != 2 {
		t.Errorf("got %+v, %v", l, problems)
	}
}

func TestParseLabelsBoundsProblems(t *testing.T) {
	labels := map[string]string{LabelOutbound: strings.Repeat("x,", 100)}
	for i := range 100 {
		labels[fmt.Sprintf("dockerwall.\x1b%d", i)] = strings.Repeat("x", 1<<10)
	}
	_, problems := ParseLabels(labels, nil)
	if len(problems) != maxProblems+1 {
		t.Errorf("%d problems", len(problems))
	}
	for _, p := range problems {
		checkPrintable(t, p)
	}
}

func TestNearest(t *testing.T) {
	tests := map[string]string{
		"dockerwall.output": LabelOutbound, "dockerwall.outbounds": LabelOutbound, "dockerwall.outbund": LabelOutbound,
		"dockerwall.mod": LabelMode, "dockerwall.denied": LabelDeny, "dockerwall.": "", "dockerwall.policy": "",
		"dockerwall." + strings.Repeat("outbound", 1000): "",
	}
	for key, want := range tests {
		if got := nearest(key, LabelOutbound, LabelMode, LabelDeny); got != want {
			t.Errorf("nearest(%.40q) = %q, want %q", key, got, want)
		}
	}
}
