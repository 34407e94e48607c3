package docker

import (
	"context"
	"encoding/json"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	retryFirst = 100 * time.Millisecond
	retryLast  = 5 * time.Second
	// replay is how far before the connect the stream starts. The Engine sends its headers before it
	// subscribes (system_routes.go), so without this an event between the two would be lost.
	replay = 2 * time.Second
)

// Run follows Docker until ctx ends, and then returns nil. It holds the event stream, connecting
// again whenever that ends (after 100 ms, at most 5 s), and learns the containers' own resolvers.
// kick is called, from any goroutine, when List may have something new to say; it must not block.
// One Run at a time.
func (c *Client) Run(ctx context.Context, kick func()) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		c.watch(ctx, kick)
		return nil
	})
	g.Go(func() error {
		c.inspectRunning(ctx, kick)
		return nil
	})
	return g.Wait()
}

func (c *Client) watch(ctx context.Context, kick func()) {
	told, refused := false, "" // that there is no connection, and how somebody refuses it
	for failures := 0; ctx.Err() == nil; failures++ {
		began := time.Now()
		err := c.subscribe(ctx, kick)
		stood := c.disconnected()
		if ctx.Err() != nil {
			return
		}
		if stood || !told || Refused(err) && err.Error() != refused {
			c.log.Warn("no connection to Docker, trying again", "host", c.host, "err", err)
			told = true
			if Refused(err) {
				refused = err.Error()
			}
		}
		if time.Since(began) > retryLast {
			failures = 0
		}
		wait(ctx, backoff(failures, retryFirst, retryLast))
	}
}

// subscribe connects and follows the events until the stream ends, which is an error.
func (c *Client) subscribe(ctx context.Context, kick func()) error {
	since := time.Now().Add(-replay)
	c.dialing.Lock()
	e, err := c.dial(ctx)
	c.dialing.Unlock()
	if err != nil {
		return err
	}
	s, err := c.open(ctx, e, since)
	if err != nil {
		return c.explain(call{what: "open the event stream of Docker", endpoint: "GET /events"}, err)
	}
	defer s.close()
	c.nowConnected(e)
	kick()
	for {
		ev, err := s.next()
		if err != nil {
			return c.explain(call{what: "read the event stream of Docker", endpoint: "GET /events"}, err)
		}
		if c.note(ev) {
			kick()
		}
	}
}

// open bounds the time until the stream stands; its life is bounded by ctx only.
func (c *Client) open(ctx context.Context, e engine, since time.Time) (*stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	late := time.AfterFunc(c.timeout, cancel)
	body, err := e.events(ctx, since)
	if !late.Stop() { // a body that came all the same has ended with ctx
		err = context.DeadlineExceeded
	}
	if err != nil {
		cancel()
		return nil, err
	}
	room := &bounded{body, maxEvent}
	return &stream{room, json.NewDecoder(room), cancel}, nil
}

// note marks what ev touches, and tells whether it touches anything.
func (c *Client) note(ev event) bool {
	if ev.Type == "image" {
		c.images.invalidate()
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.marks.note(ev)
}

func (c *Client) nowConnected(e engine) {
	c.mu.Lock()
	c.connected = true
	c.marks.everything = true
	c.mu.Unlock()
	c.images.invalidate()
	c.log.Info("connected to Docker", "host", c.host, "api", e.ClientVersion())
}

// disconnected tells whether there was a connection.
func (c *Client) disconnected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	stood := c.connected
	c.connected = false
	return stood
}

// backoff doubles from first with each failure, up to last.
func backoff(failures int, first, last time.Duration) time.Duration {
	for ; failures > 0 && first < last; failures-- {
		first *= 2
	}
	return min(first, last)
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
