package main

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/nft"
)

// output runs the binary on the host and returns what it prints; its exit code must be the one wanted.
func (w *world) output(t *testing.T, code int, args ...string) string {
	t.Helper()
	cmd := w.command(t.Context(), args...)
	var errors strings.Builder
	cmd.Stderr = &errors
	out, _ := cmd.Output()
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("%q: exit code %d, want %d\n%s%s", args, got, code, errors.String(), out)
	}
	return string(out)
}

// rich is a host with something of every kind in its table.
func rich(t *testing.T) *world {
	w := newWorld(t, lab.DockerOptions{})
	w.names()
	for _, label := range []string{
		"www.example.com, many.example.com:80/tcp, 203.0.113.0/28, 2001:db8:1::/64, 203.0.113.40-203.0.113.45:443",
		"_internet_, !203.0.113.7, !bad.example.com:443, _host_:7001/tcp, 203.0.113.9/icmp",
		"*, !_host_", "",
	} {
		w.labelled(t, label)
	}
	for _, labels := range []map[string]string{{"dockerwall.mode": "audit"}, {"dockerwall.mode": "off"}, {"dockerwall.deny": "reject"}} {
		w.run(t, lab.RunSpec{Network: other, Labels: labels})
	}
	return w
}

// normal is what a listing says about each object, in one order: nft lists them, and the elements of hash sets, in that
// of the kernel's memory. Flags of the table, values of counters and comments for people are left out.
func normal(listing string) []string {
	listing = regexp.MustCompile(`packets \d+ bytes \d+`).ReplaceAllString(listing, "packets 0 bytes 0")
	objects := regexp.MustCompile(`(?ms)^\t(set|map|chain|counter) .*?^\t\}$`).FindAllString(listing, -1)
	elements := regexp.MustCompile(`(?s)elements = \{(.*)\}`)
	for i, object := range objects {
		objects[i] = elements.ReplaceAllStringFunc(object, func(list string) string {
			parts := strings.Split(elements.FindStringSubmatch(list)[1], ",")
			for i := range parts {
				parts[i] = strings.TrimSpace(parts[i])
			}
			slices.Sort(parts)
			return strings.Join(parts, "\n")
		})
	}
	slices.Sort(objects)
	return objects
}

func TestADumpIsWhatTheDaemonCommits(t *testing.T) {
	w := rich(t)
	settings := []string{"DEFAULT_OUTBOUND=203.0.113.77:80/tcp, !203.0.113.78"}
	before := w.output(t, exitOK, append(settings, "nft", "dump")...)
	w.start(t, settings...)
	eventually(t, func() error { // names are resolved after the first commit
		cmd := w.command(t.Context(), append(settings, "nft", "diff")...)
		return cmd.Run()
	})
	t.Run("the same without a daemon as with one", func(t *testing.T) {
		if diff := cmp.Diff(before, w.output(t, exitOK, append(settings, "nft", "dump")...)); diff != "" {
			t.Errorf("(-without +with):\n%s", diff)
		}
	})
	t.Run("the same as the live table", func(t *testing.T) {
		live := w.output(t, exitOK, "nft", "dump", "--live")
		if diff := nft.TextDiff(before, live); diff != "" || !strings.Contains(live, "chain c_") {
			t.Errorf("(-dump +live):\n%s", diff)
		}
	})
	t.Run("each rule of a container says whose it is", func(t *testing.T) {
		rules := regexp.MustCompile(`(?m)^\tchain c_\w+ \{\n((?:\t\t.*\n)+)`).FindAllStringSubmatch(before, -1)
		for _, chain := range rules {
			for line := range strings.Lines(chain[1]) {
				if !strings.Contains(line, " # ") {
					t.Errorf("nothing is said of %s", line)
				}
			}
		}
		if len(rules) < 4 || !strings.Contains(before, ": !203.0.113.78\n") || !strings.Contains(before, ": 203.0.113.77:80/tcp\n") {
			t.Errorf("%d chains, and not every token: %s", len(rules), before)
		}
	})
	t.Run("nft accepts it, and lists it as the live table", func(t *testing.T) {
		fresh, err := lab.NewNamespace()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = fresh.Close() }()
		lab.Nft(t, fresh, before, "-c", "-f", "-")
		lab.Nft(t, fresh, before, "-f", "-")
		live := normal(w.host(t, "nft", "-s", "list", "table", "inet", "dockerwall"))
		if diff := cmp.Diff(live, normal(lab.Nft(t, fresh, "", "-s", "list", "table", "inet", "dockerwall"))); diff != "" || len(live) < 50 {
			t.Errorf("%d objects (-live +loaded):\n%s", len(live), diff)
		}
	})
	t.Run("JSON is the ruleset", func(t *testing.T) {
		var dump struct {
			APIVersion, Kind string
			Spec             nft.Ruleset
		}
		text := w.output(t, exitOK, append(settings, "nft", "dump", "-o", "json")...)
		if err := json.Unmarshal([]byte(text), &dump); err != nil {
			t.Fatal(err)
		}
		if dump.Kind != "Ruleset" || dump.APIVersion == "" {
			t.Errorf("%s %s", dump.APIVersion, dump.Kind)
		}
		if diff := cmp.Diff(before, dump.Spec.String()); diff != "" {
			t.Errorf("(-text +of JSON):\n%s", diff)
		}
		if !json.Valid([]byte(w.output(t, exitOK, "nft", "dump", "--live", "-o", "json"))) {
			t.Error("--live -o json is not JSON")
		}
	})
	t.Run("other settings are another table", func(t *testing.T) {
		if diff := w.output(t, exitFailure, "nft", "diff"); !strings.Contains(diff, "\n-") || !strings.Contains(diff, "default") {
			t.Errorf("diff: %s", diff)
		}
	})
}

func TestADiffShowsWhatAStrangerChanged(t *testing.T) {
	w := rich(t)
	for name, code := range map[string]int{"nft dump --live": exitFailure, "nft diff": exitFailure, "health": exitFailure} {
		w.output(t, code, strings.Fields(name)...)
	}
	w.load(t)
	if diff := w.output(t, exitOK, "nft", "diff"); diff != "" {
		t.Errorf("of what was just loaded: %s", diff)
	}
	for name, c := range map[string]struct{ command, want string }{
		"a rule more":      {"insert rule inet dockerwall forward counter accept", "-"},
		"a bridge less":    {"flush set inet dockerwall bridges", "+"},
		"a chain of rules": {"flush chain inet dockerwall input", "+"},
		"a set more":       {"add set inet dockerwall strange { type ipv4_addr; }", "-"},
	} {
		t.Run(name, func(t *testing.T) {
			w.host(t, "nft", strings.Fields(c.command)...)
			diff := w.output(t, exitFailure, "nft", "diff")
			if !regexp.MustCompile(`(?m)^\` + c.want + `\s+\S`).MatchString(diff) {
				t.Errorf("diff:\n%s", diff)
			}
			w.host(t, w.binary, "nft", "flush")
			w.load(t)
		})
	}
	t.Run("health follows the daemon", func(t *testing.T) {
		d := w.start(t)
		if out := w.output(t, exitOK, "health"); out != "healthy\n" {
			t.Errorf("health says %q", out)
		}
		d.kill9()
		w.output(t, exitFailure, "health")
	})
}
