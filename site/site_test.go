package site

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/page"
)

// full is a site that has everything.
func full() Options {
	return Options{
		Status: func(context.Context) (api.Status, error) {
			return api.Status{State: api.Enforcing, Version: "1.2.3", Containers: []api.Container{{Name: "web", Mode: "audit"}}}, nil
		},
		Suggest: func(_ context.Context, container string) ([]api.Suggestion, error) {
			if container != "" && container != "web" {
				return nil, fmt.Errorf("%w: %s", api.ErrNoContainer, container)
			}
			return []api.Suggestion{{Container: "web", Mode: "audit", Outbound: "www.example.com", Tokens: []api.SuggestedToken{{Token: "www.example.com"}}}}, nil
		},
		Denials: func(_ context.Context, n int, follow bool, send func(api.Denial) error) error {
			if follow {
				return errors.New("follows")
			}
			for i := range min(n, 3) {
				if err := send(api.Denial{ID: uint64(i + 1), Container: "web", Destination: netip.MustParseAddr("203.0.113.4"), Packets: 7}); err != nil {
					return err
				}
			}
			return nil
		},
		Healthy: func() bool { return true },
		Managed: func() []netip.Prefix { return prefixes("172.17.0.0/16") },
	}
}

func handler(t *testing.T, opt Options) *Handler {
	t.Helper()
	h, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// visiting is what a handler says to a peer; the address that is asked is that of the URL.
func visiting(t *testing.T, h http.Handler, method, peer, url string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, nil), method, url, nil)
	r.RemoteAddr = netip.AddrPortFrom(addr(peer), 40000).String()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func TestWhatIsAnswered(t *testing.T) {
	h := handler(t, full())
	const local, stranger, container = "127.0.0.1", "198.51.100.9", "172.17.0.2"
	tests := map[string]struct {
		method, peer, url string
		status            int
		kind, text        string
	}{
		"the page":                           {"GET", local, "http://localhost:50000/", 200, "text/html", ">ENFORCING<"},
		"its denials":                        {"GET", local, "http://localhost:50000/", 200, "text/html", "203.0.113.4"},
		"its suggestions":                    {"GET", local, "http://localhost:50000/", 200, "text/html", "www.example.com"},
		"the page's head":                    {"HEAD", local, "http://localhost:50000/", 200, "text/html", ""},
		"the status":                         {"GET", local, "http://127.0.0.1/api/v1/status", 200, "application/json", `"kind":"Status"`},
		"suggestions":                        {"GET", local, "http://127.0.0.1/api/v1/suggestions", 200, "application/json", `"kind":"Suggestions"`},
		"suggestions of one":                 {"GET", local, "http://127.0.0.1/api/v1/suggestions?container=web", 200, "application/json", `"kind":"Suggestions"`},
		"suggestions of none":                {"GET", local, "http://127.0.0.1/api/v1/suggestions?container=x", 404, "application/json", "error"},
		"denials":                            {"GET", local, "http://127.0.0.1/api/v1/denials", 200, "application/jsonl", `"id":3`},
		"the last two denials":               {"GET", local, "http://127.0.0.1/api/v1/denials?last=2", 200, "application/jsonl", `"id":2`},
		"denials are not followed":           {"GET", local, "http://127.0.0.1/api/v1/denials?last=2&follow=true", 200, "application/jsonl", `"id":2`},
		"less than no denials":               {"GET", local, "http://127.0.0.1/api/v1/denials?last=-1", 400, "application/json", "0 to 1000"},
		"too many denials":                   {"GET", local, "http://127.0.0.1/api/v1/denials?last=1001", 400, "application/json", "0 to 1000"},
		"health":                             {"GET", local, "http://localhost/healthz", 200, "text/plain", "ok\n"},
		"health for containers":              {"GET", container, "http://172.17.0.1/healthz", 200, "text/plain", "ok\n"},
		"health by any name":                 {"GET", stranger, "http://nas.example/healthz", 200, "text/plain", "ok\n"},
		"DNS rebinding, page":                {"GET", local, "http://evil.example:50000/", 421, "text/plain", "localhost"},
		"DNS rebinding, API":                 {"GET", local, "http://evil.example:50000/api/v1/status", 421, "text/plain", "localhost"},
		"a stranger gets the landing page":   {"GET", stranger, "http://nas.example/", 200, "text/html", `href="/metrics"`},
		"a stranger gets no status":          {"GET", stranger, "http://nas.example/api/v1/status", 403, "text/plain", "--web-allow"},
		"a stranger gets no denials":         {"GET", stranger, "http://nas.example/api/v1/denials", 403, "text/plain", "--web-allow"},
		"a stranger gets no suggestions":     {"GET", stranger, "http://nas.example/api/v1/suggestions", 403, "text/plain", "--web-allow"},
		"a container gets no page":           {"GET", container, "http://172.17.0.1:50000/", 403, "text/plain", "not for containers"},
		"a container gets no status":         {"GET", container, "http://172.17.0.1:50000/api/v1/status", 403, "text/plain", "not for containers"},
		"nothing is posted":                  {"POST", local, "http://localhost/", 405, "text/plain", "GET"},
		"nothing is put":                     {"PUT", local, "http://localhost/api/v1/status", 405, "text/plain", "GET"},
		"nothing is deleted":                 {"DELETE", local, "http://localhost/api/v1/denials", 405, "text/plain", "GET"},
		"no options":                         {"OPTIONS", local, "http://localhost/", 405, "text/plain", "GET"},
		"no trace":                           {"TRACE", local, "http://localhost/", 405, "text/plain", "GET"},
		"no flush":                           {"POST", local, "http://localhost/v1/flush", 405, "text/plain", "GET"},
		"no flush by GET":                    {"GET", local, "http://localhost/v1/flush", 404, "text/plain", ""},
		"nothing below":                      {"GET", local, "http://localhost/api/v1/status/x", 404, "text/plain", ""},
		"no path that is cleaned to another": {"GET", local, "http://localhost//", 404, "text/plain", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			resp := visiting(t, h, tt.method, tt.peer, tt.url)
			body, err := io.ReadAll(resp.Body)
			if kind := resp.Header.Get("Content-Type"); err != nil || resp.StatusCode != tt.status || !strings.HasPrefix(kind, tt.kind) || !strings.Contains(string(body), tt.text) {
				t.Errorf("%d, %s\n%s", resp.StatusCode, kind, body)
			}
			if strings.Contains(string(body), "web") && tt.peer != local && !strings.Contains(string(body), "--web-allow") {
				t.Errorf("tells %s of containers:\n%s", tt.peer, body)
			}
			for header, want := range map[string]string{
				"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "Cross-Origin-Resource-Policy": "same-origin",
			} {
				if got := resp.Header.Get(header); got != want {
					t.Errorf("%s: %q", header, got)
				}
			}
			policy := bareCSP
			if tt.status == 200 && tt.kind == "text/html" && tt.peer == local {
				policy = page.Policy()
			}
			if got := resp.Header.Get("Content-Security-Policy"); got != policy {
				t.Errorf("Content-Security-Policy: %s", got)
			}
		})
	}
}

