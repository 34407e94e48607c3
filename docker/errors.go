package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/containerd/errdefs"
)

var errNotReadOnly = errors.New("only GET and HEAD are allowed")

// unreachableError is a request that got no answer. Its text is not the cause's, on purpose: the
// Docker client looks for words in it and then drops the cause.
type unreachableError struct{ cause error }

func (e *unreachableError) Error() string { return "no connection" }
func (e *unreachableError) Unwrap() error { return e.cause }

// explain says what was asked, where, why it did not work and what to do about it.
func (c *Client) explain(what string, err error) error {
	if err == nil {
		return nil
	}
	if u, ok := errors.AsType[*unreachableError](err); ok {
		return fmt.Errorf("reach Docker at %s: %w", c.host, reason(u.cause))
	}
	return fmt.Errorf("%s at %s: %w", what, c.host, c.remedy(err))
}

// reason shortens the error of a failed connection to its last word and a remedy.
func reason(err error) error {
	errno, _ := errors.AsType[syscall.Errno](err)
	switch errno {
	case syscall.ENOENT:
		return fmt.Errorf("%w; is Docker running, or is DOCKER_HOST wrong?", errno)
	case syscall.ECONNREFUSED:
		return fmt.Errorf("%w; is Docker running?", errno)
	case syscall.EACCES, syscall.EPERM:
		return fmt.Errorf("%w; run as root or add the user to the group docker", errno)
	default:
		return fmt.Errorf("%w; is Docker running, and do DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH fit it?", err)
	}
}

func (c *Client) remedy(err error) error {
	_, syntax := errors.AsType[*json.SyntaxError](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer within %v; is Docker overloaded or stuck? (%w)", c.timeout, err)
	case errdefs.IsPermissionDenied(err):
		return fmt.Errorf("%w; does the socket proxy allow this GET?", err)
	case syntax, errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("answer cut short or not JSON: %w; did Docker stop, or a proxy cut the connection?", err)
	default:
		return err
	}
}
