package metrics

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// lines passes on each log message.
type lines struct {
	slog.Handler
	out chan string
}

func (l lines) Enabled(context.Context, slog.Level) bool { return true }

func (l lines) Handle(_ context.Context, r slog.Record) error { l.out <- r.Message; return nil }

// serving runs a server until the test ends; its log messages come out of the channel.
func serving(t *testing.T, addr string) <-chan string {
	t.Helper()
	_, out := serverOn(t, addr)
	return out
}

func serverOn(t *testing.T, addr string) (*Server, <-chan string) {
	t.Helper()
	out := make(chan string, 100)
	pages := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "a page", http.StatusTeapot) })
	s, err := NewServer(ServerOptions{Addr: addr, Metrics: scraped(t, always(busy())), Pages: pages, Logger: slog.New(lines{slog.DiscardHandler, out})})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s, out
}

func wantLine(t *testing.T, out <-chan string, want string) {
	t.Helper()
	select {
	case got := <-out:
		if got != want {
			t.Fatalf("log says %q, want %q", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("log does not say %q", want)
	}
}

// free is an address nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func request(t *testing.T, method, url string, header http.Header) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestServerAnswers(t *testing.T) {
	addr := free(t)
	wantLine(t, serving(t, addr), "serving metrics")
	om := http.Header{"Accept": {"application/openmetrics-text;version=1.0.0"}}
	tests := map[string]struct {
		method, path string
		header       http.Header
		status       int
		kind, text   string
	}{
		"metrics":            {"GET", "/metrics", nil, 200, "text/plain", `dockerwall_dropped_packets{destination="198.51.100.9",domains="a.example.com,b.example.com",id="3f2a91b0c4d5e6f7a8",`},
		"openmetrics":        {"GET", "/metrics", om, 200, "application/openmetrics-text", "\n# EOF\n"},
		"go's and process's": {"GET", "/metrics", nil, 200, "text/plain", "process_resident_memory_bytes"},
		"head":               {"HEAD", "/metrics", nil, 200, "text/plain", ""},
		"pages beside it":    {"GET", "/status", nil, 418, "text/plain", "a page"},
		"no posting":         {"POST", "/metrics", nil, 405, "text/plain", ""},
		"no deleting":        {"DELETE", "/metrics", nil, 405, "text/plain", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			resp, body := request(t, tt.method, "http://"+addr+tt.path, tt.header)
			kind := resp.Header.Get("Content-Type")
			if resp.StatusCode != tt.status || !strings.HasPrefix(kind, tt.kind) || !strings.Contains(body, tt.text) {
				t.Errorf("%d, %s\n%s", resp.StatusCode, kind, body)
			}
			if resp.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Error("may be sniffed")
			}
		})
	}
}

func TestATakenPortIsLoggedOnceAndUsedWhenFree(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := taken.Addr().String()
	s, out := serverOn(t, addr)
	wantLine(t, out, "cannot serve metrics, trying again")
	if s.Err() == nil {
		t.Error("nothing is said to be wrong")
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	wantLine(t, out, "serving metrics")
	if err := s.Err(); err != nil {
		t.Errorf("it still says %v", err)
	}
	if resp, _ := request(t, "GET", "http://"+addr+"/metrics", nil); resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestRetriesBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := make(chan string, 100)
		s, err := NewServer(ServerOptions{Addr: ":1", Metrics: scraped(t, always(Snapshot{})), Logger: slog.New(lines{slog.DiscardHandler, out})})
		if err != nil {
			t.Fatal(err)
		}
		start, tried := time.Now(), []int(nil)
		s.listen = func(context.Context, string, string) (net.Listener, error) {
			tried = append(tried, int(time.Since(start).Seconds()))
			return nil, errors.New("taken")
		}
		ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
		defer stop()
		if err := s.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
		if want := []int{0, 1, 3, 7, 15, 31, 61, 91}; !slices.Equal(tried, want) {
			t.Errorf("tried at %v s, want %v", tried, want)
		}
		if len(out) != 1 {
			t.Errorf("%d lines in the log", len(out))
		}
	})
}

func TestErrSaysWhyMetricsAreNotServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := NewServer(ServerOptions{Addr: ":50000", Metrics: scraped(t, always(Snapshot{}))})
		if err != nil {
			t.Fatal(err)
		}
		listener := ended{make(chan struct{})}
		results := []error{errors.New("taken"), nil, errors.New("taken again")}
		s.listen = func(context.Context, string, string) (net.Listener, error) {
			err := results[0]
			results = results[1:]
			return listener, err
		}
		wantErr := func(want string) {
			t.Helper()
			synctest.Wait()
			if err := s.Err(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
		wantErr("")
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		wantErr("taken")
		time.Sleep(firstRetry)
		wantErr("") // it listens
		close(listener.end)
		wantErr("accept: broken")
		time.Sleep(firstRetry)
		wantErr("taken again")
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// ended is a listener that fails when its channel is closed.
type ended struct{ end chan struct{} }

func (l ended) Accept() (net.Conn, error) {
	<-l.end
	return nil, errors.New("accept: broken")
}
func (l ended) Close() error   { return nil }
func (l ended) Addr() net.Addr { return &net.TCPAddr{} }

func TestOffServesNothing(t *testing.T) {
	for _, addr := range []string{"", "off"} {
		ctx, stop := context.WithCancel(t.Context())
		s, err := NewServer(ServerOptions{Addr: addr, Metrics: scraped(t, always(Snapshot{}))})
		if err != nil {
			t.Fatal(err)
		}
		s.listen = func(context.Context, string, string) (net.Listener, error) {
			t.Errorf("%q: listens", addr)
			return nil, errors.New("no")
		}
		stop()
		if err := s.Run(ctx); err != nil {
			t.Errorf("%q: %v", addr, err)
		}
	}
}

func TestNewServerWantsMetrics(t *testing.T) {
	if _, err := NewServer(ServerOptions{}); err == nil {
		t.Error("accepted")
	}
}

func TestAReaderThatGoesDoesNotFillTheLog(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		level slog.Level
	}{
		"it went":             {context.Canceled, slog.LevelDebug},
		"it was slow":         {http.ErrHandlerTimeout, slog.LevelDebug},
		"its connection fell": {&net.OpError{Op: "write", Err: syscall.EPIPE}, slog.LevelDebug},
		"a family is wrong":   {errors.New("collected before with the same name and label values"), slog.LevelWarn},
	} {
		var log strings.Builder
		logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		scrapeErrors{logger}.Println("error encoding and sending metric family:", c.err)
		if !strings.Contains(log.String(), "level="+c.level.String()) || strings.Count(log.String(), "\n") != 1 {
			t.Errorf("%s: %s", name, log.String())
		}
	}
}
