package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// changes runs a command that changes something, and fails unless it exits as wanted and says all of the words.
func (w *world) changes(t *testing.T, code int, command string, words ...string) {
	t.Helper()
	out, said, got := w.answer(t, strings.Fields(command)...)
	if got != code {
		t.Fatalf("%s: exit %d, want %d: %s%s", command, got, code, out, said)
	}
	for _, word := range words {
		if !strings.Contains(out+said, word) {
			t.Errorf("%s does not say %q: %s%s", command, word, out, said)
		}
	}
}

// TestChangesAtRunTime has them all made on one host.
func TestChangesAtRunTime(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	b := w.run(t, lab.RunSpec{Name: "shop", Network: web, Labels: map[string]string{"dockerwall.outbound": "203.0.113.1"}})
	d := w.start(t, "DEFAULT_OUTBOUND=!203.0.113.99")
	b.reaches(t, "tcp 203.0.113.1:80")
	b.isKeptFrom(t, "tcp 203.0.113.2:80")
	d = w.allowSurvivesAKill(t, d, b)
	w.revokeCuts(t, d, b)
	w.denyBeats(t, d, b)
	w.whatCannotBeIsSaid(t, b)
	w.allowRunsOut(t, d, b)
	w.pausePasses(t, d, b)
	w.modesGoBack(t, d, b)
	w.nothingOverTCP(t)
	w.anotherOfTheNameInheritsNothing(t, d, b)
}

// allowSurvivesAKill returns the daemon that comes after the one that is killed.
func (w *world) allowSurvivesAKill(t *testing.T, d *wall, b *box) *wall {
	t.Helper()
	w.changes(t, exitOK, "allow shop 203.0.113.2 203.0.113.99:80/tcp --for 1h",
		"shop may reach until", "203.0.113.2", "but a denial beats it where they meet: !203.0.113.99 (DEFAULT_OUTBOUND)")
	if r := b.try(t.Context(), "tcp 203.0.113.2:80"); r.Outcome != "ok" { // at once: the command was answered by the commit
		t.Errorf("allowed, but %s %s", r.Outcome, r.Error)
	}
	b.isKeptFrom(t, "tcp 203.0.113.99:80")
	d.says(t, "changed at run time", "verb=allow", "container=shop", "uid=0")
	out, _, _ := w.status(t, "shop")
	if !strings.Contains(out, "added at run time, by uid 0, 59 min left") && !strings.Contains(out, "added at run time, by uid 0, 60 min left") {
		t.Errorf("status does not say who allowed it, and for how long:\n%s", out)
	}
	d.kill9()
	d = w.start(t, "DEFAULT_OUTBOUND=!203.0.113.99")
	b.reaches(t, "tcp 203.0.113.2:80")
	w.changes(t, exitOK, "nft diff --default-outbound !203.0.113.99") // without the daemon, it is known what was changed
	return d
}

// revokeCuts has a connection end that only the revoked token allowed, within a second.
func (w *world) revokeCuts(t *testing.T, d *wall, b *box) {
	t.Helper()
	s, other := b.stream(t, "203.0.113.2:7"), b.stream(t, "203.0.113.1:7")
	s.flows(t)
	w.changes(t, exitOK, "revoke shop 203.0.113.2", "taken back from shop", "203.0.113.2")
	before := s.echoed.Load()
	s.stops(t)
	if n := s.echoed.Load() - before; n > 20 { // which it sends in a second
		t.Errorf("%d more lines came and went after the command had ended", n)
	}
	b.isKeptFrom(t, "tcp 203.0.113.2:80")
	other.flows(t)
	d.says(t, "changed at run time", "verb=revoke")
}

// stops waits until no answer comes for a while.
func (s *stream) stops(t *testing.T) {
	t.Helper()
	eventually(t, func() error {
		n := s.echoed.Load()
		time.Sleep(4 * moment)
		if s.echoed.Load() != n {
			return errors.New("the connection goes on")
		}
		return nil
	})
}

func (w *world) denyBeats(t *testing.T, _ *wall, b *box) {
	t.Helper()
	w.changes(t, exitOK, "deny shop 203.0.113.1:80", "shop may not reach, until it is revoked")
	b.isKeptFrom(t, "tcp 203.0.113.1:80")
	b.reaches(t, "tcp 203.0.113.1:443")
	w.changes(t, exitDenied, "explain shop 203.0.113.1:80/tcp", "added at run time")
	w.changes(t, exitOK, "revoke shop 203.0.113.1:80", "!203.0.113.1:80")
	b.reaches(t, "tcp 203.0.113.1:80")
}

func (w *world) whatCannotBeIsSaid(t *testing.T, b *box) {
	t.Helper()
	w.changes(t, exitUsage, "allow shop 203.0.113.2 https://x.example/y", "a URL is not a destination")
	b.isKeptFrom(t, "tcp 203.0.113.2:80") // nor does the other of the two count
	w.changes(t, exitUsage, "allow shop !203.0.113.2", "dockerwall deny shop 203.0.113.2")
	w.changes(t, exitUsage, "deny shop !203.0.113.2", "dockerwall allow shop 203.0.113.2")
	w.changes(t, exitUsage, "allow shop @nosuchgroup", "there is no group")
	w.changes(t, exitFailure, "allow shopp 203.0.113.2", "did you mean shop?")
	w.changes(t, exitFailure, "revoke shop 203.0.113.1", "it is of dockerwall.outbound", "`dockerwall deny shop 203.0.113.1` beats it")
	w.changes(t, exitFailure, "revoke shop !203.0.113.99", "it is of DEFAULT_OUTBOUND", "no allow beats a denial")
	w.changes(t, exitFailure, "audit --as-configured", "does what its settings say already")
	w.run(t, lab.RunSpec{Name: "side", Network: "container:shop"})
	w.run(t, lab.RunSpec{Name: "free", Network: "host"})
	eventually(t, func() error {
		if s, _ := w.told(t); len(s.Containers) != 3 {
			return fmt.Errorf("%d containers are known", len(s.Containers))
		}
		return nil
	})
	w.changes(t, exitUsage, "deny side 203.0.113.1", "side is in the network of another container, whose policy counts: name shop")
	w.changes(t, exitUsage, "deny free 203.0.113.1", "free is not fenced, so nothing can be denied to it")
}

