package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	maxRequest   = 4 << 10 // bytes of a request's body; none is expected but of a change
	flushTimeout = 30 * time.Second
	goodbye      = flushTimeout + time.Second // for requests still running at the end
)

// Options of a [Server].
type Options struct {
	Path   string        // of the socket; empty is DefaultPath
	Locked bool          // the caller has the lock of Path, see [claim.SocketLock]
	Health func() Health // required; called for each request, also at once; must not block
	// What follows may be nil, and is then not there. Each may be called several times at once, and its context ends with
	// the request. An unknown container is [ErrNoContainer].
	Status  func(context.Context) (Status, error)
	Explain func(ctx context.Context, container, destination string) (Explanation, error)
	// Suggest is for one container, by name or ID, or for all with "".
	Suggest func(ctx context.Context, container string) ([]Suggestion, error)
	// Observations are those of one container, by name or ID, or all with "".
	Observations func(ctx context.Context, container string) (Observations, error)
	// Denials sends the last n denials, oldest first, and with follow each further one until its context is done or send
	// returns an error.
	Denials func(ctx context.Context, n int, follow bool, send func(Denial) error) error
	// Change changes something at run time, and returns once the kernel has it; [ErrUsage] is of what cannot be done.
	Change func(context.Context, Peer, Change) (Changed, error)
	// Flush removes the table and makes the daemon end, if it can; it may do so by ending the context
	// that Run was given: the answer still reaches who asked. Required; never called twice at once.
	Flush  func(context.Context) error
	Logger *slog.Logger // nil discards
}

// Server answers on the unix socket.
type Server struct {
	opt      Options
	flushing sync.Mutex
}

// New checks opt; it opens nothing yet.
func New(opt Options) (*Server, error) {
	if opt.Health == nil || opt.Flush == nil {
		return nil, errors.New("api: Options.Health and Options.Flush are required")
	}
	if opt.Path == "" {
		opt.Path = DefaultPath
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{opt: opt}, nil
}

// Run makes the socket and answers until ctx is done, then removes it and returns nil; requests still
// running end first. It returns an error if it cannot listen: errors.Is(err, ErrDaemonRunning) when
// another daemon does. The fence needs no socket, only health and flush do.
func (s *Server) Run(ctx context.Context) error {
	listener, err := listen(ctx, s.opt.Path, s.opt.Locked)
	switch {
	case ctx.Err() != nil && err != nil:
		return nil
	case err != nil:
		return fmt.Errorf("listen on the API socket: %w", err)
	}
	if listener.kept != nil {
		s.opt.Logger.Warn("the group dockerwall cannot use the socket: this process may not give it away", "err", listener.kept,
			"remedy", "make dockerwall one of the process's groups (SupplementaryGroups=, group_add:), or add CAP_CHOWN")
	}
	server := &http.Server{
		Handler:           s.handler(),
		ErrorLog:          slog.NewLogLogger(s.opt.Logger.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return ctx }, // streams end with the daemon
		ConnContext:       withPeer,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      flushTimeout + 10*time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		_ = server.Close()
		return fmt.Errorf("serve the API socket: %w", err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	if server.Shutdown(end) != nil {
		_ = server.Close()
	}
	<-failed
	return nil
}

// handler answers everything, also what does not exist, in JSON.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/health", only(http.MethodGet, s.health))
	mux.HandleFunc("/v1/flush", only(http.MethodPost, s.flush))
	mux.HandleFunc("/v1/status", only(http.MethodGet, s.status))
	mux.HandleFunc("/v1/explain", only(http.MethodGet, s.explain))
	mux.HandleFunc("/v1/suggestions", only(http.MethodGet, s.suggest))
	mux.HandleFunc("/v1/observations", only(http.MethodGet, s.observations))
	mux.HandleFunc("/v1/denials", only(http.MethodGet, s.denials))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusNotFound, failure{Error: "no such path; this daemon speaks " + Version})
	})
	all := http.NewServeMux()
	all.Handle("/v1/change", http.MaxBytesHandler(only(http.MethodPost, s.change), maxChange))
	all.Handle("/", http.MaxBytesHandler(mux, maxRequest))
	return all
}

func only(method string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method {
			w.Header().Set("Allow", method)
			reply(w, http.StatusMethodNotAllowed, failure{Error: "use " + method})
			return
		}
		h(w, r)
	}
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	h := s.opt.Health()
	if h.Findings == nil {
		h.Findings = []string{}
	}
	if h.Reasons == nil {
		h.Reasons = []string{}
	}
	status := http.StatusOK
	if !h.Healthy {
		status = http.StatusServiceUnavailable
	}
	reply(w, status, Wrap(KindHealth, h))
}

// flush goes on when its client gives up: half a flush helps nobody.
func (s *Server) flush(w http.ResponseWriter, r *http.Request) {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), flushTimeout)
	defer cancel()
	s.opt.Logger.Info("flush requested")
	if err := s.opt.Flush(ctx); err != nil {
		reply(w, http.StatusInternalServerError, failureOf(err))
		return
	}
	reply(w, http.StatusOK, flushed{true})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // to a client that may be gone
}
