package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// elsewhere are settings that share nothing with a daemon that has the presets.
func elsewhere() []string {
	return []string{"DOCKERWALL_SOCKET=/run/second/d.sock", "DOCKERWALL_STATE_DIR=/run/second/state", "DOCKERWALL_METRICS_ADDR=off",
		"DOCKERWALL_NFLOG_GROUP=33", "DOCKERWALL_DNS_QUEUE=5301"}
}

func TestASecondDaemonSaysSoAndEnds(t *testing.T) {
	w, all := newWorld(t, lab.DockerOptions{}), t // daemons outlive the parts that start them
	first := w.start(t)
	b := w.labelled(t, "203.0.113.1")
	b.reaches(t, "tcp 203.0.113.1:80")
	t.Run("where the table has an owner", func(t *testing.T) { w.refusesASecond(t, first, b) })
	t.Run("after a crash the next one begins at once", func(t *testing.T) {
		first.kill9()
		first = w.start(all)
		if strings.Contains(first.log.String(), "waiting for the end") {
			t.Error("it waited for a dead one")
		}
	})
	t.Run("while the first ends, the next one waits", func(t *testing.T) {
		next := w.launch(all)
		next.says(t, "waiting for the end of another daemon")
		first.stop()
		w.healthy(t, next)
		first = next
	})
	t.Run("one that waits can be told to end", func(t *testing.T) {
		next := w.launch(t)
		next.says(t, "waiting for the end of another daemon")
		next.stop()
		if code := next.code(t); code != exitOK {
			t.Errorf("exit code %d", code)
		}
	})
	t.Run("where the table has none", func(t *testing.T) {
		w.host(t, w.binary, "nft", "flush")
		if code := first.code(t); code != exitOK {
			t.Fatalf("exit code %d", code)
		}
		w.host(t, "nft", "add table inet dockerwall; add table bridge dockerwall")
		first = w.start(all)
		first.says(t, "the table was made without an owner")
		w.refusesASecond(t, first, b)
	})
}

// refusesASecond starts daemons beside the first, which none of them may disturb.
func (w *world) refusesASecond(t *testing.T, first *wall, b *box) {
	t.Helper()
	who := fmt.Sprintf("another dockerwall daemon is running, process %d: ", first.cmd.Process.Pid)
	var all sync.WaitGroup
	for name, c := range map[string]struct {
		settings []string
		says     string
		alone    bool // in a network namespace of its own
	}{
		"with the same settings":                               {nil, "it fences this network namespace; stop it first", false},
		"with others in all":                                   {elsewhere(), "it fences this network namespace; stop it first", false},
		"in another network namespace, with its state":         {append(elsewhere(), "DOCKERWALL_STATE_DIR="+stateDir), "it keeps its state in " + stateDir, true},
		"in another network namespace, with its socket's path": {append(elsewhere(), "DOCKERWALL_SOCKET="+defaultSocket), "it listens on " + defaultSocket, true},
	} {
		second := w.launchIn(t, c.alone, c.settings...)
		all.Go(func() {
			if code := second.code(t); code != exitFailure || !strings.Contains(second.log.String(), who+c.says) {
				t.Errorf("%s: exit code %d, want %d:\n%s", name, code, exitFailure, second.log.String())
			}
		})
	}
	all.Wait()
	free := w.launchIn(t, true, elsewhere()...) // in another network namespace, with nothing of its
	free.says(t, "table committed")
	free.stop()
	w.healthy(t, first)
	b.reaches(t, "tcp 203.0.113.1:80")
	b.isKeptFrom(t, "tcp 203.0.113.2:80")
}

// launchIn starts a daemon in the host's network namespace, or in a new one of its own, with the host's files either way.
func (w *world) launchIn(t *testing.T, alone bool, settings ...string) *wall {
	t.Helper()
	if !alone {
		return w.launch(t, settings...)
	}
	cmd := w.command(context.WithoutCancel(t.Context()), append(settings, "run")...)
	at := len(cmd.Args) - 2 // the last words are the program and "run"
	cmd.Args = append(cmd.Args[:at:at], append([]string{"unshare", "--net"}, cmd.Args[at:]...)...)
	return begin(t, cmd)
}