func TestTheTwinsAreTheObjectsOfTheSocket(t *testing.T) {
	h := handler(t, full())
	var status api.Object[api.Status]
	if err := json.NewDecoder(visiting(t, h, "GET", "::1", "http://localhost/api/v1/status").Body).Decode(&status); err != nil {
		t.Fatal(err)
	}
	if status.APIVersion != api.Version || status.Kind != api.KindStatus || status.Spec.Version != "1.2.3" {
		t.Errorf("%+v", status)
	}
	lines := bufio.NewScanner(visiting(t, h, "GET", "::1", "http://localhost/api/v1/denials").Body)
	for n := uint64(1); lines.Scan(); n++ {
		var d api.Object[api.Denial]
		if err := json.Unmarshal(lines.Bytes(), &d); err != nil || d.Kind != api.KindDenial || d.Spec.ID != n {
			t.Errorf("%v, %+v", err, d)
		}
	}
}

func TestThePageReloadsOnlyWhenAsked(t *testing.T) {
	h := handler(t, full())
	for url, want := range map[string]string{"/": "", "/?live=0": "", "/?live=1": "10", "/api/v1/status?live=1": ""} {
		if got := visiting(t, h, "GET", "127.0.0.1", "http://localhost"+url).Header.Get("Refresh"); got != want {
			t.Errorf("%s: Refresh %q, want %q", url, got, want)
		}
	}
}

