package main

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/observe"
)

// aDenial has all that a denial can have.
func aDenial() api.Denial {
	return api.Denial{
		ID: 7, Time: time.Date(2026, 11, 26, 18, 13, 40, 0, time.Local), Container: "web", ContainerID: strings.Repeat("3f2a91b0c4d5", 6)[:64],
		Image: "shop/web:1.2", Destination: netip.MustParseAddr("151.101.0.223"), Port: 443, Protocol: "tcp",
		Names: []string{"files.pythonhosted.org", "pypi.org"}, Reason: "denied", Verdict: api.VerdictDenied, Packets: 14, Bytes: 840,
		Token: "files.pythonhosted.org:443/tcp",
	}
}

func TestADenialIsALine(t *testing.T) {
	now := time.Date(2026, 11, 26, 20, 0, 0, 0, time.Local)
	tests := map[string]struct {
		change func(*api.Denial)
		want   string
	}{
		"with its name":         {func(*api.Denial) {}, "18:13:40 DENIED web -> files.pythonhosted.org:443 (151.101.0.223) tcp x14 no rule"},
		"passed all the same":   {func(d *api.Denial) { d.Verdict = api.VerdictAudit }, "18:13:40 AUDIT  web -> files.pythonhosted.org:443 (151.101.0.223) tcp x14 no rule"},
		"without a name":        {func(d *api.Denial) { d.Names = nil }, "18:13:40 DENIED web -> 151.101.0.223:443 tcp x14 no rule"},
		"of another day":        {func(d *api.Denial) { d.Time = d.Time.AddDate(0, 0, -20) }, "Nov  6 18:13:40 DENIED web -> files.pythonhosted.org:443 (151.101.0.223) tcp x14 no rule"},
		"for the first time":    {func(d *api.Denial) { d.First = true }, "18:13:40 DENIED web -> files.pythonhosted.org:443 (151.101.0.223) tcp x14 no rule (first seen)"},
		"IPv6 in brackets":      {func(d *api.Denial) { d.Names, d.Destination = nil, netip.MustParseAddr("2001:db8::1") }, "18:13:40 DENIED web -> [2001:db8::1]:443 tcp x14 no rule"},
		"a ping":                {func(d *api.Denial) { d.Names, d.Port, d.Protocol = nil, 0, "icmp" }, "18:13:40 DENIED web -> 151.101.0.223 icmp x14 no rule"},
		"a ping by name":        {func(d *api.Denial) { d.Port, d.Protocol = 0, "icmp" }, "18:13:40 DENIED web -> files.pythonhosted.org (151.101.0.223) icmp x14 no rule"},
		"a stranger's resolver": {func(d *api.Denial) { d.Names, d.Port, d.Protocol = nil, 53, "udp" }, "18:13:40 DENIED web -> 151.101.0.223:53 udp x14 dns bypass"},
		"a private address":     {func(d *api.Denial) { d.Names, d.Destination = nil, netip.MustParseAddr("10.0.0.7") }, "18:13:40 DENIED web -> 10.0.0.7:443 tcp x14 private range"},
		"the host":              {func(d *api.Denial) { d.Names, d.Token = nil, "_host_:443/tcp" }, "18:13:40 DENIED web -> 151.101.0.223:443 tcp x14 host service"},
		"without a destination": {func(d *api.Denial) {
			*d = api.Denial{Time: d.Time, Container: "web", Verdict: "denied", Reason: "other", Packets: 3}
		}, "18:13:40 DENIED web -> unrecorded x3 noise, or record full"},
		"of a container without name": {func(d *api.Denial) { d.Container = "" }, "18:13:40 DENIED 3f2a91b0c4d5 -> files.pythonhosted.org:443 (151.101.0.223) tcp x14 no rule"},
		"of nobody": {func(d *api.Denial) {
			d.Container, d.ContainerID, d.Source, d.Interface, d.Reason, d.Names = "", "", "172.18.0.9", "br-1", "unknown", nil
		}, "18:13:40 DENIED 172.18.0.9@br-1 -> 151.101.0.223:443 tcp x14 unknown source"},
		"of nobody, unseen": {func(d *api.Denial) { *d = api.Denial{Time: d.Time, Verdict: "denied", Reason: "cut", Packets: 3} }, "18:13:40 DENIED unknown -> unrecorded x3 cut connection"},
		"hostile": {func(d *api.Denial) { d.Container, d.Names = "\x1b[2Jw\neb", []string{"a\x1b]0;x\a.example\u202e.com"} },
			"18:13:40 DENIED [2Jweb -> a]0;x.example.com:443 (151.101.0.223) tcp x14 no rule"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := aDenial()
			tt.change(&d)
			if got := denialLine(d, now, false); got != tt.want {
				t.Errorf("\n%q, want\n%q", got, tt.want)
			}
		})
	}
}

