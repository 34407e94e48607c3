package docker

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/docker/docker/client"
)

const (
	defaultTimeout = 15 * time.Second
	parallel       = 8 // requests at a time of one List
)

// Options say which Engine to ask and how. The zero value asks the one of the environment.
type Options struct {
	// Host is the Engine's address, "unix:///var/run/docker.sock" or "tcp://host:port". "" takes
	// DOCKER_HOST, and without that the usual socket. DOCKER_TLS_VERIFY and DOCKER_CERT_PATH count
	// for tcp as they do for the docker command, DOCKER_API_VERSION for both.
	Host string
	// Timeout bounds each request, the event stream's body excepted. 0 means 15 s.
	Timeout time.Duration
	// Logger gets connects and disconnects, once per change. nil discards them.
	Logger *slog.Logger
}

// Client knows the containers and networks of one Engine. Its methods may be called at any time from
// any goroutine. Only Run starts goroutines; without it List reads everything at each call.
type Client struct {
	host    string
	timeout time.Duration
	log     *slog.Logger
	connect func(context.Context) (engine, error) // a new connection, its version negotiated

	listing sync.Mutex // one List at a time
	dialing sync.Mutex // one connect at a time
	images  imageCache
	inspect inspector

	mu        sync.Mutex // guards what follows; never held during a request
	engine    engine     // nil until the first connect and after an error
	cache     snapshot
	marks     marks
	connected bool
}

// New makes a Client. It does not connect; an Engine that is not there yet shows in List and Run.
// The error is a host or certificate that cannot be understood.
func New(o Options) (*Client, error) {
	c := &Client{
		host:    cmp.Or(o.Host, os.Getenv(client.EnvOverrideHost), client.DefaultDockerHost),
		timeout: cmp.Or(o.Timeout, defaultTimeout),
		log:     cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
		inspect: newInspector(),
	}
	c.connect = c.negotiated
	s, err := newSDK(c.host)
	if err != nil {
		return nil, err
	}
	return c, s.Close()
}

// Close gives up idle connections. A Run under way ends with its context, not here.
func (c *Client) Close() error {
	c.use(nil)
	return nil
}

// Host is the address of the Engine, as configured or taken from the environment.
func (c *Client) Host() string { return c.host }

// Connected tells whether the event stream stands, so that List's cache is followed up.
func (c *Client) Connected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.connected
}

// APIVersion is the version of the Engine's API that was negotiated last, "" while there is no connection.
func (c *Client) APIVersion() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.engine == nil {
		return ""
	}
	return c.engine.ClientVersion()
}

// Invalidate makes the next List, and the next ImageLabels, read everything again.
func (c *Client) Invalidate() {
	c.mu.Lock()
	c.marks.everything = true
	c.mu.Unlock()
	c.images.invalidate()
}

// Doubt makes the next List read a network again.
func (c *Client) Doubt(network string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	set(&c.marks.networks, network, struct{}{})
}

func (c *Client) negotiated(ctx context.Context) (engine, error) {
	s, err := newSDK(c.host)
	if err != nil {
		return nil, err
	}
	if err := s.negotiate(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// reach is the current connection, or a new one.
func (c *Client) reach(ctx context.Context) (engine, error) {
	c.dialing.Lock()
	defer c.dialing.Unlock()
	c.mu.Lock()
	e := c.engine
	c.mu.Unlock()
	if e != nil {
		return e, nil
	}
	return c.dial(ctx)
}

// dial replaces the connection. c.dialing is held.
func (c *Client) dial(ctx context.Context) (engine, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	e, err := c.connect(ctx)
	if err != nil {
		return nil, c.explain(call{what: "negotiate the API version with Docker", endpoint: "HEAD /_ping"}, err)
	}
	c.use(e)
	return e, nil
}

// use makes e the connection that requests go by; nil makes the next request negotiate again.
func (c *Client) use(e engine) {
	c.mu.Lock()
	old := c.engine
	c.engine = e
	c.mu.Unlock()
	if old != nil {
		_ = old.Close() // idle connections only: there is nothing to lose
	}
}

// call is a request, in the words of errors about it.
type call struct {
	what     string // is done, in the infinitive
	endpoint string // "GET /networks/{id}"
	without  string // what the fence lacks without it, "" for a request that it needs
	instead  string // of the request, "" for nothing
}

// ask makes one request. After an error the API version is negotiated again: another Engine may answer now. That who asked
// gave up, such as the reader of a page, says nothing about the Engine, nor does a proxy's refusal.
func (c *Client) ask(ctx context.Context, what call, request func(context.Context, engine) error) error {
	e, err := c.reach(ctx)
	if err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	err = request(within, e)
	if err != nil && !notFound(err) && !Refused(err) && !errors.Is(ctx.Err(), context.Canceled) {
		c.use(nil)
	}
	return c.explain(what, err)
}
