package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/dockerwall/dockerwall/api"
)

// said is what a command wrote, and its exit code.
type said struct {
	out, err string
	code     int
}

func command(t *testing.T, args ...string) said {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(t.Context(), streams{out: &out, err: &errs}, args)
	return said{out.String(), errs.String(), code}
}

// asDaemon answers on a socket, whose path it returns, with these functions.
func asDaemon(t *testing.T, opt api.Options) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "dw") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	opt.Path = filepath.Join(dir, "run", "d.sock")
	opt.Health, opt.Flush = func() api.Health { return api.Health{} }, func(context.Context) error { return nil }
	server, err := api.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	eventually(t, func() error {
		_, err := api.Dial(opt.Path).Health(t.Context())
		return err
	})
	return opt.Path
}

func TestAnExplanationIsATree(t *testing.T) {
	files, err := filepath.Glob("testdata/explain/*.txtar")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var e api.Explanation
			if err := json.Unmarshal(archive.Files[0].Data, &e); err != nil {
				t.Fatal(err)
			}
			socket := asDaemon(t, api.Options{Explain: func(context.Context, string, string) (api.Explanation, error) { return e, nil }})
			got := command(t, "explain", "web", "203.0.113.10:443/tcp", "--socket", socket)
			text := fmt.Sprintf("%sexit %d\n", got.out, got.code)
			if *update {
				archive.Files[1].Data = []byte(text)
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(archive.Files[1].Data), text); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			bad := func(r rune) bool { return r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) }
			if strings.ContainsFunc(got.out+got.err, bad) {
				t.Errorf("a terminal would obey: %q", got.out+got.err)
			}
		})
	}
}

func TestExplainExitsByItsVerdict(t *testing.T) {
	socket := asDaemon(t, api.Options{Explain: func(_ context.Context, container, destination string) (api.Explanation, error) {
		switch container {
		case "nobody":
			return api.Explanation{}, fmt.Errorf("%w: %q", api.ErrNoContainer, container)
		case "broken":
			return api.Explanation{}, fmt.Errorf("the kernel does not answer")
		}
		return api.Explanation{Container: container, Question: destination, Verdict: api.Decision(container)}, nil
	}})
	for name, test := range map[string]struct {
		args []string
		code int
		says string
	}{
		"allowed":                  {[]string{"allowed", "192.0.2.1"}, exitOK, ""},
		"denied":                   {[]string{"denied", "192.0.2.1"}, exitDenied, ""},
		"denied, as JSON":          {[]string{"denied", "192.0.2.1", "-o", "json"}, exitDenied, ""},
		"undecidable, as YAML":     {[]string{"undecidable", "192.0.2.1", "-o", "yaml"}, exitUndecided, ""},
		"undecidable":              {[]string{"undecidable", "192.0.2.1"}, exitUndecided, ""},
		"a verdict of the future":  {[]string{"perhaps", "192.0.2.1"}, exitUndecided, ""},
		"an unknown container":     {[]string{"nobody", "192.0.2.1"}, exitFailure, "no such container"},
		"a failure":                {[]string{"broken", "192.0.2.1"}, exitFailure, "the kernel does not answer"},
		"no destination":           {[]string{"web"}, exitUsage, "--help"},
		"a prefix":                 {[]string{"web", "10.0.0.0/8"}, exitUsage, "many addresses"},
		"a format that is none":    {[]string{"web", "192.0.2.1", "-o", "xml"}, exitUsage, "xml"},
		"a denial that is none":    {[]string{"--why-denied", "first"}, exitUsage, "LAST"},
		"a denial and destination": {[]string{"web", "192.0.2.1", "--why-denied", "LAST"}, exitUsage, "--help"},
		"an empty denial":          {[]string{"--why-denied", ""}, exitUsage, "LAST"},
	} {
		t.Run(name, func(t *testing.T) {
			got := command(t, append([]string{"explain", "--socket", socket}, test.args...)...)
			if got.code != test.code || !strings.Contains(got.err, test.says) {
				t.Errorf("exit %d, want %d; %s", got.code, test.code, got.err)
			}
			if answered := test.says == ""; answered != (got.out != "") || answered && got.err != "" {
				t.Errorf("stdout %q, stderr %q", got.out, got.err)
			}
		})
	}
	if got := command(t, "explain", "web", "192.0.2.1", "--socket", socket+".none"); got.code != exitNoDaemon || got.out != "" {
		t.Errorf("without a daemon: %+v", got)
	}
}

