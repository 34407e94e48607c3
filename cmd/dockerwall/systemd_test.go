package main

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/reconcile"
)

func TestTheStatusLineOfSystemdIsOneLine(t *testing.T) {
	two := reconcile.Outcome{Ruleset: nft.Ruleset{Containers: make([]nft.Container, 2)}}
	dry := reconcile.Outcome{Ruleset: nft.Ruleset{DryRun: true, Containers: make([]nft.Container, 1)}}
	hostile := "commit table: \x1b[2J\u202ename\nREADY=1\r\nMAINPID=1\x00FDSTORE=1"
	for name, test := range map[string]struct {
		outcome reconcile.Outcome
		good    bool
		reasons []string
		want    string
	}{
		"all is well":             {two, true, nil, "enforcing, 2 containers"},
		"nothing is denied":       {dry, true, nil, "audit: nothing is denied, 1 container"},
		"no answer yet":           {reconcile.Outcome{}, false, []string{"the Engine has not answered yet"}, "a table stands, and the Engine has not answered yet; degraded: the Engine has not answered yet"},
		"the first of two errors": {two, true, []string{"no table", "no names"}, "enforcing, 2 containers; degraded: no table"},
		"errors that were joined": {two, true, []string{errors.Join(errors.New("one"), errors.New("two")).Error()}, "enforcing, 2 containers; degraded: one; two"},
		"text of others":          {two, true, []string{hostile}, "enforcing, 2 containers; degraded: commit table:  [2J name; READY=1 ; MAINPID=1 FDSTORE=1"},
		"much of it":              {two, true, []string{strings.Repeat("ü", 500)}, "enforcing, 2 containers; degraded: " + strings.Repeat("ü", 107)},
	} {
		t.Run(name, func(t *testing.T) {
			got := statusLine(test.outcome, test.good, test.reasons)
			if got != test.want || len(got) > longestStatus {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// notified is where systemd would listen.
func notified(t *testing.T) *net.UnixConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return conn
}

// heard are the messages so far, each with its lines.
func heard(t *testing.T, conn *net.UnixConn) (messages [][]string) {
	t.Helper()
	buf := make([]byte, 4096)
	for {
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(buf)
		if err != nil {
			return messages
		}
		messages = append(messages, strings.Split(string(buf[:n]), "\n"))
	}
}

func TestSystemdIsToldOfAReloadOnlyAfterItIsReady(t *testing.T) {
	conn := notified(t)
	f := &fence{logger: slog.New(slog.DiscardHandler)}
	f.reloads() // a SIGHUP before there is a table: no READY may follow
	f.reloaded()
	if got := heard(t, conn); len(got) > 0 {
		t.Errorf("before a table stands: %q", got)
	}
	f.ready()
	f.reloaded()
	f.reloads()
	f.reloaded()
	got := heard(t, conn)
	if len(got) != 3 || !slices.Equal(got[0], []string{"READY=1"}) || !slices.Equal(got[2], []string{"READY=1"}) {
		t.Fatalf("%q", got)
	}
	number, found := strings.CutPrefix(got[1][len(got[1])-1], "MONOTONIC_USEC=")
	if micros, err := strconv.ParseUint(number, 10, 64); got[1][0] != "RELOADING=1" || len(got[1]) != 2 || !found || err != nil || micros == 0 {
		t.Errorf("%q", got[1])
	}
}

func TestTheWatchdogIsFedInTime(t *testing.T) {
	for name, test := range map[string]struct {
		usec string
		want time.Duration
	}{
		"no watchdog":               {"", longestBeat},
		"that of the unit":          {"30000000", longestBeat},
		"one of two seconds":        {"2000000", 500 * time.Millisecond},
		"one of a microsecond":      {"1", shortestBeat},
		"no number":                 {"soon", longestBeat},
		"a number that is negative": {"-1", longestBeat},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("WATCHDOG_USEC", test.usec)
			if got := watchdogBeat(); got != test.want {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

// TestTheUnitIsNoLessPatientThanStatus is of tables so large that their commit takes most of a minute: a watchdog that ends the
// daemon in it would do so after each start anew.
func TestTheUnitIsNoLessPatientThanStatus(t *testing.T) {
	unit, err := os.ReadFile(filepath.Join(repository, "packaging/systemd/dockerwall.service"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(unit), "\nWatchdogSec=")
	text, _, _ := strings.Cut(rest, "\n")
	if within, err := time.ParseDuration(strings.TrimSuffix(text, "in")); err != nil || within < hung {
		t.Errorf("%q: %v", text, err)
	}
}
