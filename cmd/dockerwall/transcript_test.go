package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

// TestTheReadmeShowsWhatHappened has three containers reach for things on a real host, and compares what the commands
// then print with the README; -update writes it there. What differs from run to run is replaced, see steady.
func TestTheReadmeShowsWhatHappened(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.names()
	w.DNS.Set("files.example.org", netip.MustParseAddr("203.0.113.77"))
	w.DNS.Set("backup.example.org", netip.MustParseAddr("203.0.113.25"))
	w.start(t, "DOCKERWALL_STATE_DIR="+t.TempDir())
	run := func(name, project, service, label, value string) *box {
		return w.run(t, lab.RunSpec{Name: name, Network: web, Labels: map[string]string{
			composeHash: "1f2e", composeProject: project, composeService: service, label: value,
		}})
	}
	front := run("shop-web-1", "shop", "web", "dockerwall.outbound", "www.example.com:443/tcp")
	db := run("shop-db-1", "shop", "db", "tier", "data")
	ci := run("ci", "ci", "runner", "dockerwall.mode", "audit")

	w.dials(t, front, "www.example.com:443", true)
	w.dials(t, front, "files.example.org:443", false)
	db.isKeptFrom(t, "udp 203.0.113.53:53")
	w.dials(t, ci, "backup.example.org:443", true)
	w.threeAreTold(t)

	for mark, lines := range map[string][]string{
		"transcript": {"status", "watch --follow=false"},
		"answers": {
			"explain shop-web-1 files.example.org:443/tcp",
			"explain shop-web-1 www.example.com:443/tcp",
			"suggest ci -o compose",
		},
	} {
		var out strings.Builder
		for _, line := range lines {
			text, _, _ := w.answer(t, strings.Fields(line)...)
			fmt.Fprintf(&out, "$ dockerwall %s\n%s\n", line, text)
		}
		compareBetween(t, "README.md", mark, "```console\n"+steady(strings.TrimSpace(out.String()))+"\n```\n")
	}
}

// dials has a container ask for a name and connect to it, and wants it to succeed or not.
func (w *world) dials(t *testing.T, b *box, to string, want bool) {
	t.Helper()
	r, err := b.Probe(t.Context(), "tcp", to, "-timeout", "700ms")
	if err != nil || (r.Outcome == result.OK) != want {
		t.Fatalf("%s: %+v, %v", to, r, err)
	}
}

// threeAreTold waits until the three denials are known.
func (w *world) threeAreTold(t *testing.T) {
	t.Helper()
	eventually(t, func() error {
		out, said, _ := w.answer(t, "watch", "--follow=false")
		if n := strings.Count(out, "\n"); n != 3 {
			return fmt.Errorf("%d lines: %s%s", n, out, said)
		}
		return nil
	})
}

// steady replaces what differs from run to run: times, IDs, the way in which this kernel holds answers, and what else but
// the test's own packets containers send.
func steady(text string) string {
	for pattern, with := range map[string]string{
		`\d\d:\d\d:\d\d`:                        "18:13:40",
		`20\d\d-\d\d-\d\d`:                      "2026-01-02",
		`\b\d+ ?(s|min) ago`:                    "3 s ago",
		`asked again in [0-9ms]+, kept for \S+`: "asked again in 25s, kept for 4m58s",
		`\(([0-9a-f]{12})\)`:                    "(3f2a91b0c4d5)",
		`c_[0-9a-f]{12}_`:                       "c_3f2a91b0c4d5_",
		`names by \w+`:                          "names by queue",
	} {
		text = regexp.MustCompile(pattern).ReplaceAllString(text, with)
	}
	return regexp.MustCompile(`(?m)^(\S+ +(?:audit|enforce) .*? )\d{1,2} {5,6}(\d)$`).ReplaceAllString(text, "${1}12     $2")
}

// compareBetween compares the part of a document that marks enclose, or writes it.
func compareBetween(t *testing.T, name, mark, want string) {
	t.Helper()
	text := document(t, name)
	got := between(t, text, mark)
	if got == want {
		return
	}
	if !*update {
		t.Errorf("between the marks %q, %s should have:\n%s", mark, name, want)
		return
	}
	text = strings.Replace(text, "<!-- "+mark+" -->\n"+got, "<!-- "+mark+" -->\n"+want, 1)
	if err := os.WriteFile(filepath.Join("..", "..", name), []byte(text), 0o644); err != nil { //nolint:gosec // a document
		t.Fatal(err)
	}
}