func TestASiteOfNothingSaysSo(t *testing.T) {
	broken := errors.New("kernel: no")
	for name, tt := range map[string]struct {
		opt    Options
		status int
	}{
		"nothing given": {Options{}, 501},
		"everything fails": {Options{
			Status:  func(context.Context) (api.Status, error) { return api.Status{}, broken },
			Suggest: func(context.Context, string) ([]api.Suggestion, error) { return nil, broken },
			Denials: func(context.Context, int, bool, func(api.Denial) error) error { return broken },
			Healthy: func() bool { return false },
		}, 500},
	} {
		t.Run(name, func(t *testing.T) {
			tt.opt.Managed = func() []netip.Prefix { return nil }
			h := handler(t, tt.opt)
			body, _ := io.ReadAll(visiting(t, h, "GET", "127.0.0.1", "http://localhost/").Body)
			if !strings.Contains(string(body), "The status is not available") || !strings.Contains(string(body), "Denials are not available") {
				t.Errorf("%s", body)
			}
			for _, path := range []string{"status", "denials", "suggestions"} {
				if got := visiting(t, h, "GET", "127.0.0.1", "http://localhost/api/v1/"+path).StatusCode; got != tt.status {
					t.Errorf("%s: %d", path, got)
				}
			}
			if got := visiting(t, h, "GET", "127.0.0.1", "http://localhost/healthz").StatusCode; got == 200 {
				t.Error("healthy")
			}
		})
	}
}

func TestOnlySoManyAnswersAreMadeAtOnce(t *testing.T) {
	opt := full()
	entered, leave := make(chan struct{}), make(chan struct{})
	opt.Status = func(context.Context) (api.Status, error) {
		entered <- struct{}{}
		<-leave
		return api.Status{}, nil
	}
	h := handler(t, opt)
	codes := make(chan int, maxInFlight)
	for range maxInFlight {
		go func() { codes <- visiting(t, h, "GET", "127.0.0.1", "http://localhost/").StatusCode }()
		<-entered
	}
	if got := visiting(t, h, "GET", "127.0.0.1", "http://localhost/"); got.StatusCode != 503 || got.Header.Get("Retry-After") == "" {
		t.Errorf("one more: %d", got.StatusCode)
	}
	close(leave)
	for range maxInFlight {
		if got := <-codes; got != 200 {
			t.Errorf("%d", got)
		}
	}
	go func() { <-entered }()
	if got := visiting(t, h, "GET", "127.0.0.1", "http://localhost/").StatusCode; got != 200 {
		t.Errorf("afterwards: %d", got)
	}
}

// TestARealServerKnowsWhichAddressWasAsked has the local address from net/http, on both families.
func TestARealServerKnowsWhichAddressWasAsked(t *testing.T) {
	opt := full()
	opt.Managed = func() []netip.Prefix { return prefixes("127.0.0.2/32") }
	server := httptest.NewUnstartedServer(handler(t, opt))
	server.Config.ReadHeaderTimeout = time.Second
	server.Start()
	defer server.Close()
	for host, want := range map[string]int{"": 200, "localhost": 200, "127.0.0.1:1": 200, "evil.example": 421, "203.0.113.1": 421} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		resp, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%q: %d, want %d", host, resp.StatusCode, want)
		}
	}
}

func TestNewWantsToKnowWhereContainersAre(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("accepted")
	}
}
