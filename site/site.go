package site

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/page"
)

const (
	maxInFlight   = 4 // answers being made at once
	answerTimeout = 10 * time.Second
	reloadSeconds = "10"
	pageDenials   = 500 // that the page puts together
	bareCSP       = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)

// landing is for those who may not see more.
const landing = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>dockerwall</title></head>
<body><h1>dockerwall</h1><p><a href="/metrics">Metrics</a></p></body></html>
`

// Options of a [Handler]. Functions that are nil make their part not available; they are called for each request, several
// at once, as those of [api.Options] are.
type Options struct {
	Status  func(context.Context) (api.Status, error)
	Suggest func(ctx context.Context, container string) ([]api.Suggestion, error)
	Denials func(ctx context.Context, n int, follow bool, send func(api.Denial) error) error
	Healthy func() bool
	// Managed is where containers are now, see [Access]. Required.
	Managed func() []netip.Prefix
	// Allow are who may see the status besides the host's own.
	Allow  []netip.Prefix
	Logger *slog.Logger // nil discards
}

// Handler answers.
type Handler struct {
	opt  Options
	busy chan struct{}
}

// New checks opt.
func New(opt Options) (*Handler, error) {
	if opt.Managed == nil {
		return nil, errors.New("site: Options.Managed is required")
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	return &Handler{opt: opt, busy: make(chan struct{}, maxInFlight)}, nil
}

// ServeHTTP implements [http.Handler]. Of the server it needs what net/http's gives: [http.LocalAddrContextKey].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Content-Security-Policy", bareCSP)
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cross-Origin-Resource-Policy", "same-origin")
	head.Set("Cache-Control", "no-store")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		head.Set("Allow", "GET, HEAD")
		http.Error(w, "this only reads: use GET", http.StatusMethodNotAllowed)
		return
	}
	answers := map[string]func(*http.Request) answer{
		"/": h.page, "/api/v1/status": h.status, "/api/v1/denials": h.denials, "/api/v1/suggestions": h.suggestions,
	}
	build := answers[r.URL.Path]
	switch {
	case r.URL.Path == "/healthz" && h.opt.Healthy != nil:
		h.healthz().write(w)
	case build == nil:
		http.NotFound(w, r)
	case h.admit(w, r):
		h.answer(w, r, build)
	}
}

// admit answers those who may not see the status.
func (h *Handler) admit(w http.ResponseWriter, r *http.Request) bool {
	verdict := Access{h.opt.Allow, h.opt.Managed()}.Decide(visit(r))
	switch {
	case verdict == Welcome:
		return true
	case verdict == WrongHost:
		http.Error(w, "this is not the site that was asked for: use localhost or the address of this host", http.StatusMisdirectedRequest)
	case verdict == Stranger && r.URL.Path == "/":
		answer{kind: "text/html; charset=utf-8", body: []byte(landing)}.write(w)
	case verdict == Stranger:
		http.Error(w, "only for this host itself; --web-allow of dockerwall lets others in", http.StatusForbidden)
	default:
		http.Error(w, "not for containers", http.StatusForbidden)
	}
	return false
}

func visit(r *http.Request) Visit {
	v := Visit{Host: r.Host}
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		v.Peer = peer.Addr()
	}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		v.Local, _ = netip.AddrFromSlice(local.IP)
	}
	return v
}

// answer makes an answer while not too many others are made; a slow reader holds up nobody.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, build func(*http.Request) answer) {
	select {
	case h.busy <- struct{}{}:
	default:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many requests at once", http.StatusServiceUnavailable)
		return
	}
	out := func() answer {
		defer func() { <-h.busy }()
		ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
		defer cancel()
		return build(r.WithContext(ctx))
	}()
	out.write(w)
}

func (h *Handler) healthz() answer {
	if h.opt.Healthy() {
		return answer{kind: "text/plain; charset=utf-8", body: []byte("ok\n")}
	}
	return answer{status: http.StatusServiceUnavailable, kind: "text/plain; charset=utf-8", body: []byte("degraded\n")}
}

func (h *Handler) page(r *http.Request) answer {
	p := page.Page{Now: time.Now(), Live: r.URL.Query().Get("live") == "1"}
	if status, err := ask(r, h.opt.Status); err == nil {
		p.Status = &status
		if !status.Time.IsZero() {
			p.Now = status.Time
		}
	} else {
		h.opt.Logger.Debug("the page lacks the status", "err", err)
	}
	var err error
	if p.Denials, err = h.last(r, pageDenials); err != nil {
		h.opt.Logger.Debug("the page lacks denials", "err", err)
	}
	if p.Suggestions, err = h.suggested(r, ""); err != nil {
		h.opt.Logger.Debug("the page lacks suggestions", "err", err)
	}
	var out bytes.Buffer
	if err := page.Render(&out, p); err != nil {
		return failed(err)
	}
	a := answer{kind: "text/html; charset=utf-8", body: out.Bytes(), policy: page.Policy()}
	if p.Live {
		a.refresh = reloadSeconds
	}
	return a
}

// errAbsent is what a part says that this daemon does not have.
var errAbsent = errors.New("this daemon does not tell that")

func ask[T any](r *http.Request, f func(context.Context) (T, error)) (out T, err error) {
	if f == nil {
		return out, errAbsent
	}
	return f(r.Context())
}

// suggested are never nil without an error.
func (h *Handler) suggested(r *http.Request, container string) ([]api.Suggestion, error) {
	if h.opt.Suggest == nil {
		return nil, errAbsent
	}
	list, err := h.opt.Suggest(r.Context(), container)
	if err != nil {
		return nil, err
	}
	return append([]api.Suggestion{}, list...), nil
}

// last are the last n denials, oldest first; never nil without an error.
func (h *Handler) last(r *http.Request, n int) ([]api.Denial, error) {
	if h.opt.Denials == nil {
		return nil, errAbsent
	}
	out := []api.Denial{}
	err := h.opt.Denials(r.Context(), n, false, func(d api.Denial) error {
		out = append(out, d)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