func TestColourRepeatsTheVerdict(t *testing.T) {
	d := aDenial()
	d.Container = "\x1b[31mweb"
	got := denialLine(d, d.Time, true)
	if want := "18:13:40 \x1b[31mDENIED\x1b[0m [31mweb -> "; !strings.HasPrefix(got, want) {
		t.Errorf("%q, want %q…", got, want)
	}
}

func TestTheHintComesOnceAndOnStderr(t *testing.T) {
	var out, said bytes.Buffer
	w := watcher{env: environment{streams: streams{out: &out, err: &said}}, output: asCompact, hint: true}
	if err := w.print([]api.Denial{{Verdict: "denied", Reason: "other"}, aDenial(), aDenial()}); err != nil {
		t.Fatal(err)
	}
	if want := "hint: dockerwall explain web 'files.pythonhosted.org:443/tcp'\n"; said.String() != want || strings.Contains(out.String(), "hint") {
		t.Errorf("on stderr %q, want %q", said.String(), want)
	}
}

func TestFiltersOfWatch(t *testing.T) {
	tests := map[string]struct {
		args  string
		shown bool
	}{
		"none":                            {"", true},
		"the container by name":           {"web", true},
		"by the beginning of its ID":      {"3f2a91", true},
		"by too short a beginning":        {"3f2", false},
		"another container":               {"db", false},
		"one of two containers":           {"db --container web", true},
		"a word of its name only":         {"we", false},
		"the verdict, in capitals":        {"--verdict DENIED", true},
		"the other verdict":               {"--verdict audit", false},
		"the reason":                      {"--reason unknown,denied", true},
		"another reason":                  {"--reason spoof", false},
		"the name":                        {"--to-fqdn files.pythonhosted.org", true},
		"another of its names":            {"--to-fqdn pypi.org", true},
		"a wildcard":                      {"--to-fqdn *.pythonhosted.org", true},
		"a wildcard never holds its apex": {"--to-fqdn *.pypi.org", false},
		"the address":                     {"--to-ip 151.101.0.223", true},
		"a prefix":                        {"--to-ip 151.101.0.0/16", true},
		"another prefix":                  {"--to-ip 10.0.0.0/8", false},
		"the port":                        {"--to-port 80 --to-port 443", true},
		"another port":                    {"--to-port 80", false},
		"the protocol":                    {"--protocol tcp", true},
		"the protocol by number":          {"--protocol 6", true},
		"another protocol":                {"--protocol udp", false},
		"all kinds have to hold":          {"web --to-port 443 --protocol udp", false},
		"not, of what holds":              {"--not web --to-port 443", false},
		"not, of what does not hold":      {"--not web --to-port 80", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w, err := watcherOf(t, tt.args)
			if err != nil {
				t.Fatal(err)
			}
			if got := w.filter.match(aDenial()); got != tt.shown {
				t.Errorf("shown: %v", got)
			}
		})
	}
	w, err := watcherOf(t, "--since 10m")
	if err != nil || w.filter.match(api.Denial{Time: time.Now().Add(-11 * time.Minute)}) || !w.filter.match(api.Denial{Time: time.Now().Add(-9 * time.Minute)}) {
		t.Errorf("--since 10m: %v", err)
	}
	if w.last != observe.MaxDenials {
		t.Errorf("--since shows only %d", w.last)
	}
}

// watcherOf is `watch` with arguments, up to where it would ask the daemon.
func watcherOf(t *testing.T, args string) (*watcher, error) {
	t.Helper()
	var o watchOptions
	c := newWatch(environment{streams: streams{out: t.Output(), err: t.Output()}, getenv: func(string) string { return "" }})
	c.ResetFlags()
	declare(c, environment{getenv: func(string) string { return "" }}, o.common())
	o.declare(c)
	if err := c.ParseFlags(strings.Fields(args)); err != nil {
		return nil, err
	}
	o.filter.containers = append(o.filter.containers, c.Flags().Args()...)
	return o.watcher(c, environment{streams: streams{out: t.Output(), err: t.Output()}})
}