func (w *world) allowRunsOut(t *testing.T, d *wall, b *box) {
	t.Helper()
	w.changes(t, exitOK, "allow shop 203.0.113.2 --for 2s")
	s := b.stream(t, "203.0.113.2:7")
	d.says(t, "ran out", "container=shop", "token=203.0.113.2")
	s.stops(t)
	b.isKeptFrom(t, "tcp 203.0.113.2:80")
}

func (w *world) pausePasses(t *testing.T, d *wall, b *box) {
	t.Helper()
	w.changes(t, exitOK, "pause shop --for 1h", "shop is paused until")
	b.reaches(t, "tcp 203.0.113.2:80")
	if out, _, _ := w.status(t); !strings.Contains(out, "changed: shop is paused: all it sends passes, by uid 0, until ") {
		t.Errorf("status does not say so:\n%s", out)
	}
	b.reaches(t, "tcp 203.0.113.3:80") // which was not denied before: a destination is told of once a minute
	d.says(t, "verdict=audit", "destination=203.0.113.3")
	w.changes(t, exitOK, "explain shop 203.0.113.3:80/tcp", "audit (paused at run time by uid 0, until ")
	if out, _, _ := w.status(t, "shop"); !strings.Contains(out, "mode from  paused, by uid 0, 59 min left") {
		t.Errorf("status does not say who paused it:\n%s", out)
	}
	w.changes(t, exitOK, "pause shop --for 1s")
	eventually(t, func() error {
		if r := b.try(t.Context(), "tcp 203.0.113.2:80"); r.Outcome == "ok" {
			return errors.New("it still passes")
		}
		return nil
	})
	b.isKeptFrom(t, "tcp 203.0.113.2:80")
	d.says(t, "ran out", `what="a pause"`)
}

func (w *world) modesGoBack(t *testing.T, d *wall, b *box) {
	t.Helper()
	w.changes(t, exitOK, "audit", "the whole host: audit")
	b.reaches(t, "tcp 203.0.113.2:80")
	if out, _, _ := w.status(t); !strings.Contains(out, "counted and logged (dockerwall audit)") || !strings.Contains(out, "`dockerwall audit --as-configured` ends that") {
		t.Errorf("status does not say so:\n%s", out)
	}
	w.changes(t, exitOK, "enforce --confirm 2s", "the whole host: enforce until", "then it goes back to audit, unless you confirm: dockerwall enforce")
	b.isKeptFrom(t, "tcp 203.0.113.2:80")
	b.reaches(t, "tcp 203.0.113.2:80") // which it does again by itself
	d.says(t, "ran out", "nobody confirmed", "container=all")
	w.changes(t, exitOK, "enforce --confirm 1h", "the whole host: enforce until")
	w.changes(t, exitOK, "enforce", "the whole host: enforce")
	b.isKeptFrom(t, "tcp 203.0.113.2:80")
	if s, _ := w.told(t); len(s.Changes) != 0 {
		t.Errorf("something is held of a host that does what its settings say: %q", s.Changes)
	}
	w.changes(t, exitOK, "enforce --confirm 1h", "nothing to confirm")
	w.changes(t, exitOK, "audit shop", "shop: audit")
	b.reaches(t, "tcp 203.0.113.2:80")
	w.changes(t, exitOK, "enforce shop --confirm 1h", "unless you confirm: dockerwall enforce shop")
	b.isKeptFrom(t, "tcp 203.0.113.2:80")
	w.changes(t, exitOK, "revoke shop", "its mode is enforce")
	w.changes(t, exitFailure, "revoke shop", "nothing was changed of shop at run time")
}

// nothingOverTCP asks the port of the metrics for all that the socket does.
func (w *world) nothingOverTCP(t *testing.T) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return w.Host.Dial(ctx, network, addr)
	}}}
	for _, path := range []string{"/v1/change", "/api/v1/change", "/v1/flush"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut} {
			request, err := http.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:50000"+path, strings.NewReader(`{"verb":"audit"}`))
			if err != nil {
				t.Fatal(err)
			}
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			if code := response.StatusCode; code != http.StatusNotFound && code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d", method, path, code)
			}
			_ = response.Body.Close()
		}
	}
}

func (w *world) anotherOfTheNameInheritsNothing(t *testing.T, d *wall, b *box) {
	t.Helper()
	w.changes(t, exitOK, "allow shop 203.0.113.2")
	w.docker(t, "restart", "-t", "0", "shop")
	b.enter(t)
	b.reaches(t, "tcp 203.0.113.2:80")
	w.docker(t, "rm", "-f", "shop")
	next := w.run(t, lab.RunSpec{Name: "shop", Network: web, Labels: map[string]string{"dockerwall.outbound": "203.0.113.1"}})
	next.reaches(t, "tcp 203.0.113.1:80")
	next.isKeptFrom(t, "tcp 203.0.113.2:80")
	d.says(t, "a container is gone", "container=shop")
	eventually(t, func() error {
		if text := w.host(t, "cat", stateDir+"/overlay.json"); strings.Contains(text, b.ID) {
			return fmt.Errorf("the file still has it: %s", text)
		}
		return nil
	})
}
