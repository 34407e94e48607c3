package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"

	"golang.org/x/sys/unix"
)

// Errors of a [Client] that a command answers with a hint and an exit code of its own.
var (
	ErrNoDaemon   = errors.New("no dockerwall daemon is listening") // no socket, or nobody behind it
	ErrPermission = errors.New("no permission to use the daemon's socket")
	// ErrNoContainer is of a container that does not run, or of which nothing is known; the daemon returns it too.
	ErrNoContainer = errors.New("no such container")
)

const maxAnswer = 128 << 20 // bytes

// Client asks the daemon behind a socket. It may be used by many goroutines at once.
type Client struct {
	path string
	http http.Client
}

// Dial makes a client for the socket at path, [DefaultPath] if it is empty. Nothing is connected
// yet: each question connects, so a daemon may come and go.
func Dial(path string) *Client {
	if path == "" {
		path = DefaultPath
	}
	c := &Client{path: path}
	c.http.Transport = &http.Transport{DialContext: c.connect, DisableKeepAlives: true}
	return c
}

// Health asks how the daemon is. An unhealthy daemon is an answer, not an error.
func (c *Client) Health(ctx context.Context) (Health, error) {
	h, err := get[Health](ctx, c, "/v1/health", nil)
	if err != nil {
		return Health{}, fmt.Errorf("ask for health: %w", err)
	}
	return h, nil
}

// Flush asks the daemon to remove its table and end. When it returns nil, nothing is fenced.
func (c *Client) Flush(ctx context.Context) error {
	var f flushed
	if err := c.ask(ctx, http.MethodPost, "/v1/flush", nil, &f); err != nil {
		return fmt.Errorf("flush the table: %w", err)
	}
	if !f.Flushed {
		return errors.New("flush the table: the daemon did not say that it has")
	}
	return nil
}

// connect classifies why the daemon cannot be reached.
func (c *Client) connect(ctx context.Context, _, _ string) (net.Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", c.path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOTDIR):
		return nil, fmt.Errorf("%w on %s", ErrNoDaemon, c.path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w %s", ErrPermission, c.path)
	}
	return conn, err
}

// ask sends one request, with a body unless that is nil, and decodes the answer into out.
func (c *Client) ask(ctx context.Context, method, path string, body, out any) error {
	var text io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return err
		}
		text = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://dockerwall"+path, text)
	if err != nil {
		return err
	}
	response, err := c.send(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the daemon's answer: %w", err)
	}
	return decode(response.StatusCode, answer, out)
}

// send is http's, without the URL that we made up and that means nothing to anybody.
func (c *Client) send(request *http.Request) (*http.Response, error) {
	response, err := c.http.Do(request)
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	return response, err
}

// get asks for one object.
func get[T any](ctx context.Context, c *Client, path string, query url.Values) (T, error) {
	var object Object[T]
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	err := c.ask(ctx, http.MethodGet, path, nil, &object)
	return object.Spec, err
}

// decode reads an answer: what was asked for, or why not.
func decode(status int, body []byte, out any) error {
	var f failure
	if err := json.Unmarshal(body, &f); err != nil {
		return fmt.Errorf("the daemon's answer (status %d) is not understood: %w", status, err)
	}
	if f.Error != "" {
		return f.err()
	}
	if status != http.StatusOK && status != http.StatusServiceUnavailable {
		return fmt.Errorf("the daemon answered with status %d", status)
	}
	return json.Unmarshal(body, out)
}