func TestWrongFiltersAreUsageErrors(t *testing.T) {
	for args, says := range map[string]string{
		"--verdict dropped":   `--verdict "dropped": want denied, audit`,
		"--reason policy":     `--reason "policy": want denied, unknown`,
		"--to-fqdn a*.com":    `--to-fqdn "a*.com": `,
		"--to-ip example":     `--to-ip "example": want an address or a prefix`,
		"--to-port 70000":     `--to-port "70000": want a number`,
		"--protocol quic":     `--protocol "quic": want icmp, icmpv6, sctp, tcp, udp`,
		"--not":               "--not: there is no filter",
		"--last -1":           "--last -1: want a number from 0 to 10000",
		"--since -5m":         "--since -5m0s: want a time",
		"-o table":            "-o table needs all of it at once: add --follow=false",
		"-o json":             "-o json needs all of it at once: add --follow=false",
		"-o yaml":             `-o "yaml": want compact or jsonl or json or table`,
		"--follow=false -o 1": `-o "1"`,
	} {
		var said bytes.Buffer
		code := run(t.Context(), streams{out: &said, err: &said}, append([]string{"watch", "--socket=/nonexistent/sock"}, strings.Fields(args)...))
		if code != exitUsage || !strings.Contains(said.String(), says) {
			t.Errorf("watch %s: exit %d, %s", args, code, said.String())
		}
	}
}

// TestLinesArePaced: about the same there is one line a second at most, and nothing is lost.
func TestLinesArePaced(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, now := newPace(), time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
		shown, sent, got := map[uint16]time.Time{}, uint64(0), uint64(0)
		show := func(denials []api.Denial, at time.Time) {
			for _, d := range denials {
				if !at.IsZero() && at.Sub(shown[d.Port]) < paceEvery {
					t.Fatalf("port %d is shown %v after it was", d.Port, at.Sub(shown[d.Port]))
				}
				shown[d.Port] = at
				got += d.Packets
			}
		}
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			now = now.Add(time.Duration(rapid.IntRange(0, 1500).Draw(t, "ms")) * time.Millisecond)
			if rapid.Bool().Draw(t, "tick") {
				show(p.due(now), now)
				if wait := p.wait(now); wait <= 0 || wait > paceEvery && len(p.lines) > 0 {
					t.Fatalf("wait %v", wait)
				}
				continue
			}
			d := api.Denial{Port: uint16(rapid.IntRange(1, 3).Draw(t, "port")), Packets: rapid.Uint64Range(1, 9).Draw(t, "packets")}
			sent += d.Packets
			show(p.add(d, now), now)
		}
		show(p.rest(), time.Time{})
		if got != sent {
			t.Fatalf("%d packets shown of %d", got, sent)
		}
		if p.due(now.Add(time.Hour)); len(p.lines) > 0 {
			t.Fatalf("%d lines are remembered", len(p.lines))
		}
	})
}

// TestTheSchemaOfADenialStays compares with testdata/watch/denial.jsonl. Within a version of the API fields are only added.
func TestTheSchemaOfADenialStays(t *testing.T) {
	full := aDenial()
	full.Time = time.Date(2026, 11, 26, 18, 13, 40, 0, time.UTC)
	full.Source, full.Interface, full.First, full.Lost = "172.18.0.9", "br-1", true, 2
	for i := range reflect.ValueOf(full).NumField() {
		if reflect.ValueOf(full).Field(i).IsZero() {
			t.Errorf("%s is not in the golden line", reflect.TypeFor[api.Denial]().Field(i).Name)
		}
	}
	var got bytes.Buffer
	w := watcher{env: environment{streams: streams{out: &got}}, output: asJSONL}
	if err := w.print([]api.Denial{full, {ID: 1, Time: full.Time, Reason: "other", Verdict: "denied", Packets: 3, Bytes: 120}}); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "watch", "denial.jsonl")
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil { //nolint:gosec // a document
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || got.String() != string(want) {
		t.Errorf("got (%v)\n%swant\n%s", err, &got, want)
	}
}
