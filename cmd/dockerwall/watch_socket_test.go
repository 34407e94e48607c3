package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/observe"
)

// watched is a daemon's socket with a feed behind it, and no fence.
type watched struct {
	feed   *observe.Feed
	joined chan struct{}
	socket string
	end    context.CancelFunc
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	dir, err := os.MkdirTemp("", "dw")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w := &watched{joined: make(chan struct{}, 9), socket: filepath.Join(dir, "d.sock"), end: cancel}
	w.feed = observe.NewFeed(func() { w.joined <- struct{}{} })
	f := &fence{feed: w.feed}
	server, err := api.New(api.Options{
		Path: w.socket, Denials: f.denials, Health: func() api.Health { return api.Health{Healthy: true} }, Flush: func(context.Context) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = os.RemoveAll(dir)
	})
	eventually(t, func() error {
		_, err := api.Dial(w.socket).Health(t.Context())
		return err
	})
	return w
}

// publish has n denials of a packet to ports from first on.
func (w *watched) publish(first, n int) {
	for i := range n {
		w.feed.Publish([]observe.Denial{{
			Time: time.Now(), Subject: observe.Subject{Name: "web"}, Reason: "denied", Packets: 1,
			Target: observe.Target{Dst: netip.MustParseAddr("203.0.113.8"), Proto: 6, Port: uint16(first + i)},
		}})
	}
}

func (w *watched) watch(ctx context.Context, args ...string) (code int, out, said string) {
	var stdout, stderr bytes.Buffer
	code = run(ctx, streams{out: &stdout, err: &stderr}, append([]string{"watch", "--socket=" + w.socket}, args...))
	return code, stdout.String(), stderr.String()
}

func TestWatchShowsThoseOfBefore(t *testing.T) {
	w := newWatched(t)
	if code, out, said := w.watch(t.Context(), "--follow=false"); code != exitOK || out != "" || said != "nothing was denied since the daemon started\n" {
		t.Errorf("before anything is denied: exit %d, %s%s", code, out, said)
	}
	w.publish(1, 30)
	tests := map[string]struct {
		args  []string
		lines int
		has   string
	}{
		"twenty":                      {nil, 20, "203.0.113.8:11 tcp x1 no rule\n"},
		"as many as wanted":           {[]string{"--last=3"}, 3, ":28 tcp"},
		"none":                        {[]string{"--last=0"}, 0, ""},
		"more than there are":         {[]string{"--last=10000"}, 30, ":1 tcp"},
		"the last that a filter left": {[]string{"--last=2", "--to-port=3,5,7"}, 2, ":5 tcp"},
		"a line of JSON for each":     {[]string{"--last=3", "-o", "jsonl"}, 3, `{"apiVersion":"v1","kind":"Denial","spec":{"id":28,`},
		"a table":                     {[]string{"--last=3", "-o", "table"}, 4, "TIME"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			code, out, said := w.watch(t.Context(), append(tt.args, "--follow=false")...)
			if code != exitOK || said != "" || strings.Count(out, "\n") != tt.lines || !strings.Contains(out, tt.has) {
				t.Errorf("exit %d\n%s%s", code, out, said)
			}
			if lines := strings.SplitAfter(out, "\n"); tt.has != "" && !strings.Contains(lines[0], tt.has) {
				t.Errorf("the first line is %s", lines[0])
			}
		})
	}
	var list api.Object[[]api.Denial]
	code, out, said := w.watch(t.Context(), "--follow=false", "-o", "json", "nobody")
	if err := json.Unmarshal([]byte(out), &list); code != exitOK || err != nil || !strings.HasPrefix(said, "none of the denials") || list.Kind != api.KindDenials || list.Spec == nil || len(list.Spec) != 0 {
		t.Errorf("no denials as json: exit %d, %v, %s", code, err, out)
	}
}

func TestWatchGoesOnWithWhatComes(t *testing.T) {
	w := newWatched(t)
	w.publish(1, 30)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var out, said logged
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, streams{out: &out, err: &said}, []string{"watch", "--socket=" + w.socket, "--last=2", "--to-port=30,31,32"})
	}()
	<-w.joined
	w.publish(31, 3)
	w.publish(31, 3) // within a second: held back
	eventually(t, func() error {
		if n := strings.Count(out.String(), "\n"); n < 3 {
			return errors.New(out.String())
		}
		return nil
	})
	interrupt()
	if c := <-code; c != exitOK || said.String() != "" {
		t.Errorf("exit %d, %s", c, said.String())
	}
	for _, want := range []string{":30 tcp x1 ", ":31 tcp x1 ", ":32 tcp x1 "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("lacks %q:\n%s", want, out.String())
		}
	}
	if n := strings.Count(out.String(), "\n"); n != 5 || strings.Contains(out.String(), ":33 ") {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
}

// stuck is a reader that takes the first line, and the others once it is let.
type stuck struct {
	logged
	began chan struct{}
	goOn  chan struct{}
}

func (s *stuck) Write(p []byte) (int, error) {
	select {
	case s.began <- struct{}{}:
		<-s.goOn
	default:
	}
	return s.logged.Write(p)
}

func TestWatchSaysWhatItLost(t *testing.T) {
	w := newWatched(t)
	out, said := &stuck{began: make(chan struct{}, 1), goOn: make(chan struct{})}, &logged{}
	code := make(chan int, 1)
	go func() {
		code <- run(t.Context(), streams{out: out, err: said}, []string{"watch", "--socket=" + w.socket, "--last=0"})
	}()
	<-w.joined
	w.publish(1, 1)
	<-out.began
	for range 6 { // what the socket holds is not lost
		w.publish(2, 10_000)
	}
	close(out.goOn)
	w.publish(7, 1)
	eventually(t, func() error {
		if !strings.Contains(said.String(), "lost ") {
			return errors.New("nothing is said to be lost")
		}
		return nil
	})
	w.end()
	if c := <-code; c != exitFailure || !strings.Contains(said.String(), "dockerwall: the daemon has ended") {
		t.Errorf("exit %d, %s", c, said.String())
	}
}

func TestWatchWithoutADaemon(t *testing.T) {
	w := &watched{socket: filepath.Join(t.TempDir(), "d.sock")}
	if code, out, said := w.watch(t.Context()); code != exitNoDaemon || out != "" || !strings.Contains(said, "no dockerwall daemon is listening") || !strings.Contains(said, "dockerwall run") {
		t.Errorf("exit %d, %s%s", code, out, said)
	}
}
