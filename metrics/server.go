package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"
	"golang.org/x/sys/unix"
)

const (
	// DefaultAddr is where metrics are served, as the older dockerwall did.
	DefaultAddr = ":50000"

	scrapeTimeout  = 10 * time.Second
	maxScrapes     = 4  // at once
	maxConnections = 64 // anybody on the network can connect; descriptors are few
	firstRetry     = time.Second
	lastRetry      = 30 * time.Second
	goodbye        = 2 * time.Second // for requests still running at the end
)

// ServerOptions are the options of a [Server].
type ServerOptions struct {
	Addr    string // host:port; "" or "off" serves nothing
	Metrics *Metrics
	Pages   http.Handler // of every path but /metrics; nil has none
	Logger  *slog.Logger // nil discards
}

// Server serves /metrics over HTTP, read-only, to whoever reaches it, and the Pages beside it.
type Server struct {
	opt    ServerOptions
	listen func(ctx context.Context, network, addr string) (net.Listener, error)

	mu  sync.Mutex
	err error // why nothing is served
}

// NewServer opens nothing yet.
func NewServer(opt ServerOptions) (*Server, error) {
	if opt.Metrics == nil {
		return nil, errors.New("metrics: ServerOptions.Metrics is required")
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	var config net.ListenConfig
	return &Server{opt: opt, listen: config.Listen}, nil
}

// Err is why metrics are not served now; nil while they are, before Run has tried, and where they are not wanted.
func (s *Server) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *Server) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// Run serves until ctx is done, then returns nil: metrics never stop the daemon. An address that
// cannot be listened on is logged once and tried again until it can.
func (s *Server) Run(ctx context.Context) error {
	if s.opt.Addr == "" || s.opt.Addr == "off" {
		<-ctx.Done()
		return nil
	}
	for ctx.Err() == nil {
		if listener := s.bind(ctx); listener != nil {
			s.serve(ctx, listener)
			pause(ctx, firstRetry) // a listener that fails at once must not spin
		}
	}
	return nil
}

// bind tries until it listens; nil when ctx is done.
func (s *Server) bind(ctx context.Context) net.Listener {
	for wait := firstRetry; ctx.Err() == nil; wait = min(2*wait, lastRetry) {
		listener, err := s.listen(ctx, "tcp", s.opt.Addr)
		s.note(err)
		if err == nil {
			s.opt.Logger.Info("serving metrics", "address", listener.Addr().String())
			return netutil.LimitListener(listener, maxConnections)
		}
		if wait == firstRetry {
			s.opt.Logger.Error("cannot serve metrics, trying again", "address", s.opt.Addr, "err", err,
				"remedy", remedy(err))
		}
		pause(ctx, wait)
	}
	return nil
}

func remedy(err error) string {
	const other = "set --metrics-addr or DOCKERWALL_METRICS_ADDR to another, or to off"
	if errors.Is(err, unix.EACCES) { // a port below net.ipv4.ip_unprivileged_port_start
		return "add CAP_NET_BIND_SERVICE, or " + other
	}
	return "free the port, or " + other
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// serve blocks until ctx is done or the listener fails.
func (s *Server) serve(ctx context.Context, listener net.Listener) {
	server := &http.Server{
		Handler:           s.handler(),
		ErrorLog:          slog.NewLogLogger(s.opt.Logger.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case <-ctx.Done():
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
		defer cancel()
		if server.Shutdown(end) != nil {
			_ = server.Close()
		}
		<-failed
	case err := <-failed:
		_ = server.Close()
		s.note(err)
		s.opt.Logger.Error("metrics are no longer served, trying again", "err", err)
	}
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.opt.Metrics.registry, promhttp.HandlerOpts{
		ErrorLog:            scrapeErrors{s.opt.Logger},
		ErrorHandling:       promhttp.ContinueOnError,
		EnableOpenMetrics:   true,
		MaxRequestsInFlight: maxScrapes,
		CoalesceGather:      true,
		Timeout:             scrapeTimeout,
	}))
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "use GET", http.StatusMethodNotAllowed)
	})
	if s.opt.Pages != nil {
		mux.Handle("/", s.opt.Pages)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		mux.ServeHTTP(w, r)
	})
}

// scrapeErrors logs what promhttp says of a failed scrape. When the reader has gone, or was too slow, it says so for each
// family that is left, hundreds of lines that anybody who can connect would write into the log: they are for debugging.
type scrapeErrors struct{ logger *slog.Logger }

func (e scrapeErrors) Println(v ...any) {
	level := slog.LevelWarn
	if slices.ContainsFunc(v, gone) {
		level = slog.LevelDebug
	}
	e.logger.Log(context.Background(), level, "scrape failed", "err", fmt.Sprint(v...))
}

// gone says whether a thing to be logged is the error of a reader that takes no more.
func gone(v any) bool {
	err, ok := v.(error)
	return ok && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, http.ErrHandlerTimeout) ||
		errors.As(err, new(net.Error)))
}
