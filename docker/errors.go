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
func (c *Client) explain(what call, err error) error {
	if err == nil {
		return nil
	}
	if u, ok := errors.AsType[*unreachableError](err); ok {
		return fmt.Errorf("reach Docker at %s: %w", c.host, reason(u.cause))
	}
	return fmt.Errorf("%s at %s: %w", what.what, c.host, c.remedy(what, err))
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
		// Without CAP_DAC_OVERRIDE, root is a user like others.
		return fmt.Errorf("%w; run as the socket's owner, such as root, or in its group, such as docker", errno)
	default:
		return fmt.Errorf("%w; is Docker running, and do DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH fit it?", err)
	}
}

// Refused says that an error is somebody's refusal to let a request through to the Engine, such as a socket proxy's.
func Refused(err error) bool { return errdefs.IsPermissionDenied(err) }

func (c *Client) remedy(what call, err error) error {
	_, syntax := errors.AsType[*json.SyntaxError](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer within %v; is Docker overloaded or stuck? (%w)", c.timeout, err)
	case Refused(err) && what.without != "":
		return fmt.Errorf("%w; without it %s: allow %s in the socket proxy%s", err, what.without, what.endpoint, what.instead)
	case Refused(err):
		return fmt.Errorf("%w; the fence needs it: allow %s in the socket proxy%s", err, what.endpoint, what.instead)
	case syntax, errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("answer cut short or not JSON: %w; did Docker stop, or a proxy cut the connection?", err)
	default:
		return err
	}
}
