package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/sys/unix"
)

// maxChange is how many bytes a change has at most: some hundred tokens.
const maxChange = 512 << 10

// ErrUsage is of a request that says what cannot be done; nothing has changed.
var ErrUsage = errors.New("nothing is changed")

// Verb is what a change does.
type Verb string

// The verbs.
const (
	Allow        Verb = "allow"
	Deny         Verb = "deny"
	Revoke       Verb = "revoke" // tokens, or all that was said of a container
	Pause        Verb = "pause"
	Enforce      Verb = "enforce" // a container, or without one the host
	Audit        Verb = "audit"   // likewise
	AsConfigured Verb = "as-configured"
)

// Change is what somebody wants to be otherwise from now on.
type Change struct {
	Verb      Verb     `json:"verb"`
	Container string   `json:"container,omitempty"` // its name, or the beginning of its ID
	Tokens    []string `json:"tokens,omitempty"`    // in the label's grammar
	// Seconds is how long it counts; 0 is for good. Of a mode, it is the time in which it has to be confirmed.
	Seconds int64 `json:"seconds,omitempty"`
}

// Changed is what a change has come to, once the table in the kernel has it.
type Changed struct {
	Verb        Verb   `json:"verb"`
	Container   string `json:"container,omitempty"`
	ContainerID string `json:"containerId,omitempty"`
	// Tokens are those of the change, as they are written, with what each comes to.
	Tokens []ChangedToken `json:"tokens"`
	// Mode is what counts now for the container, or the host: enforce, audit, off or, of a container, paused.
	Mode string `json:"mode"`
	// Until is when what was changed ends by itself; zero is never.
	Until time.Time `json:"until,omitzero"`
	// Before is the mode that it goes back to then, of a change of mode.
	Before string `json:"before,omitempty"`
	// Notes are what else there is to know, a sentence each.
	Notes []string `json:"notes"`
}

// ChangedToken is one token of a change.
type ChangedToken struct {
	Token string `json:"token"`
	// Beaten is where denials stand that keep an allow from counting, in full or in part, as "!10.0.0.0/8 (DEFAULT_OUTBOUND)".
	Beaten []string `json:"beaten,omitempty"`
}

// Peer is the process at the other end of the socket, as the kernel knows it (SO_PEERCRED, unix(7)).
type Peer struct {
	UID uint32
	PID int32
}

type peerKey struct{}

// withPeer notes in a connection's context whose it is.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	conn, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return ctx
	}
	var cred *unix.Ucred
	if raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }) != nil || err != nil {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, Peer{cred.Uid, cred.Pid})
}

// change answers once the change is in the kernel.
func (s *Server) change(w http.ResponseWriter, r *http.Request) {
	if s.opt.Change == nil {
		absent(w)
		return
	}
	peer, known := r.Context().Value(peerKey{}).(Peer)
	if !known {
		reply(w, http.StatusForbidden, failure{Error: "the kernel does not say who asks, so nothing is changed"})
		return
	}
	var change Change
	body := json.NewDecoder(r.Body)
	body.DisallowUnknownFields()
	err := body.Decode(&change)
	if err == nil && body.Decode(&struct{}{}) != io.EOF {
		err = errors.New("more than one object")
	}
	if err != nil {
		reply(w, http.StatusBadRequest, failureOf(fmt.Errorf("%w: the request is not understood: %w", ErrUsage, err)))
		return
	}
	answer(w, r, KindChanged, func(ctx context.Context) (Changed, error) { return s.opt.Change(ctx, peer, change) })
}

// Change asks for a change, and returns once the table in the kernel has it. errors.Is(err, ErrUsage) when it cannot be.
func (c *Client) Change(ctx context.Context, change Change) (Changed, error) {
	var out Object[Changed]
	if err := c.ask(ctx, http.MethodPost, "/v1/change", change, &out); err != nil {
		return Changed{}, fmt.Errorf("%s: %w", change.Verb, err)
	}
	return out.Spec, nil
}
