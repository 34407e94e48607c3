package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/internal/lab"
)

// daemonThatSays answers on a socket, whose path it returns, with a status. Anybody may reach its directory.
func daemonThatSays(t *testing.T, s api.Status) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "dw") // short: a socket's path has 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "d.sock")
	server, err := api.New(api.Options{
		Path: path, Health: func() api.Health { return api.Health{Healthy: true} }, Flush: func(context.Context) error { return nil },
		Status: func(context.Context) (api.Status, error) { return s, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		err := <-ended
		_ = os.RemoveAll(dir)
		if err != nil {
			t.Error(err)
		}
	})
	eventually(t, func() error {
		_, err := api.Dial(path).Health(t.Context())
		return err
	})
	return path
}

// called is what a command prints, and its exit code.
func called(t *testing.T, args ...string) (out, said string, code int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), streams{in: strings.NewReader(""), out: &stdout, err: &stderr}, args)
	return stdout.String(), stderr.String(), code
}

// TestStatusPrints compares what is printed of a status with testdata/status.txtar, whose first file is the status and
// what -o json prints of it.
func TestStatusPrints(t *testing.T) {
	const golden = "testdata/status.txtar"
	archive, err := txtar.ParseFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	var object api.Object[api.Status]
	if err := json.Unmarshal(archive.Files[0].Data, &object); err != nil {
		t.Fatal(err)
	}
	dry := object.Spec
	dry.State, dry.Degraded, dry.Host, dry.Docker.Up = api.DryRun, nil, nil, false
	whole, audit := daemonThatSays(t, object.Spec), daemonThatSays(t, dry)
	got := archive.Files[:0:0]
	for _, f := range archive.Files {
		args := strings.Fields(strings.TrimSuffix(f.Name, " (DRY_RUN)"))
		socket, want := whole, exitDegraded
		if strings.HasSuffix(f.Name, " (DRY_RUN)") {
			socket, want = audit, exitOK
		}
		out, said, code := called(t, append(args, "--socket", socket)...)
		if code != want || said != "" {
			t.Errorf("%s: exit %d: %s", f.Name, code, said)
		}
		if i := strings.IndexFunc(out, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%s: %q is printed", f.Name, out[i:min(len(out), i+20)])
		}
		if strings.HasSuffix(f.Name, "-o json") || f.Name == "status -o yaml" { // JSON is YAML
			if diff := cmp.Diff(object, fromYAML(t, out), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Errorf("%s means something else (-want +got):\n%s", f.Name, diff)
			}
		}
		got = append(got, txtar.File{Name: f.Name, Data: []byte(out)})
	}
	if *update {
		archive.Files = got
		if err := os.WriteFile(golden, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i := range got {
		if diff := cmp.Diff(string(archive.Files[i].Data), string(got[i].Data)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", got[i].Name, diff)
		}
	}
}

// fromYAML reads it by way of JSON, whose names the fields have.
func fromYAML(t *testing.T, text string) (out api.Object[api.Status]) {
	t.Helper()
	var any map[string]any
	err := yaml.Unmarshal([]byte(text), &any)
	if err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(any)
	if err := errors.Join(err, json.Unmarshal(again, &out)); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestStatusExitsAsDocumented(t *testing.T) {
	healthy := daemonThatSays(t, api.Status{State: api.Enforcing, Containers: []api.Container{
		{Name: "web", ID: "aaaa11"}, {Name: "webmail", ID: "aaaa22"}, {Name: "db\x1b[2J", ID: "bbbb33"},
	}})
	wrong := daemonThatSays(t, api.Status{State: api.Enforcing, Degraded: []string{"1 error to correct (web)"}})
	for name, test := range map[string]struct {
		args []string
		code int
		said string
	}{
		"a fence that is whole":        {[]string{"--socket", healthy}, exitOK, ""},
		"one that is degraded":         {[]string{"--socket", wrong}, exitDegraded, ""},
		"in JSON too":                  {[]string{"--socket", wrong, "-o=json"}, exitDegraded, ""},
		"in JSON lines too":            {[]string{"--socket", wrong, "-o=jsonl"}, exitDegraded, ""},
		"a container by name":          {[]string{"--socket", healthy, "web"}, exitOK, ""},
		"one by the beginning of ID":   {[]string{"--socket", healthy, "bbb"}, exitOK, ""},
		"two that begin so":            {[]string{"--socket", healthy, "aaaa"}, exitFailure, "begins the IDs of 2 containers, name one of them: web, webmail"},
		"one that does not run":        {[]string{"--socket", healthy, "wbe"}, exitFailure, `no such container as "wbe"; did you mean web?`},
		"one like none":                {[]string{"--socket", healthy, "\x1bqqqqqqqqq"}, exitFailure, `no such container as "qqqqqqqqq"; ` + "`dockerwall status` lists those that run"},
		"none at all":                  {[]string{"--socket", healthy, ""}, exitFailure, "no such container"},
		"no daemon":                    {[]string{"--socket", healthy + ".not"}, exitNoDaemon, "no dockerwall daemon is listening on " + healthy + ".not; start it with"},
		"a format that does not exist": {[]string{"--socket", healthy, "-o=csv"}, exitUsage, `-o "csv": want table or wide or json or jsonl or yaml`},
		"two containers":               {[]string{"--socket", healthy, "web", "db"}, exitUsage, "see `dockerwall status --help`"},
	} {
		t.Run(name, func(t *testing.T) {
			out, said, code := called(t, append([]string{"status"}, test.args...)...)
			if code != test.code || !strings.Contains(said, test.said) || test.said == "" && said != "" || strings.Contains(out+said, "\x1b") {
				t.Errorf("exit %d: %s%s", code, out, said)
			}
			if (out == "") != (test.said != "") && !slices.Contains(test.args, "-o=jsonl") {
				t.Errorf("stdout: %s", out)
			}
		})
	}
}

// TestWithoutPermissionStatusSaysWhoHasIt runs the binary as somebody else.
func TestWithoutPermissionStatusSaysWhoHasIt(t *testing.T) {
	if os.Geteuid() != 0 {
		lab.Cannot(t, "needs root, to be somebody else")
	}
	path := daemonThatSays(t, api.Status{State: api.Enforcing})
	dir := filepath.Dir(path)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	built, _ := programs(t)
	binary := filepath.Join(dir, "dockerwall")
	if err := copyFile(built, binary); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, "status", "--socket", path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	said, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitPermission || !strings.Contains(string(said), "group that has the socket (`dockerwall`)") {
		t.Errorf("%v: %s", err, said)
	}
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func TestALoopThatHangsIsToldOf(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, test := range map[string]struct {
		last, since time.Duration // before now; 0 is never
		hangs       bool
	}{
		"a run a minute ago":           {time.Minute, time.Hour, false},
		"one just short of too long":   {3 * time.Minute, time.Hour, false},
		"none for longer":              {3*time.Minute + time.Second, time.Hour, true},
		"none yet, just started":       {0, time.Second, false},
		"none since a start long ago":  {0, 4 * time.Minute, true},
		"a run before a clock was set": {-time.Hour, time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			var last time.Time
			if test.last != 0 {
				last = now.Add(-test.last)
			}
			if got := overdue(last, now.Add(-test.since), now); (got != "") != test.hangs {
				t.Errorf("%q", got)
			}
		})
	}
}

func TestTextsForPeople(t *testing.T) {
	for want, got := range map[string]string{
		"0 s": span(-time.Second), "119 s": span(119 * time.Second), "2 min": span(2 * time.Minute), "119 min": span(119 * time.Minute), "2 h": span(2 * time.Hour),
		"47 h": span(47 * time.Hour), "3 d": span(73 * time.Hour), "999 B": bytesText(999), "1.0 kB": bytesText(1000), "999.9 kB": bytesText(999_900),
		"1.0 MB": bytesText(999_960), "18.4 EB": bytesText(1<<64 - 1), "1 packet, 60 B": amount(api.Count{Packets: 1, Bytes: 60}),
		"2 packets, 0 B": amount(api.Count{Packets: 2}), "a, b,|c": strings.Join(wrap("a, b, c", 5), "|"), "": strings.Join(wrap("", 5), "|"),
		"a, b, c": cleanLabel(" a,\nb ,,c\x1b\n"), "ab…": shorten("abcd", 3), "abc": shorten("abc", 3),
	} {
		if want != got {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