// denials are a feed of these.
func denials(all ...api.Denial) func(context.Context, int, bool, func(api.Denial) error) error {
	return func(_ context.Context, n int, _ bool, send func(api.Denial) error) error {
		for _, d := range all[max(0, len(all)-n):] {
			if err := send(d); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestWhyDeniedExplainsThePacketOfADenial(t *testing.T) {
	id, other := strings.Repeat("a", 64), strings.Repeat("b", 64)
	socket := asDaemon(t, api.Options{
		Denials: denials(
			api.Denial{ID: 1, Container: "web", ContainerID: id, Destination: netip.MustParseAddr("203.0.113.10"), Port: 443, Protocol: "tcp", Reason: "denied", Token: "www.example.com:443/tcp"},
			api.Denial{ID: 2, Container: "db", ContainerID: other, Destination: netip.MustParseAddr("2001:db8::1"), Protocol: "icmpv6", Reason: "denied"},
			api.Denial{ID: 3, Container: "web", ContainerID: id, Destination: netip.MustParseAddr("192.0.2.9"), Port: 53, Protocol: "udp", Reason: "stray"},
			api.Denial{ID: 4, Container: "db", ContainerID: other, Destination: netip.MustParseAddr("192.0.2.9"), Protocol: "gre", Reason: "denied"},
			api.Denial{ID: 5, Source: "172.17.0.9", Interface: "docker0", Destination: netip.MustParseAddr("192.0.2.9"), Reason: "unknown"},
			api.Denial{ID: 6, Container: "db", ContainerID: other, Reason: api.ReasonOther},
		),
		Explain: func(_ context.Context, container, destination string) (api.Explanation, error) {
			return api.Explanation{Container: container[:1], Question: destination, Verdict: api.Refused, Failed: "policy", Token: destination}, nil
		},
	})
	for name, test := range map[string]struct {
		args       []string
		asks, says string // the question, or what is said in place of an answer
		token      string
		note       string
	}{
		"the last that has a destination":     {[]string{"LAST"}, "192.0.2.9", "", "192.0.2.9", ""},
		"the last one, in small letters":      {[]string{"last"}, "192.0.2.9", "", "192.0.2.9", ""},
		"the last of a container":             {[]string{"LAST", "web"}, "192.0.2.9:53/udp", "", "192.0.2.9:53/udp", `another reason than the policy: stray`},
		"the last of an ID's beginning":       {[]string{"LAST", "aaaa"}, "192.0.2.9:53/udp", "", "192.0.2.9:53/udp", "stray"},
		"by number, with the name's token":    {[]string{"1"}, "203.0.113.10:443/tcp", "", "www.example.com:443/tcp", ""},
		"a ping over IPv6":                    {[]string{"2"}, "[2001:db8::1]/icmp", "", "[2001:db8::1]/icmp", ""},
		"one that is forgotten":               {[]string{"77"}, "", "remembers no denial 77", "", ""},
		"one of a container without any":      {[]string{"LAST", "nobody"}, "", "remembers no such denial", "", ""},
		"one of nobody's packet":              {[]string{"5"}, "", "no policy decided", "", ""},
		"one of packets to no one in special": {[]string{"6"}, "", "no policy decided", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := command(t, append([]string{"explain", "--socket", socket, "-o", "json", "--why-denied"}, test.args...)...)
			if test.says != "" {
				if got.code != exitFailure || got.out != "" || !strings.Contains(got.err, test.says) {
					t.Errorf("%+v", got)
				}
				return
			}
			var object api.Object[api.Explanation]
			if err := json.Unmarshal([]byte(got.out), &object); err != nil || got.code != exitDenied {
				t.Fatalf("%v: %+v", err, got)
			}
			if object.Kind != api.KindExplanation || object.Spec.Question != test.asks || object.Spec.Token != test.token {
				t.Errorf("%s", got.out)
			}
			if !strings.Contains(got.err, test.note) || test.note == "" && got.err != "" {
				t.Errorf("stderr: %s", got.err)
			}
		})
	}
}

// TestExplainCompletesContainers is row 14 for explain.
func TestExplainCompletesContainers(t *testing.T) {
	socket := asDaemon(t, api.Options{Status: func(context.Context) (api.Status, error) {
		return api.Status{Containers: []api.Container{{Name: "db"}, {Name: "web"}, {Name: "e\x1bvil"}}}, nil
	}})
	t.Setenv("DOCKERWALL_SOCKET", socket)
	if got := command(t, "__complete", "explain", ""); !strings.HasPrefix(got.out, "db\nweb\n:") {
		t.Errorf("%+v", got)
	}
	if got := command(t, "__complete", "explain", "web", ""); !strings.HasPrefix(got.out, ":") {
		t.Errorf("a destination is completed: %+v", got)
	}
}
