package main

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// withoutEach shuts one endpoint after the other.
func (w *world) withoutEach(t *testing.T, d *wall, b *box, g *gate, host string) {
	log := func(*testing.T) string { return d.log.String() }
	doctor := func(t *testing.T) string {
		out, _ := w.command(t.Context(), "doctor", "DOCKER_HOST="+host).CombinedOutput() // a warning is no failure, a failure is read
		return string(out)
	}
	status := func(t *testing.T) string {
		_ = w.command(t.Context(), "status").Run() // it may be degraded
		return d.log.String()
	}
	for name, c := range map[string]struct {
		shut []string
		read func(*testing.T) string
		says []string // in one line, or two that belong together
	}{
		"containers":  {[]string{"GET /containers/json"}, log, []string{"the fence needs it: allow GET /containers/json in the socket proxy"}},
		"networks":    {[]string{"GET /networks"}, log, []string{"the fence needs it: allow GET /networks in the socket proxy"}},
		"a network":   {[]string{"GET /networks/{id}"}, log, []string{"the fence needs it: allow GET /networks/{id} in the socket proxy"}},
		"images":      {[]string{"GET /images/json"}, log, []string{"allow GET /images/json in the socket proxy, or set TRUST_IMAGE_LABELS=true"}},
		"events":      {[]string{"GET /events"}, log, []string{"the fence needs it: allow GET /events in the socket proxy"}},
		"pings":       {[]string{"HEAD /_ping", "GET /_ping"}, log, []string{"/_ping in the socket proxy"}},
		"a container": {[]string{"GET /containers/{id}/json"}, log, []string{"its own resolvers (--dns), privileges and added capabilities are not known: allow GET /containers/{id}/json in the socket proxy"}},
		"services":    {[]string{"GET /services"}, status, []string{"labels under a service's deploy, which do nothing, are not reported: allow GET /services in the socket proxy"}},
		"the version": {[]string{"GET /version"}, doctor, []string{"which does not tell its version", "allow GET /version in the socket proxy"}},
		"the state":   {[]string{"GET /info"}, doctor, []string{"ask for the state of Docker", "allow GET /info in the socket proxy"}},
	} {
		t.Run(name, func(t *testing.T) {
			g.shutting(c.shut...)
			if err := unix.Kill(d.cmd.Process.Pid, unix.SIGHUP); err != nil { // all is asked for anew
				t.Fatal(err)
			}
			w.run(t, lab.RunSpec{Network: web})
			eventually(t, func() error { return saysAll(c.read(t), c.says) })
			b.reaches(t, "tcp 203.0.113.1:80")
			b.isKeptFrom(t, "tcp 203.0.113.2:80")
			g.shutting()
			w.healthy(t, d)
		})
	}
}

// saysAll is an error unless two lines that follow each other have all words.
func saysAll(text string, words []string) error {
	last := ""
	for line := range strings.Lines(text) {
		missing := ""
		for _, word := range words {
			if !strings.Contains(last+line, word) {
				missing = word
			}
		}
		if missing == "" {
			return nil
		}
		last = line
	}
	return fmt.Errorf("no line says all of %q", words)
}
